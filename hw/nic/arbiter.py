# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One output for several streams of frames."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT_BYTES, sent_layout


class Arbiter(wiring.Component):
    """Frames of each source strictly before those of the sources behind it, whole frames only.

    A frame is chosen with its first beat. The output is registered in both directions.

    Parameters
    ----------
    sources : how many streams, at least 1
    beat_bytes : of their beats

    Members
    -------
    i : In(stream of :func:`.bus.sent_layout`), ``sources`` of them
    o : Out(stream of the same)
    """

    def __init__(self, sources: int, beat_bytes: int = BEAT_BYTES) -> None:
        if sources < 1:
            raise ValueError(f"an arbiter needs at least 1 source, not {sources!r}")
        self._sources = sources
        self._layout = sent_layout(beat_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(self._layout)).array(sources),
                "o": Out(stream.Signature(self._layout)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.skid = skid = Fifo(self._layout, 2)
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        inside = Signal()
        held, chosen = Signal(range(self._sources)), Signal(range(self._sources))
        for source in reversed(range(self._sources)):
            with m.If(self.i[source].valid):
                m.d.comb += chosen.eq(source)
        with m.If(inside):
            m.d.comb += chosen.eq(held)
        m.d.comb += [
            skid.i.payload.eq(Array(port.payload.as_value() for port in self.i)[chosen]),
            skid.i.valid.eq(Array(port.valid for port in self.i)[chosen]),
        ]
        for source, port in enumerate(self.i):
            m.d.comb += port.ready.eq(skid.i.ready & (chosen == source))
        with m.If(skid.i.valid & skid.i.ready):
            m.d.sync += [inside.eq(~skid.i.payload.beat.last), held.eq(chosen)]
        return m
