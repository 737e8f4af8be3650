# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One output for two streams of frames."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT


class Arbiter(wiring.Component):
    """Frames of ``first``, strictly before those of ``second``, whole frames only.

    A frame is chosen with its first beat. The output is registered in both directions.

    Members
    -------
    first, second : In(stream of BEAT)
    o : Out(stream of BEAT)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "first": In(stream.Signature(BEAT)),
                "second": In(stream.Signature(BEAT)),
                "o": Out(stream.Signature(BEAT)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.skid = skid = Fifo(BEAT, 2)
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        inside, held, second = Signal(), Signal(), Signal()
        m.d.comb += [
            second.eq(Mux(inside, held, ~self.first.valid)),
            skid.i.payload.eq(Mux(second, self.second.payload, self.first.payload)),
            skid.i.valid.eq(Mux(second, self.second.valid, self.first.valid)),
            self.first.ready.eq(skid.i.ready & ~second),
            self.second.ready.eq(skid.i.ready & second),
        ]
        with m.If(skid.i.valid & skid.i.ready):
            m.d.sync += [inside.eq(~skid.i.payload.last), held.eq(second)]
        return m
