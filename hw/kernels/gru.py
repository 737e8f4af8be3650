# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of a GRU over a sequence (rules N12, N14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..finish.base import OnnxWriter, Range
from ..numeric import IntArray, IntType
from ..numeric.cells import gru, gru_onnx, reset, reset_onnx
from ..timing.cost import Cost
from .folded_recurrent import FoldedRecurrent
from .recurrent import RecurrentKernel, check_gates


@dataclass(frozen=True, eq=False)
class GruKernel(RecurrentKernel):
    """Lanes are the gates z and r, and n. With the reset behind the product, the sums of n over
    ``x`` and over ``h`` stay apart; else n is joined too, and a step has two halves (Y5).

    Attributes
    ----------
    g : another table
    """

    g: IntArray

    name = "gru"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gates(self.f, self.grid.one)

    @property
    def curves(self) -> Mapping[str, IntArray]:
        """Two."""
        return {**super().curves, "g": self.g}

    @property
    def halves(self) -> int:
        """Two where the reset is before the product: it needs all of the state."""
        return 2 if self.lanes[2].joined else 1

    @property
    def products(self) -> tuple[Range, ...]:
        """Sums, what n is looked up by, and two states times what gates share out."""
        most = 2 * self.grid.one * self.state[1]
        return (*self.totals, inner_range(self.grid.one, self.totals), (-most, most))

    def step(self, x: IntArray, states: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
        """N14."""
        (hidden,) = states
        sums = self.summed(x, hidden)
        if self.halves == 2:
            left = reset(self.grid, self.f, self.drops[1], sums[1], hidden)
            sums[2] = self.summed(x, left)[2]
        return (gru(self.grid, self.tables, self.drops, sums, hidden),)

    def step_onnx(
        self,
        writer: OnnxWriter,
        tables: Sequence[str],
        over_x: Sequence[str],
        states: Sequence[str],
    ) -> Sequence[str]:
        """N14."""
        (hidden,) = states
        sums = self.summed_onnx(writer, over_x, hidden)
        if self.halves == 2:
            left = reset_onnx(writer, self.grid, tables[0], self.drops[1], sums[1], hidden)
            sums[2] = self.summed_onnx(writer, over_x, left)[2]
        return (gru_onnx(writer, self.grid, tables, self.drops, sums, hidden),)

    def built(self, **common: Any) -> FoldedGru:
        """Common fields are all."""
        return FoldedGru(**common)


def inner_range(one: int, totals: Sequence[Range]) -> Range:
    """Of ``one * p + r * q``; of the sum alone where there is one."""
    if len(totals) == 3:
        return totals[2]
    (p_low, p_high), (q_low, q_high) = totals[2:]
    return one * (p_low + min(q_low, 0)), one * (p_high + max(q_high, 0))


@dataclass(frozen=True)
class FoldedGru(FoldedRecurrent):
    """Fields as in :class:`~.folded_recurrent.FoldedRecurrent`."""

    @property
    def inner(self) -> Range:
        """Of what n is looked up by."""
        return inner_range(self.grid.one, self.totals)

    @property
    def arithmetic(self) -> int:
        """Bias, place, table, two products, the state; before n's place a product and a sum where
        the reset is behind the product.
        """
        return 5 if self.halves == 2 else 9

    @property
    def lookups(self) -> int:
        """Of z, r and n."""
        return 3

    @property
    def own_cost(self) -> Cost:
        """Products, their sums and roundings; z, which the second half reads."""
        gate, state = self.gate_bits, self.state_bits
        wide = gate + state
        if self.halves == 2:
            return Cost(
                products=((gate, gate), (gate, state)),
                memories=((gate, self.units),),
                adders=3 * gate + 2 * wide,
                registers=2 * gate + 6 * state,
            )
        p, q, inner = (
            IntType.holding(*ends).bits for ends in (self.totals[2], self.totals[3], self.inner)
        )
        return Cost(
            products=((gate, q), (gate, gate), (gate, state)),
            adders=2 * inner + 3 * gate + 2 * wide,
            registers=2 * inner + 2 * p + 2 * q + 5 * gate + 7 * state,
        )

    def component(self, name: str) -> Any:
        """See :mod:`midwire.hw.datapath.gru`."""
        from ..datapath.gru import GruCell, HalvedGruCell

        return HalvedGruCell(self, name) if self.halves == 2 else GruCell(self, name)
