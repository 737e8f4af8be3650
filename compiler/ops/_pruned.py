# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision trees over integers, without what no integer of the type can reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...hw.numeric import IntArray
from ._trees import Forest

Row = tuple[int, ...]


@dataclass
class _Left:
    """Nodes that are left: what they compare, and a node or a row on both sides."""

    feature: list[int]
    threshold: list[int]
    ways: list[list[int | Row]]


class Pruned(NamedTuple):
    """What a kernel of trees is made of."""

    feature: IntArray
    threshold: IntArray
    true: IntArray
    false: IntArray
    roots: IntArray
    values: IntArray


def pruned(forest: Forest, thresholds: Sequence[int], values: IntArray, lo: int, hi: int) -> Pruned:
    """The trees that are left for integer features between ``lo`` and ``hi``.

    What is known on the way to a node is not compared again, nodes whose ways end alike are no
    nodes, and trees of one leaf are added to the leaves of another.
    """
    rows: list[Row] = [tuple(row) for row in values.tolist()]
    found = _Left([], [], [])
    roots: list[int | Row] = []
    for root in forest.roots.tolist():
        first = len(found.feature)
        roots.append(_grow(forest, thresholds, rows, root, (lo, hi), found))
        for index in range(len(found.feature) - 1, first - 1, -1):
            ways = found.ways[index]
            for side in (0, 1):
                ways[side] = _ending(found, ways[side])
        roots[-1] = _ending(found, roots[-1])
    constant = np.array([r for r in roots if isinstance(r, tuple)], np.int64)
    total = constant.reshape(-1, values.shape[1]).sum(axis=0)
    left = [root for root in roots if isinstance(root, int)]
    if not left:
        empty = np.zeros(0, np.int64)
        return Pruned(empty, empty, empty, empty, np.array([-1]), total[None])
    return _numbered(found, left, total)


def _grow(
    forest: Forest,
    thresholds: Sequence[int],
    rows: Sequence[Row],
    root: int,
    whole: tuple[int, int],
    found: _Left,
) -> int | Row:
    """The root of a tree whose comparisons are all open."""
    start: list[int | Row] = [0]
    stack: list[tuple[int, dict[int, tuple[int, int]], list[int | Row], int]]
    stack = [(root, {}, start, 0)]
    while stack:
        way, known, home, side = stack.pop()
        while way >= 0:
            feature, threshold = int(forest.feature[way]), thresholds[way]
            low, high = known.get(feature, whole)
            if low <= threshold < high:
                break
            way = int(forest.true[way] if threshold >= high else forest.false[way])
        if way < 0:
            home[side] = rows[-1 - way]
            continue
        home[side] = len(found.feature)
        ends: list[int | Row] = [0, 0]
        found.feature.append(feature)
        found.threshold.append(threshold)
        found.ways.append(ends)
        stack.append((int(forest.false[way]), {**known, feature: (threshold + 1, high)}, ends, 1))
        stack.append((int(forest.true[way]), {**known, feature: (low, threshold)}, ends, 0))
    return start[0]


def _ending(found: _Left, way: int | Row) -> int | Row:
    """The row in which both ways of a node end, if it is one; else the node."""
    if isinstance(way, tuple):
        return way
    true, false = found.ways[way]
    return true if isinstance(true, tuple) and true == false else way


def _numbered(found: _Left, roots: Sequence[int], total: IntArray) -> Pruned:
    """Numbers for the nodes that are still led to, and for each end a leaf of its own; ``total`` is
    added to the leaves of the first tree.
    """
    columns: list[list[int]] = [[], [], [], []]
    leaves: list[IntArray] = []
    starts: list[int] = []
    for tree, root in enumerate(roots):
        starts.append(len(columns[0]))
        stack: list[tuple[int | Row, int, int]] = [(root, -1, 0)]
        while stack:
            way, parent, side = stack.pop()
            if isinstance(way, tuple):
                columns[side][parent] = -1 - len(leaves)
                leaves.append(np.array(way, np.int64) + (0 if tree else total))
                continue
            if parent >= 0:
                columns[side][parent] = len(columns[0])
            own = len(columns[0])
            for column, value in zip(
                columns, (found.feature[way], found.threshold[way], 0, 0), strict=True
            ):
                column.append(value)
            true, false = found.ways[way]
            stack += [(false, own, 3), (true, own, 2)]
    arrays = [np.array(column, np.int64) for column in columns]
    roots_and_rows = np.array(starts, np.int64), np.stack(leaves)
    return Pruned(arrays[0], arrays[1], arrays[2], arrays[3], *roots_and_rows)
