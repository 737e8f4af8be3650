# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of an LSTM over a sequence (rules N12, N13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..finish.base import OnnxWriter, Range
from ..numeric import IntArray, IntType
from ..numeric.cells import lstm, lstm_onnx
from ..timing.cost import Cost
from .folded_recurrent import FoldedRecurrent
from .recurrent import RecurrentKernel, check_gates, largest


@dataclass(frozen=True, eq=False)
class LstmKernel(RecurrentKernel):
    """Lanes are the gates i, o, f and g.

    Attributes
    ----------
    g, h : further tables
    cell : (units,), the cell's state before the first step
    remembers : whether the cell's state behind the last step is a result too
    """

    g: IntArray
    h: IntArray
    cell: IntArray
    remembers: bool

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
        most = self.begun("cell") + self.steps * largest(self.g)
        return -most, most

    @property
    def firsts(self) -> Mapping[str, IntArray]:
        """Both states."""
        return {**super().firsts, "cell": self.cell}

    @property
    def kept(self) -> tuple[Range, ...]:
        """The cell's state, if that is asked for."""
        return (self.memory,) if self.remembers else ()

    @property
    def products(self) -> tuple[Range, ...]:
        """Sums, and the cell's state times a gate, next to a gate times a value of ``g``."""
        most = max(self.memory[1] + largest(self.g), largest(self.h)) * self.grid.one
        return (*self.totals, (-most, most))

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
        return FoldedLstm(**common, memory=self.memory)


@dataclass(frozen=True)
class FoldedLstm(FoldedRecurrent):
    """Further fields:

    Attributes
    ----------
    memory : range of the cell's state
    """

    memory: Range

    @property
    def memory_bits(self) -> int:
        """Bits of an element of the cell's state."""
        return IntType.holding(*self.memory).bits

    def bits_of(self, word: str) -> int:
        """And of the cell's."""
        return self.memory_bits if word == "cell" else super().bits_of(word)

    @property
    def arithmetic(self) -> int:
        """Bias, place, table, two products, the cell's state, its place and table, a product, the
        hidden state.
        """
        return 9

    @property
    def made(self) -> tuple[int, ...]:
        """The cell's state is there earlier."""
        return (9, 5)[: len(self.finishers)]

    @property
    def lookups(self) -> int:
        """Those of the gates, and one of the cell's state."""
        return 5

    @property
    def own_cost(self) -> Cost:
        """Three products, their sums and roundings, the cell's memory."""
        gate, cell = self.gate_bits, self.memory_bits
        wide = gate + cell
        return Cost(
            products=((gate, cell), (gate, gate), (gate, gate)),
            memories=((cell, self.units),),
            adders=3 * wide + 4 * gate,
            registers=2 * wide + 8 * gate + 3 * cell,
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.lstm.LstmCell`."""
        from ..datapath.lstm import LstmCell

        return LstmCell(self, name)
