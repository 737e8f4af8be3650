# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The hardware of no finisher: wires."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..finish.direct import DirectUnit
from .ranges import shape_for, shape_of


class Passed(wiring.Component):
    """Accumulators taken as elements, in the same cycle (rules F1 to F4).

    Members
    -------
    valid, final : In(1)
    acc0 : In(array of ``lanes``)
    o_valid, o_final : Out(1)
    y : Out(array of ``lanes`` elements)
    """

    def __init__(self, unit: DirectUnit) -> None:
        self._lanes = unit.lanes
        super().__init__(
            {
                "valid": In(1),
                "final": In(1),
                "acc0": In(data.ArrayLayout(shape_of(unit.ranges[0]), unit.lanes)),
                "o_valid": Out(1),
                "o_final": Out(1),
                "y": Out(data.ArrayLayout(shape_for(unit.out), unit.lanes)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.d.comb += [self.o_valid.eq(self.valid), self.o_final.eq(self.valid & self.final)]
        m.d.comb += [self.y[k].eq(self.acc0[k]) for k in range(self._lanes)]
        return m
