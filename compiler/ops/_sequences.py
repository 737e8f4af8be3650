# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernels of a recurrent layer, one after the other: sequences turned, ended and joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ...hw.formats.tensor import Layout
from ...hw.kernels.base import Kernel
from ...hw.kernels.concat import ConcatKernel
from ...hw.kernels.recurrent import RecurrentKernel
from ...hw.kernels.reorder import ReorderKernel
from ...hw.kernels.split import SplitKernel
from ...hw.numeric import Affine, IntType, QType
from ...hw.numeric.cells import Grid
from ..ir.lowered import Call, Inner, Meaning, OutputSpec
from ..ir.quant import QTensor


@dataclass
class Sequences:
    """Calls of kernels (rule L1); results are numbered, and 0 is the layer's input.

    Attributes
    ----------
    x : the layer's input
    grid : of its states
    """

    x: QTensor
    grid: Grid
    _calls: list[Call] = field(default_factory=list)
    _results: list[Inner | Meaning] = field(default_factory=list)

    @property
    def calls(self) -> tuple[Call, ...]:
        """All of them so far."""
        return tuple(self._calls)

    def add(self, kernel: Kernel, source: int | Sequence[int], result: Meaning | Inner) -> int:
        """A kernel that reads these; the number of its result."""
        inputs = (source,) if isinstance(source, int) else tuple(source)
        self._calls.append(Call(kernel, inputs, (result,)))
        self._results.append(result)
        return len(self._calls)

    def inner(self, kernel: RecurrentKernel) -> Inner:
        """States, as integers."""
        held = IntType.holding(*kernel.state)
        shape = (kernel.results, kernel.sequences, kernel.units)
        return _inner(shape, QType(held.bits, held.signed, 1.0))

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
        found = self._results[at - 1] if at else self.x
        assert not isinstance(found, Meaning), "no call reads an output"
        rows, count, size = found.shape
        return (rows, count, size), found.qtype


Shape = tuple[int, int, int]


def one_by_one(shape: Sequence[int]) -> Layout:
    """One sequence behind the other, of a shape (..., sequences, numbers)."""
    batch = len(shape) - 2
    others = (axis for axis in range(len(shape)) if axis != batch)
    return Layout(tuple(shape), (batch, *others))


def _inner(shape: Shape, kind: QType) -> Inner:
    return Inner(shape, kind, one_by_one(shape))
