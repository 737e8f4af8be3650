# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exponentials beside the largest of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Value

from ..kernels.powers import FoldedPowers, table_file
from .arithmetic import larger
from .groups import Grouped
from .rom import Rom


class Powers(Grouped[FoldedPowers]):
    """Hardware of :class:`~midwire.hw.kernels.powers.FoldedPowers`: a table for each lane."""

    def _totals(self, m: Any, elements: Sequence[Value], write: Value, first: Value) -> list[Value]:
        (ends,) = self._built.totals
        return [self._total(m, elements, write, first, ends, larger, "largest")]

    def _accumulators(
        self, m: Any, elements: Sequence[Value], statistics: Sequence[Value]
    ) -> list[Value]:
        b = self._built
        (largest,) = statistics
        found: list[Value] = []
        for k, element in enumerate(elements):
            m.submodules[f"table_{k}"] = rom = Rom(b.word, 1 << b.x.bits, table_file(self._name))
            m.d.comb += rom.addr.eq(largest - element)
            found.append(rom.data)
        return found
