# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of a GRU over a sequence (rules N12, N14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..finish.base import OnnxWriter, Range
from ..numeric import IntArray, IntType
from ..numeric.cells import gru, gru_onnx
from ..timing.cost import Cost
from .recurrent import FoldedRecurrent, RecurrentKernel


@dataclass(frozen=True, eq=False)
class GruKernel(RecurrentKernel):
    """Lanes are the gates z and r, and n, whose sums over ``x`` and over ``h`` stay apart."""

    name = "gru"

    @property
    def products(self) -> tuple[Range, ...]:
        """Sums, what n is looked up by, and two states times what gates share out."""
        most = 2 * self.grid.one * self.state[1]
        return (*self.totals, inner_range(self.grid.one, self.totals), (-most, most))

    def step(self, sums: list[IntArray], states: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
        """N14."""
        return (gru(self.grid, self.tables, self.drops, sums, states[0]),)

    def step_onnx(
        self, writer: OnnxWriter, tables: tuple[str, str], sums: list[str], states: Sequence[str]
    ) -> Sequence[str]:
        """N14."""
        return (gru_onnx(writer, self.grid, tables, self.drops, sums, states[0]),)

    def built(self, **common: Any) -> FoldedGru:
        """Common fields are all."""
        return FoldedGru(**common)


def inner_range(one: int, totals: Sequence[Range]) -> Range:
    """Of ``one * p + r * q``."""
    (p_low, p_high), (q_low, q_high) = totals[2:]
    return one * (p_low + min(q_low, 0)), one * (p_high + max(q_high, 0))


@dataclass(frozen=True)
class FoldedGru(FoldedRecurrent):
    """Fields as in :class:`~.recurrent.FoldedRecurrent`."""

    @property
    def inner(self) -> Range:
        """Of what n is looked up by."""
        return inner_range(self.grid.one, self.totals)

    @property
    def arithmetic(self) -> int:
        """Bias, place, table, a product, a sum, its place and table, two products, the state."""
        return 9

    @property
    def tables(self) -> int:
        """Of z, r and n."""
        return 3

    @property
    def own_cost(self) -> Cost:
        """Three products, their sums and roundings."""
        gate, state = self.gate_bits, self.state_bits
        p, q, inner = (
            IntType.holding(*ends).bits for ends in (self.totals[2], self.totals[3], self.inner)
        )
        return Cost(
            products=((gate, q), (gate, gate), (gate, state)),
            adders=2 * inner + 3 * gate + 2 * (gate + state),
            registers=2 * inner + 2 * p + 2 * q + 5 * gate + 7 * state,
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.gru.GruCell`."""
        from ..datapath.gru import GruCell

        return GruCell(self, name)
