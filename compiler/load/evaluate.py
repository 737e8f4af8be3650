# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate single nodes on constants, with the ONNX reference evaluator, bounded in size."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.shape_inference import infer_node_outputs

from ...hw.formats.tensor import AnyArray
from .ranks import check_node, check_types
from .work import MAX_WORK, work_of

MAX_ELEMENTS = 1 << 24
"""Largest constant that is computed here, in elements (a model may ask for any size)."""

MAX_SHAPE_DATA = 1 << 12
"""Constants of at most so many elements are shown to shape inference (targets of Reshape)."""

INFERENCE_ERRORS = (
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    onnx.shape_inference.InferenceError,
    IndexError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What ONNX's inference raises for a node or a graph that is wrong: its own errors, and what those
of the C++ library are in Python.
"""

_RANDOM = frozenset(
    (
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    )
)


class GatherElements(OpRun):
    """The evaluator's own one chooses among at most 32 elements of an axis (``numpy.choose``)."""

    def _run(self, data: AnyArray, indices: AnyArray, axis: int = 0) -> tuple[AnyArray]:
        size = data.shape[axis]
        if ((indices < -size) | (indices >= size)).any():
            raise IndexError(f"expected indices of {size} elements")
        own = [slice(n) for n in indices.shape]
        own[axis] = slice(size)
        return (np.take_along_axis(data[tuple(own)], indices, axis),)


def is_deterministic(node: onnx.NodeProto) -> bool:
    """Whether equal inputs always give equal outputs, as far as the default domain says."""
    return node.domain != "" or node.op_type not in _RANDOM


def has_subgraph(node: onnx.NodeProto) -> bool:
    """Whether a node is control flow."""
    return any(a.HasField("g") or a.graphs for a in node.attribute)


def infer_node(
    node: onnx.NodeProto,
    types: Mapping[str, onnx.TypeProto],
    data: Mapping[str, AnyArray],
    opset: int,
    complain: Callable[[Exception], None] = lambda error: None,
) -> dict[str, onnx.TypeProto]:
    """Types of a node's outputs; empty where ONNX cannot say (unknown operator, missing types), or
    the node is wrong, as ONNX or :mod:`.ranks` says: ``complain`` is told how.
    """
    names = [name for name in node.input if name]
    if node.domain or has_subgraph(node) or any(name not in types for name in names):
        return {}
    small = {
        name: numpy_helper.from_array(np.asarray(data[name], order="C"), name)
        for name in names
        if name in data and data[name].size <= MAX_SHAPE_DATA
    }
    read = {name: types[name] for name in names}
    imports = [helper.make_opsetid("", opset)]
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
        check_node(node, types)
        if not schema.has_type_and_shape_inference_function:
            return infer_alone(node, read, imports)
        found = infer_node_outputs(schema, node, read, small, opset_imports=imports)
        check_types(found)
        return {name: kind for name, kind in found.items() if name}
    except INFERENCE_ERRORS as error:
        complain(error)
        return {}


def infer_alone(
    node: onnx.NodeProto,
    types: Mapping[str, onnx.TypeProto],
    imports: Iterable[onnx.OperatorSetIdProto],
) -> dict[str, onnx.TypeProto]:
    """The same by way of a model of this node, for what ONNX infers no other way: an operator that
    it defines by others (GreaterOrEqual before version 16), of another domain, with graphs inside.
    ``types`` are those that it reads.
    """
    known = [onnx.ValueInfoProto(name=name, type=kind) for name, kind in types.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", known, outputs)
    with contextlib.suppress(*INFERENCE_ERRORS):
        model = helper.make_model(graph, opset_imports=list(imports))
        inferred = onnx.shape_inference.infer_shapes(model).graph
        found = {v.name: v.type for v in inferred.output if v.type.WhichOneof("value")}
        check_types(found)
        return found
    return {}


def static_shape(kind: onnx.TypeProto) -> tuple[int, ...] | None:
    """Shape of a tensor type if every dimension is a number."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if any(not d.HasField("dim_value") or d.dim_value < 0 for d in dims):
        return None
    return tuple(int(d.dim_value) for d in dims)


def tensor_type(array: AnyArray) -> onnx.TypeProto:
    """ONNX type of an array."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_type_proto(kind, list(array.shape))


def evaluate(
    node: onnx.NodeProto, inputs: Mapping[str, AnyArray], opset: int
) -> dict[str, AnyArray] | None:
    """Outputs of a node whose inputs are all known; None if it cannot or must not be computed.

    Control flow, other domains, random numbers, results of more than ``MAX_ELEMENTS`` elements (or
    of unknown size) and what takes more than :data:`~.work.MAX_WORK` are not computed.
    """
    names = [name for name in node.input if name]
    if node.domain or has_subgraph(node) or not is_deterministic(node):
        return None
    if any(name not in inputs for name in names):
        return None
    types = {name: tensor_type(inputs[name]) for name in names}
    outputs = infer_node(node, types, inputs, opset)
    wanted = [name for name in node.output if name]
    for name in wanted:
        shape = static_shape(outputs[name]) if name in outputs else None
        if shape is None or math.prod(shape) > MAX_ELEMENTS:
            return None
    if work_of(node, [types[n] for n in names], [outputs[n] for n in wanted]) > MAX_WORK:
        return None
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_value_info(name, types[name]) for name in dict.fromkeys(names)],
        [helper.make_value_info(name, outputs[name]) for name in wanted],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            evaluator = ReferenceEvaluator(model, new_ops=[GatherElements])
            results = evaluator.run(None, {name: inputs[name] for name in names})
        # The evaluator runs arbitrary operators on arbitrary data and documents no error types: one
        # that it cannot do is one constant that we do not know, and import rules say so.
        except Exception:
            return None
    return {name: np.asarray(value) for name, value in zip(wanted, results, strict=True)}
