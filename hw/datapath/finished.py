# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The end of every pipeline that cannot stall: a finisher, then an output FIFO with credits."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..finish.base import FinisherUnit
from .finisher import written_by
from .ranges import shape_for, shape_of
from .stream import Outlet, beat


class FinishedOutlet(wiring.Component):
    """Accumulators in, finished beats out; credits as in :class:`~.stream.Outlet`.

    Parameters
    ----------
    unit : the finisher
    file : name of its memory image, if it has one
    depth : depth of the output FIFO

    Members
    -------
    free : Out(1)
        A result may be begun.
    take : In(1)
        A result is begun: reserves a slot.
    valid, final : In(1)
        Accumulators are there; they are the last ones of a tensor.
    acc0, acc1, ... : In(array of lanes), one for each term
    o : Out(beats)
    load : In(stream of words), weight_bank : In(1), if the unit is loadable
    """

    def __init__(self, unit: FinisherUnit, file: str, depth: int) -> None:
        self._unit = unit
        self._file = file
        self._depth = depth
        self._beat = beat(shape_for(unit.out), unit.lanes)
        accs = {
            f"acc{term}": In(data.ArrayLayout(shape_of(ends), unit.lanes))
            for term, ends in enumerate(unit.ranges)
        }
        super().__init__(
            {
                "free": Out(1),
                "take": In(1),
                "valid": In(1),
                "final": In(1),
                **accs,
                "o": Out(stream.Signature(self._beat)),
                **written_by(unit),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.finisher = finisher = self._unit.component(self._file)
        m.submodules.outlet = outlet = Outlet(self._beat, self._depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        if self._unit.writable:
            wiring.connect(m, wiring.flipped(self.load), finisher.load)
            m.d.comb += finisher.weight_bank.eq(self.weight_bank)
        for term in range(len(self._unit.ranges)):
            m.d.comb += getattr(finisher, f"acc{term}").eq(getattr(self, f"acc{term}"))
        m.d.comb += [
            self.free.eq(outlet.free),
            outlet.take.eq(self.take),
            finisher.valid.eq(self.valid),
            finisher.final.eq(self.final),
            outlet.write.eq(finisher.o_valid),
            outlet.payload.data.eq(finisher.y),
            outlet.payload.last.eq(finisher.o_final),
        ]
        return m
