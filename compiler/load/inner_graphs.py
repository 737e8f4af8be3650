# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Types of what nodes make that have graphs inside (If, Loop, Scan), or belong to another domain
that ONNX knows: it infers a graph as a whole.

On the way nobody looks at what it makes (:mod:`.ranks`). So the graph is walked first, node by
node. Nodes that could not be inferred so, because only ONNX knows what they read, are left out of
the whole if they might make lengths or axes beyond bounds of it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping

import onnx
from onnx import helper, numpy_helper

from ...hw.formats.tensor import AnyArray
from .evaluate import MAX_SHAPE_DATA, evaluate, has_subgraph, infer_alone, infer_node
from .ranks import COUNTS, check_types
from .source import reads, subgraphs

_DOUBTFUL = frozenset(COUNTS) | {
    "ConcatFromSequence",
    "Einsum",
    "Gather",
    "GatherND",
    "Loop",
    "OneHot",
    "Scan",
    "Slice",
    "StringSplit",
    "Unsqueeze",
}
"""What may make more axes than it reads, or must not read a length below 0."""


def infer_inner(
    node: onnx.NodeProto,
    types: Mapping[str, onnx.TypeProto],
    imports: Iterable[onnx.OperatorSetIdProto],
) -> dict[str, onnx.TypeProto]:
    """Types of a node's outputs, as far as ONNX can say.

    Parameters
    ----------
    types : of what is known around the node
    imports : versions of the domains
    """
    walk = _Walk(list(imports))
    own = onnx.NodeProto()
    own.CopyFrom(node)
    for graph in subgraphs(own):
        walk.visit(graph, types)
    return infer_alone(own, _read(own, types), walk.imports)


def _read(node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    return {name: types[name] for name in reads(node) if name in types}


class _Walk:
    def __init__(self, imports: list[onnx.OperatorSetIdProto]) -> None:
        self.imports = imports
        self._opset = next(entry.version for entry in imports if not entry.domain)

    def visit(self, graph: onnx.GraphProto, around: Mapping[str, onnx.TypeProto]) -> None:
        """Take out of a graph, in place, what ONNX should not infer: what it declares of tensors on
        the way, nodes that are wrong, and doubtful ones of which nobody knows what they read.
        """
        types, values = dict(around), dict[str, AnyArray]()
        for tensor in graph.initializer:
            types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if math.prod(tensor.dims) <= MAX_SHAPE_DATA:
                with contextlib.suppress(KeyError, TypeError, ValueError):  # no array of numpy's
                    values[tensor.name] = numpy_helper.to_array(tensor)
        _undeclare(graph)
        for value in graph.input:
            types.pop(value.name, None)
        for node in graph.node:
            found = self._step(node, types, values)
            for name in node.output:
                types.pop(name, None)
            types.update(found)

    def _step(
        self,
        node: onnx.NodeProto,
        types: Mapping[str, onnx.TypeProto],
        values: dict[str, AnyArray],
    ) -> dict[str, onnx.TypeProto]:
        """One node of a graph inside."""
        wrong: list[Exception] = []
        for inner in subgraphs(node):
            self.visit(inner, types)
        if node.domain or has_subgraph(node):
            found = infer_alone(node, _read(node, types), self.imports)
        else:
            found = infer_node(node, types, values, self._opset, wrong.append)
        if node.op_type == "Constant":
            values.update(evaluate(node, {}, self._opset) or {})
        if wrong or (not found and not node.domain and node.op_type in _DOUBTFUL):
            node.op_type = "LeftOut"  # which ONNX does not know
        return found


def _undeclare(graph: onnx.GraphProto) -> None:
    """Forget the shapes that a graph declares, but for those of results that it does not read."""
    read = {name for node in graph.node for name in reads(node)}
    results = [value for value in graph.output if value.name not in read and _is_sound(value)]
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value not in results and value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _is_sound(value: onnx.ValueInfoProto) -> bool:
    try:
        check_types({value.name: value.type})
    except ValueError:
        return False
    return True
