# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Read an ONNX file into a :class:`~midwire.compiler.load.source.Source`, or say why not.

Opsets 7 to the newest that the installed onnx knows. Quantisers of QONNX (:mod:`.qonnx`),
Attention (:mod:`.fused_attention`) and models of scikit-learn (:mod:`.linear_models`,
:mod:`.tree_models`) are written out in standard operators and sums of trees. Other nodes of other
domains (com.microsoft) are kept: the rewriting stage takes those that :mod:`.qoperator` knows, the
rest are listed as unsupported later, and none stops a model from loading.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from onnx import numpy_helper

from ...hw.formats.tensor import AnyArray
from ..errors import ModelError
from ..ir.graph import Value
from .batch import take_apart
from .casts import expand_casts
from .columns import expand_columns
from .expansion import Expansion
from .functions import expand_functions
from .fused_attention import expand_attention
from .fused_operators import expand_fused_operators, expand_transposed_products
from .gemms import expand_gemms
from .group_scales import expand_group_normalization
from .infer import analyse
from .linear_models import expand_linear_models
from .log_sums import expand_log_sums
from .normalise import check_opsets, normalise
from .onnxfile import COMPLETE, load_external_data, parse, read, short
from .packed_weights import expand_packed_weights
from .qonnx import expand_quantisers
from .recurrent_layers import expand_batch_first
from .recurrent_steps import expand_steps
from .shapes import Shapes, bind_inputs
from .source import Source, subgraphs, value_of
from .tree_models import expand_tree_models


def load_model(
    path: str | os.PathLike[str],
    shapes: Shapes | None = None,
    samples: str | os.PathLike[str] | None = None,
) -> Source:
    """Read, check and normalise a model, with the batch bound to 1, if it has one.

    Parameters
    ----------
    path : the ONNX file
    shapes : for inputs with open dimensions their shapes, by name
    samples : an ``.npz`` of samples, whose shapes bind what is still open

    Raises
    ------
    ModelError
        If the file is missing, damaged, no legal ONNX model, of an opset that is too old or too
        new, has inputs whose shapes cannot be bound, or computes constants that fill memory.
    """
    file = Path(path)
    raw = read(file)
    model = parse(file, raw)
    load_external_data(file, model)
    check_opsets(file, model)
    expansion = Expansion(normalise(file, model))
    expand_quantisers(expansion)
    expand_linear_models(expansion)
    expand_tree_models(expansion)
    expand_fused_operators(expansion)
    expand_packed_weights(expansion)
    expand_group_normalization(expansion)
    expand_columns(expansion)
    expand_batch_first(expansion)
    bind_inputs(expansion.model.graph, shapes or {}, samples)
    _check(file, expansion.model)
    return _source(file, hashlib.sha256(raw).hexdigest(), expansion)


def _check(file: Path, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            "the ONNX checker refuses the model",
            where=str(file),
            expected="a legal ONNX model",
            found=short(error),
            remedy="Export the model again, or repair the node that is named",
        ) from error
    for node in _all_nodes(model.graph):
        given = next((a.i for a in node.attribute if a.name == "num_outputs"), len(node.output))
        if node.op_type == "Split" and not node.domain and given != len(node.output):
            # The checker does not look, and inference makes room for as many as it is told.
            raise ModelError(
                "a Split has another number of outputs than it says",
                where=f"node {node.name!r} (Split)",
                expected=f"num_outputs {len(node.output)}",
                found=str(given),
                remedy="Export the model again, or repair the attribute",
            )


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Those of graphs inside of others too."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from _all_nodes(inner)


def _source(file: Path, sha256: str, expansion: Expansion) -> Source:
    model = expansion.model
    opset = next(e.version for e in model.opset_import if e.domain == "")
    stored = _arrays(file, model.graph)
    expand_transposed_products(expansion, opset, stored)
    stored = _arrays(file, model.graph)
    expand_gemms(expansion, stored)
    expand_log_sums(expansion, opset)
    stored = _arrays(file, model.graph)
    expand_functions(expansion, opset, stored)
    stored = _arrays(file, model.graph)
    expand_steps(expansion, opset, stored)
    stored = _arrays(file, model.graph)
    expand_casts(expansion, opset, stored)
    expand_attention(expansion, opset, stored)
    batch = take_apart(model, opset, _arrays(file, model.graph))
    graph = model.graph  # only now: taking a batch apart replaces it
    initialisers = _arrays(file, graph)
    facts = analyse(model, opset, initialisers)
    values: dict[str, Value] = {}
    for name, kind in facts.types.items():
        value = value_of(name, kind)
        if value is not None:
            values[name] = value
    for output in graph.output:
        if output.name in values:
            output.type.CopyFrom(facts.types[output.name])
    return Source(
        path=file,
        name=file.resolve().parent.name if file.stem == "model" else file.stem,
        sha256=sha256,
        model=model,
        opset=opset,
        inputs=tuple(values[value.name] for value in graph.input),
        outputs=tuple(value.name for value in graph.output),
        values=values,
        initialisers=initialisers,
        folded=facts.folded,
        constants=frozenset(facts.constants),
        batch=batch.size,
        batch_obstacle=batch.obstacle,
        written=expansion.written,
        refused=expansion.refused,
        unsound=facts.unsound,
    )


def _arrays(file: Path, graph: onnx.GraphProto) -> Mapping[str, AnyArray]:
    arrays: dict[str, AnyArray] = {}
    for tensor in graph.initializer:
        try:
            array = numpy_helper.to_array(tensor)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "an initialiser cannot be read",
                where=f"{file}: tensor {tensor.name!r}",
                expected=f"{math.prod(tensor.dims)} values for the shape {list(tensor.dims)}",
                found=short(error),
                remedy=COMPLETE,
            ) from error
        if tensor.name in arrays:
            raise ModelError(
                "two initialisers have the same name",
                where=f"{file}: tensor {tensor.name!r}",
                expected="one initialiser of a name",
                found="two",
                remedy="Export the model again",
            )
        arrays[tensor.name] = array
    return arrays
