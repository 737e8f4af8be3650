# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernels of a recurrent layer, one after the other: sequences turned, ended and joined, and
states before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ...hw.formats.tensor import Layout
from ...hw.kernels.base import Kernel
from ...hw.kernels.concat import ConcatKernel
from ...hw.kernels.recurrent import RecurrentKernel
from ...hw.kernels.reorder import ReorderKernel
from ...hw.kernels.split import SplitKernel
from ...hw.numeric import MAX_BITS, Affine, IntType, QType
from ...hw.numeric.cells import Grid
from ..ir.lowered import Call, Inner, Meaning, OutputSpec
from ..ir.quant import QTensor
from ._elementwise import rounded
from .base import Unsupported


@dataclass
class Sequences:
    """Calls of kernels (rule L1); results are numbered behind the layer's inputs.

    Attributes
    ----------
    inputs : of the layer, the sequences first
    grid : of its states
    """

    inputs: Sequence[QTensor]
    grid: Grid
    _calls: list[Call] = field(default_factory=list)
    _results: list[Inner | Meaning] = field(default_factory=list)

    @property
    def calls(self) -> tuple[Call, ...]:
        """All of them so far."""
        return tuple(self._calls)

    def add(self, kernel: Kernel, source: int | Sequence[int], *results: Meaning | Inner) -> int:
        """A kernel that reads these; the number of its first result."""
        inputs = (source,) if isinstance(source, int) else tuple(source)
        self._calls.append(Call(kernel, inputs, results))
        self._results.extend(results)
        return len(self.inputs) + len(self._results) - len(results)

    def inner(self, kernel: RecurrentKernel) -> list[Inner]:
        """States, as integers: the hidden ones, and of further ones those that are kept."""
        counts = kernel.results, *[1] * len(kernel.kept)
        return [
            _inner((count, kernel.sequences, kernel.units), _held(*ends))
            for count, ends in zip(counts, (kernel.state, *kernel.kept), strict=True)
        ]

    def begins(self, at: int) -> list[tuple[int, IntType]]:
        """For each direction the states of an input before the first step, on the states' grid: the
        numbers of the results, and the types of their integers.
        """
        x = self.inputs[at]
        directions, *rest = x.shape
        reals = [(end - x.qtype.zero_point) * x.qtype.step for end in (x.qtype.lo, x.qtype.hi)]
        held = _held(*(round(real * self.grid.one) for real in reals))
        grid = replace(held, scale=1 / self.grid.one)
        call = rounded(x, grid, at)
        whole = self.add(call.kernel, call.inputs, *call.results)
        if directions == 1:
            return [(whole, grid.integers)]
        parts = tuple(range(directions))
        sizes = (math.prod(rest),) * directions
        kernel = SplitKernel(grid.integers, sizes, parts, 1, (1,) * directions)
        own = Inner((1, *rest), grid, in_order((1, *rest)))
        first = self.add(kernel, whole, *[own] * directions)
        return [(first + k, grid.integers) for k in parts]

    def meaning(self, output: OutputSpec) -> Meaning:
        """What states stand for: multiples of ``2**-A``."""
        axis = len(output.shape) - 1
        functions = [Affine((Fraction(1, self.grid.one),), Fraction(0))] * output.shape[axis]
        return Meaning(functions, axis, one_by_one(output.shape))

    def turned(self, at: int) -> int:
        """The elements of a sequence, last to first."""
        (rows, count, size), kind = self._known(at)
        if rows == 1:
            return at
        loops = ((rows, -size), (size, 1))
        kernel = ReorderKernel(kind.integers, rows * size, count, loops, (rows - 1) * size)
        return self.add(kernel, at, _inner((rows, count, size), kind))

    def begun(self, at: int, length: int) -> int:
        """The first elements of a sequence."""
        (rows, count, size), kind = self._known(at)
        blocks = (length * size, (rows - length) * size)
        kernel = SplitKernel(kind.integers, blocks, (0, -1), count, (1,))
        return self.add(kernel, at, _inner((length, count, size), kind))

    def ended(self, at: int) -> int:
        """The last element of a sequence alone."""
        (rows, count, size), kind = self._known(at)
        if rows == 1:
            return at
        kernel = SplitKernel(kind.integers, ((rows - 1) * size, size), (-1, 0), count, (1,))
        return self.add(kernel, at, _inner((1, count, size), kind))

    def join(self, states: Sequence[int], output: OutputSpec) -> None:
        """The states of all directions in turn, as an output."""
        units = output.shape[-1]
        turns = math.prod(output.shape) // (units * len(states))
        types = tuple(self._known(at)[1].integers for at in states)
        kernel = ConcatKernel(types, (units,) * len(states), turns, units)
        self.add(kernel, states, self.meaning(output))

    def _known(self, at: int) -> tuple[Shape, QType]:
        """Elements of a sequence, sequences, numbers of an element; and their type."""
        count = len(self.inputs)
        found = self.inputs[at] if at < count else self._results[at - count]
        assert not isinstance(found, Meaning), "no call reads an output"
        rows, count, size = found.shape
        return (rows, count, size), found.qtype


Shape = tuple[int, int, int]


def one_by_one(shape: Sequence[int]) -> Layout:
    """One sequence behind the other, of a shape (..., sequences, numbers)."""
    batch = len(shape) - 2
    others = (axis for axis in range(len(shape)) if axis != batch)
    return Layout(tuple(shape), (batch, *others))


def in_order(shape: Sequence[int]) -> Layout:
    """Row-major."""
    return Layout(tuple(shape), tuple(range(len(shape))))


def _held(low: int, high: int) -> QType:
    """A grid of steps of 1 that holds integers of a range."""
    held = IntType.holding(low, high)
    if held.bits > MAX_BITS:
        raise Unsupported(
            f"expected states of at most {MAX_BITS} bits, found {held.bits}; a clip, or an "
            "activation that is bounded, would keep them small"
        )
    return QType(held.bits, held.signed, 1.0)


def _inner(shape: Shape, kind: QType) -> Inner:
    return Inner(shape, kind, one_by_one(shape))
