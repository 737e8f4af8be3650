# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The hardware of no finisher: wires."""

from __future__ import annotations

from amaranth.hdl import Module

from ..finish.direct import DirectUnit
from .finisher import FinisherComponent


class Passed(FinisherComponent[DirectUnit]):
    """Accumulators taken as elements, in the same cycle."""

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.d.comb += [self.o_valid.eq(self.valid), self.o_final.eq(self.valid & self.final)]
        m.d.comb += [self.y[k].eq(self.acc0[k]) for k in range(self._unit.lanes)]
        return m
