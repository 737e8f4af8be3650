# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One stream to several in turn."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.split import FoldedSplit
from .counters import counter, turns
from .finished import FinishedOutlet
from .ranges import shape_for
from .stream import beats


class SplitDemux(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.split.FoldedSplit`, rules D1 and D2 there.

    Parameters
    ----------
    implementation : its description
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats)
    o0, o1, ... : Out(beats)
    """

    def __init__(self, implementation: FoldedSplit, name: str) -> None:
        p = implementation
        self._plan = p
        self._name = name
        outputs = {
            f"o{k}": Out(beats(shape_for(unit.out), p.lanes)) for k, unit in enumerate(p.units)
        }
        super().__init__({"i": In(beats(shape_for(p.x), p.lanes)), **outputs})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        p = self._plan
        turn = turns(m, p.beats, self.i.valid & self.i.ready)
        for k, (unit, depth) in enumerate(zip(p.units, p.depths, strict=True)):
            outlet = FinishedOutlet(unit, finish_file(self._name, k), depth)
            m.submodules[f"outlet{k}"] = outlet
            wiring.connect(m, outlet.o, wiring.flipped(getattr(self, f"o{k}")))
            last = counter(m, f"beat{k}", p.turns * p.beats[k], outlet.take)
            with m.If(turn == k):
                m.d.comb += [
                    self.i.ready.eq(outlet.free),
                    outlet.take.eq(outlet.free & self.i.valid),
                ]
            m.d.comb += [outlet.valid.eq(outlet.take), outlet.final.eq(last)]
            m.d.comb += [outlet.acc0[lane].eq(self.i.payload.data[lane]) for lane in range(p.lanes)]
        return m
