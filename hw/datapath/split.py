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
    built : what to build
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats)
    o0, o1, ... : Out(beats)
    """

    def __init__(self, built: FoldedSplit, name: str) -> None:
        self._built = built
        self._name = name
        outputs = {
            f"o{k}": Out(beats(shape_for(unit.out), built.lanes))
            for k, unit in enumerate(built.units)
        }
        super().__init__({"i": In(beats(shape_for(built.x), built.lanes)), **outputs})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        turn = turns(m, b.beats, self.i.valid & self.i.ready)
        dropped = [part for part, k in enumerate(b.to) if k < 0]
        if dropped:
            m.d.comb += self.i.ready.eq(turn.matches(*dropped))
        for k, (unit, depth) in enumerate(zip(b.units, b.depths, strict=True)):
            outlet = FinishedOutlet(unit, finish_file(self._name, k), depth)
            m.submodules[f"outlet{k}"] = outlet
            wiring.connect(m, outlet.o, wiring.flipped(getattr(self, f"o{k}")))
            last = counter(m, f"beat{k}", b.beats_out[k], outlet.take)
            with m.If(turn.matches(*(part for part, to in enumerate(b.to) if to == k))):
                m.d.comb += [
                    self.i.ready.eq(outlet.free),
                    outlet.take.eq(outlet.free & self.i.valid),
                ]
            m.d.comb += [outlet.valid.eq(outlet.take), outlet.final.eq(last)]
            m.d.comb += [outlet.acc0[lane].eq(self.i.payload.data[lane]) for lane in range(b.lanes)]
        return m
