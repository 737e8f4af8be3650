# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One-hot rows times a constant matrix: rows of the matrix, looked up.

A one-hot is written as OneHot, or as a comparison with constants (``x == [0, 1, 2, ...]``, what JAX
writes). Integers without a place in it give zeros, in a row of their own at either end of the
table, which all beyond it read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from ...hw.numeric import ends_of
from ..load.constants import Context, attributes
from ..ops.base import Unsupported
from ..ops.embedding import MOST_ENTRIES
from .match import Match, make_node
from .reading import known_array

_BROADCASTS = frozenset({"Expand", "Unsqueeze", "Reshape"})
"""Operators that lay integers out for a comparison, beside each of the constants."""


@dataclass(frozen=True, eq=False)
class _OneHot:
    """Integers, the integer that each place of a one-hot row stands for, and its nodes."""

    x: str
    places: npt.NDArray[np.int64]
    wrap: int
    nodes: tuple[onnx.NodeProto, ...]


@dataclass(frozen=True)
class OneHotProduct:
    """A :class:`~.match.Pattern`."""

    operator: str = "Embedding"
    before: str = "MatMul(Cast(Equal(x, [0, 1, 2, ...])), table), MatMul(OneHot(x), table)"
    after: str = "Embedding(x, table)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The product that a node is."""
        if root.domain or root.op_type != "MatMul":
            return None
        source = context.source
        table = known_array(context, root.input[1])
        if table is None or table.ndim != 2:
            return None
        found = _one_hot(context, root.input[0])
        if found is None or len(found.places) != len(table):
            return None
        low, high = int(found.places.min()) - 1, int(found.places.max()) + 1
        shape = source.values[root.output[0]].shape
        positions = int(np.prod(source.values[found.x].shape))
        if high - low >= MOST_ENTRIES or int(np.prod(shape)) != positions * table.shape[1]:
            return None
        rows = np.zeros((high - low + 1, table.shape[1]))
        np.add.at(rows, found.places - low, table)
        name = f"{root.name}::table"
        options = {"low": low, "wrap": found.wrap}
        made = make_node("Embedding", [found.x, name], root.output[0], options)
        nodes = frozenset(node.name for node in (root, *found.nodes))
        return Match(nodes, (made,), {name: rows})


def _one_hot(context: Context, name: str) -> _OneHot | None:
    """The one-hot rows that a tensor holds, along its last axis."""
    source = context.source
    nodes: list[onnx.NodeProto] = []
    node = source.producers.get(name)
    while node is not None and not node.domain and node.op_type == "Cast":
        nodes.append(node)
        node = source.producers.get(node.input[0])
    if node is None or node.domain:
        return None
    nodes.append(node)
    if node.op_type == "OneHot":
        return _of_operator(context, node, nodes)
    if node.op_type == "Equal" and len(nodes) > 1:
        for x, constants in (node.input, node.input[::-1]):
            if x not in source.constants and constants in source.constants:
                return _of_comparison(context, x, constants, nodes)
    return None


def _of_operator(
    context: Context, node: onnx.NodeProto, nodes: list[onnx.NodeProto]
) -> _OneHot | None:
    """OneHot: negative integers count from the end."""
    source = context.source
    depth, values = (known_array(context, name) for name in node.input[1:3])
    rank = len(source.values[node.output[0]].shape)
    if depth is None or depth.size != 1 or values is None or values.tolist() != [0.0, 1.0]:
        return None
    if attributes(node).get("axis", -1) % rank != rank - 1:
        return None
    if ends_of(source.values[node.input[0]].dtype) is None:
        return None
    count = int(depth.reshape(-1)[0])
    return _OneHot(node.input[0], np.arange(count), count, tuple(nodes))


def _of_comparison(
    context: Context, x: str, constants: str, nodes: list[onnx.NodeProto]
) -> _OneHot | None:
    """Equal: each constant is a place."""
    source = context.source
    whole = source.values[nodes[-1].output[0]].shape
    array = _whole_numbers(context, constants)
    if ends_of(source.values[x].dtype) is None or array is None:
        return None
    if array.size != whole[-1] or array.shape[-1:] != whole[-1:]:
        return None
    # Back to where each integer stands by itself, if it was repeated beside the constants.
    while (node := source.producers.get(x)) is not None and not node.domain:
        repeated = source.values[x].shape == whole and whole[-1] > 1
        if not repeated or node.op_type not in _BROADCASTS:
            break
        nodes.append(node)
        x = node.input[0]
    if source.values[x].shape[-1:] != (1,) or source.values[x].shape[:-1] != whole[:-1]:
        return None
    return _OneHot(x, array.ravel(), 0, tuple(nodes))


def _whole_numbers(context: Context, name: str) -> npt.NDArray[np.int64] | None:
    """A constant of integers; None for another one."""
    try:
        constant = context.const(name)
    except Unsupported:
        return None
    if constant is None or constant.scale is not None or constant.values.dtype != np.int64:
        return None
    values: npt.NDArray[np.int64] = constant.values
    return values


ONE_HOT_PRODUCT = OneHotProduct()
