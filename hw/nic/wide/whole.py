# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A FIFO from which frames leave when they are whole."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...datapath.stream import Fifo
from ..bus import MAX_FRAME_BYTES, sent_layout


class WholeFrames(wiring.Component):
    """Frames leave without a bubble, however slowly they come.

    A frame longer than ``MAX_FRAME_BYTES`` leaves before it is whole: it may not fit at all.

    Members
    -------
    i, o : streams of wide beats

    Attributes
    ----------
    level : beats inside
    """

    def __init__(self, beat_bytes: int, room_bytes: int) -> None:
        if room_bytes <= MAX_FRAME_BYTES + beat_bytes:
            raise ValueError(
                f"there must be room for more than {MAX_FRAME_BYTES + beat_bytes} bytes, "
                f"not {room_bytes!r}"
            )
        layout = sent_layout(beat_bytes)
        self._longest = -(-MAX_FRAME_BYTES // beat_bytes)
        self._fifo = Fifo(layout, room_bytes // beat_bytes)
        self.level = self._fifo.level
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.fifo = fifo = self._fifo
        wiring.connect(m, wiring.flipped(self.i), fifo.i)
        frames = Signal(range(fifo.depth + 1))  # whole ones inside
        under_way = Signal()
        may_go = (frames != 0) | under_way | (self.level > self._longest)
        came = self.i.valid & self.i.ready & self.i.payload.beat.last
        went = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.payload.eq(fifo.o.payload),
            self.o.valid.eq(fifo.o.valid & may_go),
            fifo.o.ready.eq(self.o.ready & may_go),
        ]
        with m.If(went):
            m.d.sync += under_way.eq(~self.o.payload.beat.last)
        m.d.sync += frames.eq(frames + came - Mux(went, self.o.payload.beat.last, 0))
        return m
