# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shapes and constants of a whole model whose inputs are bound: infer, fold shape arithmetic.

One walk in topological order asks ONNX's own inference node by node, with the values of small
constants at hand, among them shapes of tensors: a Reshape whose target is computed with Shape,
Gather and Concat is resolved once the batch is bound. What inference says of a node is checked
before the next one reads it (:mod:`.ranks`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper

from ...hw.formats.tensor import AnyArray
from ..errors import ModelError
from .batch_rules import TREES
from .evaluate import (
    MAX_ELEMENTS,
    MAX_SHAPE_DATA,
    evaluate,
    has_subgraph,
    infer_node,
    is_deterministic,
    static_shape,
    tensor_type,
)
from .inner_graphs import infer_inner
from .onnxfile import short
from .qoperator import infer_pieces, write_out
from .source import kind_of, reads
from .work import MAX_WORK, MAX_WORK_TOGETHER, work_of

MAX_COMPUTED = 1 << 26
"""Elements of all constants that nodes compute, together, beyond :data:`OFTEN` times those that the
model stores: a few bytes of a model name any size.
"""

OFTEN = 4
"""How often a stored weight may be computed with: scaled, clipped, transposed, reshaped."""

_MOST_COMPUTED = 8
"""Elements of a computed real constant that is a size of something: one for each axis."""

_SAME_SHAPE = frozenset(
    (
        "Binarizer",
        "BipolarQuant",
        "FloatQuant",
        "Imputer",
        "IntQuant",
        "Normalizer",
        "Quant",
        "Trunc",
    )
)
"""Of other domains, without inference: quantisers of QONNX, what scikit-learn prepares features
with. The output has the type and shape of the input.
"""

_NOT_INFERRED = frozenset(("GroupNormalization", "MeanVarianceNormalization"))
"""ONNX's own, of which it infers no shape, or not in every version: that of the input too."""

_WHOLE = frozenset((onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL))
"""Element types of shape arithmetic; exporters compare sizes, too (Equal and Where)."""


@dataclass
class Facts:
    """What is known of a model's tensors.

    Attributes
    ----------
    types : by name, of all that are known
    folded : values of shape arithmetic that other nodes read, or that are outputs of the model
    constants : names of all that depend on no input
    unsound : by name of a node, what ONNX's own inference finds wrong with it
    """

    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    folded: dict[str, AnyArray] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    unsound: dict[str, str] = field(default_factory=dict)


def analyse(model: onnx.ModelProto, opset: int, initialisers: Mapping[str, AnyArray]) -> Facts:
    """Infer shapes and find constants of a bound, sorted model.

    Raises
    ------
    ModelError
        If the constants that its nodes compute would not fit in memory together.
    """
    facts = Facts({value.name: value.type for value in model.graph.input}, {}, set(initialisers))
    for name, array in initialisers.items():
        facts.types[name] = tensor_type(array)
    small = {n: a for n, a in initialisers.items() if a.size <= MAX_SHAPE_DATA}
    needed = {value.name for value in model.graph.output}
    from_shapes: set[str] = set()
    computed, room, work = 0, MAX_ELEMENTS, 0
    most = MAX_COMPUTED + OFTEN * sum(array.size for array in initialisers.values())
    for node in model.graph.node:
        _infer(facts, node, small, model.opset_import, opset)
        known = all(name in facts.constants for name in reads(node)) and is_deterministic(node)
        if known:
            computed += _size(facts, node)
            work += _work(facts, node)
            _check_total(node, computed, most)
            _check_work(node, work)
        results = _fold(facts, node, small, opset, from_shapes, room)
        if results is not None:
            room -= sum(array.size for array in results.values())
            facts.folded.update(results)
            small.update((n, a) for n, a in results.items() if a.size <= MAX_SHAPE_DATA)
            facts.types.update((name, tensor_type(array)) for name, array in results.items())
        else:
            needed.update(reads(node))
            small.update(_stored(facts, node, small, opset))
        if results is not None or known:
            facts.constants.update(name for name in node.output if name)
    facts.folded = {name: array for name, array in facts.folded.items() if name in needed}
    return facts


def _size(facts: Facts, node: onnx.NodeProto) -> int:
    """Elements of a node's outputs, but for those that are never computed: see ``evaluate``."""
    kinds = (facts.types.get(name) for name in node.output)
    shapes = (static_shape(kind) for kind in kinds if kind is not None)
    sizes = (math.prod(shape) for shape in shapes if shape is not None)
    return sum(size for size in sizes if size <= MAX_ELEMENTS)


def _work(facts: Facts, node: onnx.NodeProto) -> int:
    """What a node's outputs take to compute, but for those that are never computed."""
    kinds = [[facts.types.get(n) for n in names if n] for names in (node.input, node.output)]
    read, made = ([kind for kind in group if kind is not None] for group in kinds)
    if node.domain or len(read) + len(made) < sum(map(len, kinds)):
        return 0
    if any(static_shape(kind) is None for kind in (*read, *made)):
        return 0
    work = work_of(node, read, made)
    return work if work <= MAX_WORK else 0


def _stored(
    facts: Facts, node: onnx.NodeProto, small: Mapping[str, AnyArray], opset: int
) -> dict[str, AnyArray]:
    """The value of a real constant that stays a node, where shape arithmetic may ask: scales of a
    Resize, a size that is divided in float and rounded.
    """
    most = MAX_SHAPE_DATA if node.op_type == "Constant" else _MOST_COMPUTED
    if not all(name in small for name in reads(node)) or not 0 < _size(facts, node) <= most:
        return {}
    results = evaluate(node, small, opset) or {}
    return {name: array for name, array in results.items() if array.dtype.kind == "f"}


def _check_total(node: onnx.NodeProto, computed: int, most: int) -> None:
    if computed > most:
        raise ModelError(
            "the constants that nodes compute are too large",
            where=f"node {node.name!r} ({node.op_type})",
            expected=f"at most {most} elements in all of them together",
            found=f"{computed} or more",
            remedy="Store the constants in the model, as onnxsim and onnxslim do",
        )


def _blamed(facts: Facts, node: onnx.NodeProto) -> Callable[[Exception], None]:
    """Remembers what ONNX finds wrong with a node."""

    def remember(error: Exception) -> None:
        shapes = [static_shape(facts.types[n]) for n in node.input if n in facts.types]
        found = " and ".join(str(list(shape)) for shape in shapes if shape is not None)
        text = _PREFIX.sub("", short(error))
        facts.unsound[node.name] = (
            f"expected inputs and attributes that fit each other, found the shapes {found} ({text})"
        )

    return remember


_PREFIX = re.compile(r"\[\w+\]\s*|\(op_type:[^)]*\):\s*")
"""What stands before ONNX's own sentence: who says it, and the operator that we name anyway."""


def _check_work(node: onnx.NodeProto, work: int) -> None:
    most = MAX_WORK_TOGETHER / 1e9
    if work > MAX_WORK_TOGETHER:
        raise ModelError(
            "the constants that nodes compute take too long",
            where=f"node {node.name!r} ({node.op_type})",
            expected=f"products, windows and loops of at most {most:.3g} s in all of them together",
            found=f"{work / 1e9:.3g} s or more",
            remedy="Store the constants in the model, as onnxsim and onnxslim do",
        )


def _infer(
    facts: Facts,
    node: onnx.NodeProto,
    small: Mapping[str, AnyArray],
    imports: Iterable[onnx.OperatorSetIdProto],
    opset: int,
) -> None:
    """Types of a node's outputs, as far as somebody knows."""
    types = facts.types
    if _keeps_shape(node):
        if node.input[0] in types:
            types[node.output[0]] = types[node.input[0]]
        return
    written = write_out(node, types) if node.domain else None
    if written is not None:
        found = infer_pieces(written, types)
        types.update((name, found[name]) for name in node.output if name in found)
    elif node.domain or has_subgraph(node):
        types.update(infer_inner(node, types, imports))
        if kind_of(node) in TREES and node.input and node.input[0] in types:
            types.update(_trees(node, types))
        if kind_of(node) == "ai.onnx.ml.ArrayFeatureExtractor":
            types.update(_labels(node, types))
    else:
        types.update(infer_node(node, types, small, opset, _blamed(facts, node)))


def _keeps_shape(node: onnx.NodeProto) -> bool:
    known = _SAME_SHAPE if node.domain else _NOT_INFERRED
    return node.op_type in known and bool(node.input) and bool(node.output)


def _trees(node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """Decision trees: a row of sums for each sample, where inference does not say so (that of
    version 1 does not).
    """
    shape = static_shape(types[node.input[0]])
    known = types.get(node.output[0])
    targets = next((int(a.i) for a in node.attribute if a.name == "n_targets"), 1)
    if shape is None or len(shape) != 2 or (known is not None and static_shape(known) is not None):
        return {}
    kind = onnx.TensorProto.FLOAT
    return {node.output[0]: helper.make_tensor_type_proto(kind, [shape[0], targets])}


def _labels(node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """Labels out of a list of classes: a row of one for each index, where inference knows matrices
    only. What scikit-learn's classifiers answer would be no tensor that a loss is measured on.
    """
    if len(node.input) != 2 or not types.keys() >= set(node.input):
        return {}
    classes, indices = (static_shape(types[name]) for name in node.input)
    if classes is None or len(classes) != 1 or indices is None:
        return {}
    kind = types[node.input[0]].tensor_type.elem_type
    return {node.output[0]: helper.make_tensor_type_proto(kind, [1, math.prod(indices)])}


def _fold(
    facts: Facts,
    node: onnx.NodeProto,
    small: Mapping[str, AnyArray],
    opset: int,
    from_shapes: set[str],
    room: int,
) -> dict[str, AnyArray] | None:
    """Outputs of a node of shape arithmetic; None for all other nodes.

    Shape arithmetic is what Shape and Size give, what is computed from that, and small integers
    and truth values that are constant. Real constants stay nodes: a weight's DequantizeLinear holds
    its grid. So do results of more than ``room`` elements, which are computed where somebody asks
    for them.
    """
    if node.domain or has_subgraph(node):
        return None
    if node.op_type in ("Shape", "Size"):
        kind = facts.types.get(node.input[0]) if node.input else None
        shape = None if kind is None else static_shape(kind)
        if shape is None or len(node.output) != 1:
            return None
        from_shapes.add(node.output[0])
        if node.op_type == "Size":
            return {node.output[0]: np.array(int(np.prod(shape, dtype=object)), dtype=np.int64)}
        ends = {a.name: int(a.i) for a in node.attribute}
        chosen = shape[slice(ends.get("start", 0), ends.get("end", len(shape)))]
        return {node.output[0]: np.array(chosen, dtype=np.int64)}
    names = reads(node)
    if not all(name in small for name in names):
        return None
    derived = any(name in from_shapes for name in names)
    kinds = [facts.types.get(name) for name in node.output if name]
    integer = all(kind is not None and kind.tensor_type.elem_type in _WHOLE for kind in kinds)
    if (not derived and not integer) or _size(facts, node) > room:
        return None
    results = evaluate(node, small, opset)
    if results is not None and derived:
        from_shapes.update(results)
    return results
