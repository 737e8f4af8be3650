# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Constant matrix products as graphs of additions: what is computed, how wide, how deep, how dear.

An :class:`AdderGraph` is data: :mod:`.adder_solver` makes one of a matrix, and whoever builds it
only follows it. Rules, cited by tests as G1 to G4:

G1. Operand ``k`` is input ``k``, or node ``k - inputs``; nodes use earlier operands only. A node is
    ``left + right`` or ``left - right``, one of the two shifted left by a constant.
G2. Every operand is a linear form of the inputs, so its range is exact: each coefficient times the
    worse end of its input. Operands are as wide as their range needs.
G3. The adders are in levels: an input has depth 0, a node is one deeper than its deeper operand.
    A register follows every ``TREE_LEVELS`` levels, and one the last: all outputs come
    :attr:`AdderGraph.stages` cycles after the inputs.
G4. Cost and latency are read off the graph, by the functions that the hardware is made with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..finish.base import Range
from ..numeric import IntArray, IntType
from ..timing.components import TREE_LEVELS

__all__ = ["ZERO", "AdderGraph", "Addition", "Output"]

ZERO = -1
"""The operand that is no operand: the constant 0."""


class Addition(NamedTuple):
    """``left`` plus ``right``, or minus it if ``negative`` (G1).

    A positive ``shift`` moves ``right`` to the left by so many bits, a negative one ``left``.
    ``left`` may be :data:`ZERO`: the node then negates.
    """

    left: int
    right: int
    shift: int
    negative: bool


class Output(NamedTuple):
    """An operand (or :data:`ZERO`), shifted left by ``shift`` bits."""

    operand: int
    shift: int


@dataclass(frozen=True)
class AdderGraph:
    """A constant matrix product (G1 to G4).

    Attributes
    ----------
    inputs : closed range of each input
    nodes : additions, operands first
    outputs : one for each row of the matrix
    """

    inputs: tuple[Range, ...]
    nodes: tuple[Addition, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        operands = len(self.inputs)
        for index, node in enumerate(self.nodes):
            if not (ZERO <= node.left < operands + index and 0 <= node.right < operands + index):
                raise ValueError(f"node {index} ({node}) uses an operand that comes after it")
        for output in self.outputs:
            if not ZERO <= output.operand < operands + len(self.nodes) or output.shift < 0:
                raise ValueError(f"{output} is no operand of {operands} inputs, shifted left")

    @cached_property
    def forms(self) -> IntArray:
        """Coefficients of every operand: (operands, inputs)."""
        count = len(self.inputs)
        forms = np.zeros((count + len(self.nodes), count), dtype=np.int64)
        forms[:count] = np.eye(count, dtype=np.int64)
        for index, node in enumerate(self.nodes, count):
            left = 0 if node.left == ZERO else forms[node.left] << max(-node.shift, 0)
            right = forms[node.right] << max(node.shift, 0)
            forms[index] = left - right if node.negative else left + right
        return forms

    @cached_property
    def matrix(self) -> IntArray:
        """The matrix of the product: (outputs, inputs)."""
        return np.array([self._row(output) for output in self.outputs], dtype=np.int64).reshape(
            len(self.outputs), len(self.inputs)
        )

    def _row(self, output: Output) -> IntArray:
        if output.operand == ZERO:
            return np.zeros(len(self.inputs), dtype=np.int64)
        return self.forms[output.operand] << output.shift

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """Exact range of every operand (G2)."""
        return _spans(self.forms, self.inputs)

    @cached_property
    def output_ranges(self) -> tuple[Range, ...]:
        """Exact range of every output (G2)."""
        return _spans(self.matrix, self.inputs)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Levels of adders in front of every operand, its own included (G3)."""
        depths = [0] * len(self.inputs)
        for node in self.nodes:
            left = 0 if node.left == ZERO else depths[node.left]
            depths.append(1 + max(left, depths[node.right]))
        return tuple(depths)

    @property
    def depth(self) -> int:
        """Levels of adders in front of the deepest output."""
        return max((self.depths[o.operand] for o in self.outputs if o.operand != ZERO), default=0)

    @property
    def stages(self) -> int:
        """Cycles from the inputs to all outputs (G3)."""
        return -(-self.depth // TREE_LEVELS)

    def born(self, operand: int) -> int:
        """Registers in front of the adder that makes an operand (G3)."""
        return max(self.depths[operand] - 1, 0) // TREE_LEVELS

    def uses(self) -> Iterator[tuple[int, int]]:
        """Every use of an operand, and the registers that are in front of the user (G3)."""
        for index, node in enumerate(self.nodes, len(self.inputs)):
            for operand in (node.left, node.right):
                if operand != ZERO:
                    yield operand, self.born(index)
        for output in self.outputs:
            if output.operand != ZERO:
                yield output.operand, self.stages

    @cached_property
    def register_bits(self) -> int:
        """Bits of all registers: each operand is held until its last use."""
        last: dict[int, int] = {}
        for operand, stage in self.uses():
            last[operand] = max(stage, last.get(operand, 0))
        return sum(
            (stage - self.born(operand)) * IntType.holding(*self.ranges[operand]).bits
            for operand, stage in last.items()
        )

    @cached_property
    def adder_bits(self) -> int:
        """Bits that are added: one full adder each."""
        return sum(self.node_bits(index) for index in range(len(self.nodes)))

    def node_bits(self, index: int) -> int:
        """Bits that a node adds; those below a shifted operand pass by."""
        node = self.nodes[index]
        total = IntType.holding(*self.ranges[len(self.inputs) + index]).bits
        low = node.left if node.shift > 0 else node.right
        if node.shift < 0 and node.negative:
            return total  # what is subtracted lies lowest: it borrows from the first bit on
        if low == ZERO:
            return total - abs(node.shift)
        below = IntType.holding(*self.ranges[low])
        if not node.negative and not below.signed and below.bits <= abs(node.shift):
            return 0  # the operands do not overlap
        return total - abs(node.shift)

    def evaluate(self, x: IntArray) -> IntArray:
        """The product, node by node: integers (..., inputs) to int64 (..., outputs)."""
        values = [x[..., k].astype(np.int64) for k in range(len(self.inputs))]
        zero = np.zeros(x.shape[:-1], dtype=np.int64)
        for node in self.nodes:
            left = zero if node.left == ZERO else values[node.left] << max(-node.shift, 0)
            right = values[node.right] << max(node.shift, 0)
            values.append(left - right if node.negative else left + right)
        return np.stack(
            [zero if o.operand == ZERO else values[o.operand] << o.shift for o in self.outputs],
            axis=-1,
        )


def _spans(forms: IntArray, inputs: Sequence[Range]) -> tuple[Range, ...]:
    """Ranges of linear forms (rows) over a box."""
    lows, highs = (np.array(ends, dtype=object) for ends in zip(*inputs, strict=True))
    up, down = np.maximum(forms, 0).astype(object), np.minimum(forms, 0).astype(object)
    least, most = up @ lows + down @ highs, up @ highs + down @ lows
    return tuple((int(lo), int(hi)) for lo, hi in zip(least, most, strict=True))
