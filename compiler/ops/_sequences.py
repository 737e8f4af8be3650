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
        shape = (kernel.results, 1, kernel.units)
        return Inner(shape, QType(held.bits, held.signed, 1.0), Layout.raster(shape))

    def meaning(self, output: OutputSpec) -> Meaning:
        """What states stand for: multiples of ``2**-A``."""
        axis = len(output.shape) - 1
        functions = [Affine((Fraction(1, self.grid.one),), Fraction(0))] * output.shape[axis]
        return Meaning(functions, axis, Layout.raster(output.shape))

    def turned(self, at: int) -> int:
        """The elements of a sequence, last to first."""
        rows, size, kind = self._known(at)
        if rows == 1:
            return at
        loops = ((rows, -size), (size, 1))
        kernel = ReorderKernel(kind.integers, rows * size, 1, loops, (rows - 1) * size)
        return self.add(kernel, at, self._rows(rows, size, kind))

    def begun(self, at: int, count: int) -> int:
        """The first elements of a sequence."""
        rows, size, kind = self._known(at)
        blocks = (count * size, (rows - count) * size)
        kernel = SplitKernel(kind.integers, blocks, (0, -1), 1, (1,))
        return self.add(kernel, at, self._rows(count, size, kind))

    def ended(self, at: int) -> int:
        """The last element of a sequence alone."""
        rows, size, kind = self._known(at)
        if rows == 1:
            return at
        kernel = SplitKernel(kind.integers, ((rows - 1) * size, size), (-1, 0), 1, (1,))
        return self.add(kernel, at, self._rows(1, size, kind))

    def join(self, states: Sequence[int], output: OutputSpec) -> None:
        """The states of all directions in turn, as an output."""
        units = output.shape[-1]
        turns = math.prod(output.shape) // (units * len(states))
        types = tuple(self._known(at)[2].integers for at in states)
        kernel = ConcatKernel(types, (units,) * len(states), turns, units)
        self.add(kernel, states, self.meaning(output))

    def _known(self, at: int) -> tuple[int, int, QType]:
        """Elements of a sequence, numbers of each, and their type."""
        found = self._results[at - 1] if at else self.x
        assert not isinstance(found, Meaning), "no call reads an output"
        rows = found.shape[0]
        return rows, math.prod(found.shape[1:]), found.qtype

    def _rows(self, rows: int, size: int, kind: QType) -> Inner:
        shape = (rows, 1, size)
        return Inner(shape, kind, Layout.raster(shape))
