# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shares of a group's sum."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Any

from amaranth.hdl import Cat, Const, Value

from ..kernels.shares import FoldedShares
from .groups import Grouped
from .quotients import quotients


class Shares(Grouped[FoldedShares]):
    """Hardware of :class:`~midwire.hw.kernels.shares.FoldedShares`: a divider for each lane."""

    def _totals(self, m: Any, elements: Sequence[Value], write: Value, first: Value) -> list[Value]:
        (ends,) = self._built.totals
        return [self._total(m, elements, write, first, ends, add, "sum")]

    def _accumulators(
        self, m: Any, elements: Sequence[Value], statistics: Sequence[Value]
    ) -> list[Value]:
        b = self._built
        (total,) = statistics
        shifted = [Cat(Const(0, b.bits), element) for element in elements]
        return quotients(m, shifted, total, b.quotient_bits)
