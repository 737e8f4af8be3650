# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators that ONNX itself defines by others, written out while loading, once types are known.

F1. Those that are named here are written out by the function that their schema has, for the opset
    of the model; others that have one (Softmax, LayerNormalization) have operators of midwire's.
F2. A Sum is an Add of two at a time, from the first on; a Mean is a Sum divided by how many there
    are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper
from onnx.inliner import inline_selected_functions

from ...hw.formats.tensor import AnyArray
from .expansion import (
    Expansion,
    OtherMeaningError,
    Pieces,
    Rule,
    inner_name,
    inner_node,
    named_node,
)
from .infer import analyse
from .source import kind_of

FUNCTIONS = frozenset(
    (
        "CausalConvWithState",
        "CenterCropPad",
        "MeanVarianceNormalization",
        "ReduceL1",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "RotaryEmbedding",
        "SwiGLU",
        "ai.onnx.preview.FlexAttention",
    )
)
"""Rule F1."""

Types = Mapping[str, onnx.TypeProto]


def expand_functions(found: Expansion, opset: int, initialisers: Mapping[str, AnyArray]) -> None:
    """Write out (rules F1 and F2) a bound, sorted model with unique names."""
    kinds = {kind_of(node) for node in found.model.graph.node}
    if kinds & {"Mean", "Sum"}:
        found.write_out(lambda node: _SUMS.get(kind_of(node)))
    if kinds & FUNCTIONS:
        types = analyse(found.model, opset, initialisers).types
        imports = list(found.model.opset_import)

        def rule(node: onnx.NodeProto) -> Pieces:
            return _written(node, types, imports)

        found.write_out(lambda node: rule if kind_of(node) in FUNCTIONS else None)


def _complete(node: onnx.NodeProto, imports: list[onnx.OperatorSetIdProto]) -> onnx.NodeProto:
    """A node with the defaults of its schema for the attributes that it leaves out: inlining would
    leave them out of the body too, where they have other defaults.
    """
    found = onnx.NodeProto()
    found.CopyFrom(node)
    version = next((i.version for i in imports if i.domain == node.domain), 1)
    known = {attribute.name for attribute in node.attribute}
    for name, attribute in onnx.defs.get_schema(
        node.op_type, version, node.domain
    ).attributes.items():
        if name not in known and attribute.default_value.name:
            found.attribute.append(attribute.default_value)
    return found


def _written(node: onnx.NodeProto, types: Types, imports: list[onnx.OperatorSetIdProto]) -> Pieces:
    """The body of a node's function, its inner names made those of this node."""
    unknown = [name for name in node.input if name and name not in types]
    if unknown:
        raise OtherMeaningError(f"expected tensors of known types, found {unknown[0]!r}")
    given = [helper.make_value_info(name, types[name]) for name in node.input if name]
    made = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    alone = helper.make_model(
        helper.make_graph([_complete(node, imports)], "alone", given, made), opset_imports=imports
    )
    key = (node.domain, node.op_type)
    try:
        graph = inline_selected_functions(alone, [key], inline_schema_functions=True).graph
    except RuntimeError as error:  # of an input in the middle that is left out
        raise OtherMeaningError("expected all inputs, found some left out") from error
    if any((inner.domain, inner.op_type) == key for inner in graph.node):
        raise OtherMeaningError("expected a form that ONNX defines by other operators, found none")
    border = {*node.input, *node.output}
    for index, inner in enumerate(graph.node):
        last = node.output[0] in inner.output
        inner.name = node.name if last else inner_name(node, f"{index}_{inner.op_type}")
        for names in (inner.input, inner.output):
            names[:] = [n if n in border else inner_name(node, n) for n in names]
    return Pieces(list(graph.node))


def _sum(node: onnx.NodeProto) -> Pieces:
    if len(node.input) == 1:
        return Pieces([named_node(node, node.output[0], "Identity", node.input[0])])
    nodes, total = _added(node, list(node.input[:-1]))
    return Pieces([*nodes, named_node(node, node.output[0], "Add", total, node.input[-1])])


def _added(node: onnx.NodeProto, names: list[str]) -> tuple[list[onnx.NodeProto], str]:
    """Adds inside of a node, and what they make."""
    nodes, total = [], names[0]
    for index, name in enumerate(names[1:]):
        nodes.append(inner_node(node, f"sum{index}", "Add", total, name))
        total = nodes[-1].name
    return nodes, total


def _mean(node: onnx.NodeProto) -> Pieces:
    nodes, total = _added(node, list(node.input))
    count = inner_name(node, "count")
    mean = named_node(node, node.output[0], "Div", total, count)
    return Pieces([*nodes, mean], {count: np.array(len(node.input), np.float32)})


_SUMS: Mapping[str, Rule] = {"Mean": _mean, "Sum": _sum}
"""Rule F2."""
