# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Several streams in turn to one."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.concat import FoldedConcat
from ..kernels.finishing import finish_file
from .counters import turns
from .finished import FinishedOutlet
from .ranges import shape_for
from .stream import beats


class ConcatMux(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.concat.FoldedConcat`, rules C1 and C2 there.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i0, i1, ... : In(beats), one a stream
    o : Out(beats)
    """

    def __init__(self, built: FoldedConcat, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        lanes = built.lanes
        inputs = {f"i{k}": In(beats(shape_for(x), lanes)) for k, x in enumerate(built.xs)}
        super().__init__({**inputs, "o": Out(beats(shape_for(built.unit.out), lanes))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        turn = turns(m, b.beats, outlet.take)
        m.d.comb += outlet.valid.eq(outlet.take)
        with m.Switch(turn):
            for k in range(len(b.xs)):
                port = getattr(self, f"i{k}")
                with m.Case(k):
                    m.d.comb += [
                        port.ready.eq(outlet.free),
                        outlet.take.eq(outlet.free & port.valid),
                        # The last stream ends the tensor.
                        outlet.final.eq(port.payload.last if k == len(b.xs) - 1 else 0),
                    ]
                    m.d.comb += [
                        outlet.acc0[lane].eq(port.payload.data[lane]) for lane in range(b.lanes)
                    ]
        return m
