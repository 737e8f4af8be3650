# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of decision trees: single ones, random forests, boosted ones.

Every node of every tree compares one feature with a constant; the answers choose a leaf in each
tree, and the accumulators are the sums of what stands in those leaves. Rules, cited by tests as E1
to E3:

E1. An inner node goes to ``true`` where ``x[feature] <= threshold``, else to ``false``. A node
    comes before those that it leads to, and but one node or root leads to each. A leaf ``k`` is
    written ``-1 - k``.
E2. Hardware makes all comparisons at once, each pair of feature and threshold only once. Then
    multiplexers carry the number of a leaf's row up the tree, with a register after every
    :data:`MUX_LEVELS` of them; rows that are equal in a tree have one number. A look-up turns it
    into the row, and adder trees add the rows of all trees.
E3. A vector is taken in every cycle, and its result comes :attr:`UnrolledTrees.latency` later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..timing.components import Edge, Schedule, outlet_depth, tree_stages
from ..timing.cost import Cost, outlet_cost, select_bits
from .base import Accumulators, Finished, Kernel, StreamPort, check_width
from .finishing import unit_for
from .folds import tree_cost

MUX_LEVELS = 4
"""Levels of multiplexers between two registers: two look-up tables of six inputs."""

_COMPARED_BITS = 6
"""Bits that one look-up table compares with a constant, where neighbours share some of it."""

_TABLE_ROWS = 64
"""Words of one bit that a look-up table holds."""


