# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of an LSTM over a sequence (rules N12, N13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..finish.base import Finisher, OnnxWriter, Range
from ..formats.images import pack_image
from ..numeric import IntArray, IntType
from ..numeric.cells import lstm, lstm_onnx
from ..timing.cost import Cost
from .base import Implementation
from .folded_recurrent import FoldedRecurrent, image
from .recurrent import RecurrentKernel, check_gates, largest


@dataclass(frozen=True, eq=False)
class LstmKernel(RecurrentKernel):
    """Lanes are the gates i, o, f and g.

    Attributes
    ----------
    g, h : further tables
    cell : (units,), the cell's state before the first step
    """

    g: IntArray
    h: IntArray
    cell: IntArray

    name = "lstm"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gates(self.f, self.grid.one)
        if self.cell.shape != self.hidden.shape:
            raise ValueError(f"expected a cell of {self.units} units, found {self.cell.shape}")

    @property
    def curves(self) -> Mapping[str, IntArray]:
        """Three."""
        return {**super().curves, "g": self.g, "h": self.h}

    @property
    def memory(self) -> Range:
        """Of the cell's state: it grows by a value of ``g`` a step at most."""
        most = largest(self.cell) + self.steps * largest(self.g)
        return -most, most

    @property
    def products(self) -> tuple[Range, ...]:
        """Sums, and the cell's state times a gate, next to a gate times a value of ``g``."""
        most = max(self.memory[1] + largest(self.g), largest(self.h)) * self.grid.one
        return (*self.totals, (-most, most))

    def first(self, count: int) -> tuple[IntArray, ...]:
        """Both states."""
        return *super().first(count), np.broadcast_to(self.cell, (count, self.units))

    def step(self, x: IntArray, states: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
        """N13."""
        return lstm(self.grid, self.tables, self.drops, self.summed(x, states[0]), states[1])

    def step_onnx(
        self,
        writer: OnnxWriter,
        tables: Sequence[str],
        over_x: Sequence[str],
        states: Sequence[str],
    ) -> Sequence[str]:
        """N13."""
        sums = self.summed_onnx(writer, over_x, states[0])
        return lstm_onnx(writer, self.grid, tables, self.drops, sums, states[1])

    def built(self, **common: Any) -> FoldedLstm:
        """With the range of the cell's state."""
        return FoldedLstm(**common, memory=self.memory, remembers=bool(self.cell.any()))

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """And the cell's first state, unless it is all zero."""
        found = super().images(implementation, finishers, name)
        assert isinstance(implementation, FoldedLstm)
        if not implementation.remembers:
            return found
        first = pack_image(self.cell, implementation.memory_bits)
        return {**found, image(name, "cell"): first}


@dataclass(frozen=True)
class FoldedLstm(FoldedRecurrent):
    """Further fields:

    Attributes
    ----------
    memory : range of the cell's state
    remembers : whether the first one is not all zero
    """

    memory: Range
    remembers: bool

    @property
    def memory_bits(self) -> int:
        """Bits of an element of the cell's state."""
        return IntType.holding(*self.memory).bits

    @property
    def arithmetic(self) -> int:
        """Bias, place, table, two products, the cell's state, its place and table, a product, the
        hidden state.
        """
        return 9

    @property
    def lookups(self) -> int:
        """Those of the gates, and one of the cell's state."""
        return 5

    @property
    def own_cost(self) -> Cost:
        """Three products, their sums and roundings, the cell's memory."""
        gate, cell = self.gate_bits, self.memory_bits
        wide = gate + cell
        first = ((cell, self.units),) if self.remembers else ()
        return Cost(
            products=((gate, cell), (gate, gate), (gate, gate)),
            memories=((cell, self.units),),
            adders=3 * wide + 4 * gate,
            registers=2 * wide + 8 * gate + 3 * cell,
            roms=first,
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.lstm.LstmCell`."""
        from ..datapath.lstm import LstmCell

        return LstmCell(self, name)
