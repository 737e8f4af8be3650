# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of a plain recurrent layer over a sequence (rules N12, N18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..finish.base import OnnxWriter, Range
from ..numeric import IntArray
from ..numeric.cells import rnn, rnn_onnx
from ..timing.cost import Cost
from .folded_recurrent import FoldedRecurrent
from .recurrent import RecurrentKernel


@dataclass(frozen=True, eq=False)
class RnnKernel(RecurrentKernel):
    """One lane; the state is what its table gives."""

    name = "rnn"

    @property
    def products(self) -> tuple[Range, ...]:
        """Sums."""
        return self.totals

    def step(self, x: IntArray, states: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
        """N18."""
        (acc,) = self.summed(x, states[0])
        return (rnn(self.grid, self.f, self.drops[0], acc),)

    def step_onnx(
        self,
        writer: OnnxWriter,
        tables: Sequence[str],
        over_x: Sequence[str],
        states: Sequence[str],
    ) -> Sequence[str]:
        """N18."""
        (acc,) = self.summed_onnx(writer, over_x, states[0])
        return (rnn_onnx(writer, self.grid, tables[0], self.drops[0], acc),)

    def built(self, **common: Any) -> FoldedRnn:
        """Common fields are all."""
        return FoldedRnn(**common)


@dataclass(frozen=True)
class FoldedRnn(FoldedRecurrent):
    """Fields as in :class:`~.folded_recurrent.FoldedRecurrent`."""

    @property
    def arithmetic(self) -> int:
        """Bias, place, table."""
        return 3

    @property
    def lookups(self) -> int:
        """One."""
        return 1

    @property
    def own_cost(self) -> Cost:
        """Nothing beside the table."""
        return Cost()

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.rnn.RnnCell`."""
        from ..datapath.rnn import RnnCell

        return RnnCell(self, name)