@dataclass(frozen=True, eq=False)
class TreeEnsembleKernel(Kernel):
    """Sums of the leaves that a vector of features leads to (E1).

    Attributes
    ----------
    x : type of the features
    features : of a vector
    feature, threshold : int64 (nodes,), what an inner node compares
    true, false : int64 (nodes,), where it leads to
    roots : int64 (trees,), an inner node or a leaf
    values : int64 (leaves, outputs), what is added

    Raises
    ------
    ValueError
        If that are no trees, or (WidthError) a sum may be too wide.
    """

    x: IntType
    features: int
    feature: IntArray
    threshold: IntArray
    true: IntArray
    false: IntArray
    roots: IntArray
    values: IntArray

    name = "tree_ensemble"

    def __post_init__(self) -> None:
        nodes, leaves = len(self.feature), len(self.values)
        columns = (self.feature, self.threshold, self.true, self.false)
        if {c.shape for c in columns} != {(nodes,)} or self.values.ndim != 2 or not self.roots.size:
            raise ValueError(
                "trees need columns of one length, a matrix of values and a root, not "
                f"{[c.shape for c in columns]}, {self.values.shape} and {self.roots.shape}"
            )
        if nodes and not 0 <= self.feature.min() <= self.feature.max() < self.features:
            raise ValueError(f"nodes must compare one of {self.features} features (E1)")
        targets = np.concatenate([self.true, self.false, self.roots])
        forward = np.concatenate([self.true, self.false]) > np.tile(np.arange(nodes), 2)
        once = np.array_equal(np.sort(targets), np.arange(-leaves, nodes))
        if not once or not (forward | (targets[: 2 * nodes] < 0)).all():
            raise ValueError("each node and leaf must have one way to it, from a node before (E1)")
        check_width(self.output_ranges, len(self.roots))

    @property
    def outputs(self) -> int:
        """Sums of a vector."""
        return int(self.values.shape[1])

    @cached_property
    def tree_of_leaf(self) -> IntArray:
        """The tree that each leaf is part of."""
        nodes = np.zeros(len(self.feature), np.int64)
        leaves = np.zeros(len(self.values), np.int64)
        inner = self.roots >= 0
        nodes[self.roots[inner]] = np.flatnonzero(inner)
        leaves[-1 - self.roots[~inner]] = np.flatnonzero(~inner)
        for node, ways in enumerate(zip(self.true.tolist(), self.false.tolist(), strict=True)):
            for way in ways:
                if way >= 0:
                    nodes[way] = nodes[node]
                else:
                    leaves[-1 - way] = nodes[node]
        return leaves

    @cached_property
    def depth(self) -> int:
        """Comparisons on the longest way to a leaf."""
        depths = np.zeros(len(self.feature), np.int64)
        for node, ways in enumerate(zip(self.true.tolist(), self.false.tolist(), strict=True)):
            for way in ways:
                if way >= 0:
                    depths[way] = depths[node] + 1
        return int(depths.max()) + 1 if len(depths) else 0

    @cached_property
    def output_ranges(self) -> tuple[Range, ...]:
        """For each output, the sums of every tree's least and largest value."""
        shape = (len(self.roots), self.outputs)
        limits = np.iinfo(np.int64)
        low, high = np.full(shape, limits.max), np.full(shape, limits.min)
        np.minimum.at(low, self.tree_of_leaf, self.values)
        np.maximum.at(high, self.tree_of_leaf, self.values)
        # Python's integers: a sum of wide values may pass 64 bits before it is refused.
        least, most = low.astype(object).sum(axis=0), high.astype(object).sum(axis=0)
        return tuple((int(lo), int(hi)) for lo, hi in zip(least, most, strict=True))

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """See :attr:`output_ranges`."""
        return (tuple((span,) for span in self.output_ranges),)

    @cached_property
    def _loops(self) -> tuple[IntArray, ...]:
        """Columns with the leaves behind the nodes, which lead to themselves; and the roots."""
        nodes, leaves = len(self.feature), len(self.values)
        own = np.arange(nodes, nodes + leaves)
        zeros = np.zeros(leaves, np.int64)

        def place(ways: IntArray) -> IntArray:
            return np.where(ways >= 0, ways, nodes - 1 - ways)

        return (
            np.concatenate([self.feature, zeros]),
            np.concatenate([self.threshold, zeros]),
            np.concatenate([place(self.true), own]),
            np.concatenate([place(self.false), own]),
            place(self.roots),
        )

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """Level by level, all vectors and trees at once; (N, 1, outputs)."""
        (x,) = streams
        feature, threshold, true, false, roots = self._loops
        at = np.broadcast_to(roots, (len(x), len(roots)))
        rows = np.arange(len(x))[:, None]
        for _ in range(self.depth):
            goes = x[rows, feature[at]] <= threshold[at]
            at = np.where(goes, true[at], false[at])
        return ((self.values[at - len(self.feature)].sum(axis=1, keepdims=True),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The same walk: Gather, LessOrEqual and Where a level, then a sum of integers."""
        x = writer.reshape(writer.cast(streams[0], np.float64), [self.features])
        columns = self._loops
        feature, true, false, at = (writer.constant(columns[k], np.int64) for k in (0, 2, 3, 4))
        threshold = writer.constant(columns[1], np.float64)
        for _ in range(self.depth):
            value = writer.op("Gather", x, writer.op("Gather", feature, at))
            goes = writer.op("LessOrEqual", value, writer.op("Gather", threshold, at))
            ways = (writer.op("Gather", way, at) for way in (true, false))
            at = writer.op("Where", goes, *ways)
        leaf = writer.op("Sub", at, writer.constant(len(self.feature), np.int64))
        rows = writer.op("Gather", writer.constant(self.values, np.float64), leaf)
        return ((writer.op("ReduceSum", rows, writer.constant([0], np.int64)),),)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[UnrolledTrees]:
        """One: all nodes at once."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        nodes = zip(*(c.tolist() for c in (self.feature, self.threshold)), strict=True)
        ways = zip(self.true.tolist(), self.false.tolist(), strict=True)
        trees = Trees(
            self.features,
            tuple((*node, *way) for node, way in zip(nodes, ways, strict=True)),
            tuple(self.roots.tolist()),
            tuple(map(tuple, self.values.tolist())),
            tuple(self.tree_of_leaf.tolist()),
        )
        return [UnrolledTrees(trees, self.x, unit_for(finisher, self.outputs, ranges, out))]


@dataclass(frozen=True)
class Trees:
    """Trees as hardware has them (E2).

    Attributes
    ----------
    features : of a vector
    nodes : (feature, threshold, true, false) of every inner node
    roots : of every tree
    values : the row of every leaf
    homes : the tree of every leaf
    """

    features: int
    nodes: tuple[tuple[int, int, int, int], ...]
    roots: tuple[int, ...]
    values: tuple[tuple[int, ...], ...]
    homes: tuple[int, ...]

    @cached_property
    def comparisons(self) -> tuple[tuple[int, int], ...]:
        """Every pair of feature and threshold, once."""
        return tuple(sorted({node[:2] for node in self.nodes}))

    @cached_property
    def rows(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The different rows of each tree, in the order of its leaves."""
        found: list[dict[tuple[int, ...], None]] = [{} for _ in self.roots]
        for home, row in zip(self.homes, self.values, strict=True):
            found[home].setdefault(row)
        return tuple(tuple(rows) for rows in found)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """For each leaf, the number of its row in its tree."""
        index = [{row: k for k, row in enumerate(rows)} for rows in self.rows]
        return tuple(index[home][row] for home, row in zip(self.homes, self.values, strict=True))

    @cached_property
    def stages(self) -> tuple[int, ...]:
        """For each inner node, the registers between the comparisons and its multiplexer."""
        heights = [0] * len(self.nodes)
        for index in range(len(self.nodes) - 1, -1, -1):  # whom a node leads to comes behind it
            _, _, *ways = self.nodes[index]
            heights[index] = 1 + max(heights[way] if way >= 0 else 0 for way in ways)
        return tuple((height - 1) // MUX_LEVELS for height in heights)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Bits of the number that each inner node gives."""
        most = [0] * len(self.nodes)
        for index in range(len(self.nodes) - 1, -1, -1):
            _, _, *ways = self.nodes[index]
            most[index] = max(most[w] if w >= 0 else self.numbers[-1 - w] for w in ways)
        return tuple(max(1, number.bit_length()) for number in most)

    @cached_property
    def stage(self) -> int:
        """Registers between the comparisons and the look-ups."""
        return max(self.stages, default=0)

    def row_ranges(self, tree: int) -> tuple[Range, ...]:
        """For each output, the range of a tree's values."""
        columns = zip(*self.rows[tree], strict=True)
        return tuple((min(column), max(column)) for column in columns)

    @cached_property
    def cost(self) -> Cost:
        """Multiplexers, look-ups, adder trees, and the registers between them.

        A node comes to about one look-up table, for most bits of its number are constant; a bit of
        a row to one for 64 rows.
        """
        last: dict[tuple[int, int], int] = {}
        registers = 0
        for node, stage in zip(self.nodes, self.stages, strict=True):
            last[node[:2]] = max(stage, last.get(node[:2], 0))
            registers += sum(
                (stage - self.stages[way]) * self.widths[way] for way in node[2:] if way >= 0
            )
        for root in self.roots:
            if root >= 0:
                registers += (self.stage - self.stages[root]) * self.widths[root]
        registers += sum(1 + stage for stage in last.values())
        cost = Cost(adders=len(self.nodes), registers=registers)
        widest = [0] * len(self.values[0])
        for tree, rows in enumerate(self.rows):
            bits = [IntType.holding(*span).bits for span in self.row_ranges(tree)]
            widest = [max(pair) for pair in zip(widest, bits, strict=True)]
            if len(rows) > 1:
                tables = -(-len(rows) // _TABLE_ROWS)
                width = sum(bits)
                adders = width * tables + select_bits(width, tables)
                cost += Cost(adders=adders, registers=width)
        return sum((tree_cost(len(self.roots), bits) for bits in widest), cost)


@dataclass(frozen=True)
class UnrolledTrees(Finished):
    """All trees at once: a vector in one beat, its sums in one beat (E2, E3).

    Attributes
    ----------
    trees : what is compared and added
    x : type of the features
    unit : the finisher, one lane an output
    """

    trees: Trees
    x: IntType
    unit: FinisherUnit

    strategy = "unrolled"

    @property
    def sum_delay(self) -> int:
        """Cycles from a vector to its sums: comparisons, multiplexers, look-up, adder tree."""
        return 2 + self.trees.stage + tree_stages(len(self.trees.roots))

    @property
    def pipeline(self) -> int:
        """Cycles from a vector to its written result."""
        return self.sum_delay + self.unit.latency

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """A vector a beat."""
        return (StreamPort(self.x, self.trees.features, 1),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """A result a beat."""
        return (StreamPort(self.unit.out, self.unit.lanes, 1),)

    @property
    def cycles(self) -> int:
        """One."""
        return 1

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Comparisons, trees, finisher, output FIFO."""
        logic = -(-len(self.trees.comparisons) * (self.x.bits - 1) // _COMPARED_BITS)
        compare = Cost(adders=logic, registers=2 * self.sum_delay)
        width = self.unit.lanes * self.unit.out.bits + 1
        return compare + self.trees.cost + self.unit.cost + outlet_cost(width, self.depth)

    @property
    def effort(self) -> float:
        """Nodes and rows are what takes long."""
        return super().effort + 0.002 * (len(self.trees.nodes) + len(self.trees.values))

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """A pipeline of one beat each cycle (rule T5)."""
        (o,) = outputs
        schedule.stream(name, inputs, o, latency=self.pipeline, depth=self.depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.tree_ensemble.DecisionTrees`."""
        from ..datapath.tree_ensemble import DecisionTrees

        return DecisionTrees(self, name)
