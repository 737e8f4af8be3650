# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams of frames between the NIC pipeline and a shell.

Rule B1 of :mod:`midwire.hw.nic.bus` holds for all of them: ``keep`` is all ones but on the last
beat, where it is contiguous from bit 0, and ``bad`` counts on the last beat only.
"""

from __future__ import annotations

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo

ROOM_BYTES = 16384
"""Room for frames that wait whole: more than the longest one that is made here."""

SIZE_BITS = ROOM_BYTES.bit_length()


def frame_beat(beat_bytes: int) -> data.StructLayout:
    """One beat of a frame; ``made`` says, on each, that the NIC pipeline made it."""
    return data.StructLayout(
        {"data": 8 * beat_bytes, "keep": beat_bytes, "last": 1, "bad": 1, "made": 1}
    )


def sized_beat(beat_bytes: int) -> data.StructLayout:
    """The same with the bytes of the whole frame beside each of its beats."""
    return data.StructLayout({"beat": frame_beat(beat_bytes), "size": SIZE_BITS})


class Whole(wiring.Component):
    """Frames leave when they are here whole, with their size, and then without a bubble.

    One that is longer than :data:`ROOM_BYTES` is cut off there, so that nothing ever stops.

    Members
    -------
    i : In(stream of frame_beat(beat_bytes))
    o : Out(stream of sized_beat(beat_bytes))
    """

    def __init__(self, beat_bytes: int) -> None:
        self._bytes = beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(frame_beat(beat_bytes))),
                "o": Out(stream.Signature(sized_beat(beat_bytes))),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        depth = ROOM_BYTES // self._bytes
        m.submodules.beats = beats = Fifo(frame_beat(self._bytes), depth)
        m.submodules.sizes = sizes = Fifo(SIZE_BITS, depth)
        into = self.i.payload
        at, cut = Signal(range(depth)), Signal()  # beats before this one; the rest is cut off
        last = Signal()
        here = Signal(range(self._bytes + 1))
        m.d.comb += [
            here.eq(sum((into.keep[k] for k in range(self._bytes)), Const(0, 1))),
            last.eq(into.last | (at == depth - 1)),
            self.i.ready.eq(beats.i.ready | cut),
            beats.i.payload.eq(into),
            beats.i.payload.last.eq(last),
            beats.i.valid.eq(self.i.valid & ~cut),
            # As many sizes as beats fit, so there is room for it.
            sizes.i.payload.eq(at * self._bytes + here),
            sizes.i.valid.eq(beats.i.valid & beats.i.ready & last),
        ]
        with m.If(self.i.valid & self.i.ready):
            with m.If(into.last):
                m.d.sync += [at.eq(0), cut.eq(0)]
            with m.Elif(last):
                m.d.sync += [at.eq(0), cut.eq(1)]
            with m.Elif(~cut):
                m.d.sync += at.eq(at + 1)
        m.d.comb += [
            self.o.payload.beat.eq(beats.o.payload),
            self.o.payload.size.eq(sizes.o.payload),
            self.o.valid.eq(beats.o.valid & sizes.o.valid),
            beats.o.ready.eq(self.o.ready & sizes.o.valid),
            sizes.o.ready.eq(self.o.ready & beats.o.valid & beats.o.payload.last),
        ]
        return m
