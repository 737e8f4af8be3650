# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One output for several streams of frames."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import BEAT_BYTES, sent_layout
from .deep_fifo import QuickFifo


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
        m.submodules.skid = skid = QuickFifo(self._layout)
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        inside = Signal()
        held, chosen = Signal(self._sources), Signal(self._sources)
        before: Value = Const(0)  # a source before this one has a frame
        for source, port in enumerate(self.i):
            m.d.comb += [
                chosen[source].eq(Mux(inside, held[source], port.valid & ~before)),
                port.ready.eq(skid.i.ready & chosen[source]),
            ]
            before = before | port.valid
        *others, last = (port.payload.as_value() for port in self.i)
        payload = last
        for source, its in reversed(list(enumerate(others))):
            payload = Mux(chosen[source], its, payload)
        m.d.comb += [
            skid.i.payload.eq(payload),
            skid.i.valid.eq((chosen & Cat(port.valid for port in self.i)).any()),
        ]
        with m.If(skid.i.valid & skid.i.ready):
            m.d.sync += [inside.eq(~skid.i.payload.beat.last), held.eq(chosen)]
        return m
