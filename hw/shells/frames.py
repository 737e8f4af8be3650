# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams of frames of any width, and what moves them between the NIC pipeline and a shell.

Rule B1 of :mod:`midwire.hw.nic.bus` holds for all of them: ``keep`` is all ones but on the last
beat, where it is contiguous from bit 0, and ``bad`` counts on the last beat only.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
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


def _whole_multiple(narrow: int, wide: int) -> int:
    if narrow < 1 or wide < narrow or wide % narrow:
        raise ValueError(f"{wide!r} bytes must be a multiple of {narrow!r}")
    return wide // narrow


class NarrowFrames(wiring.Component):
    """Frames in beats of ``i_bytes`` in, in beats of ``o_bytes`` out, without a bubble.

    Members
    -------
    i : In(stream of frame_beat(i_bytes))
    o : Out(stream of frame_beat(o_bytes))
    """

    def __init__(self, i_bytes: int, o_bytes: int) -> None:
        self._lanes = _whole_multiple(o_bytes, i_bytes)
        self._o_bytes = o_bytes
        super().__init__(
            {
                "i": In(stream.Signature(frame_beat(i_bytes))),
                "o": Out(stream.Signature(frame_beat(o_bytes))),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        lane = Signal(range(self._lanes))
        into, out = self.i.payload, self.o.payload
        # The lane behind this one has nothing; behind the last one there is none.
        behind = Cat(*(into.keep[self._o_bytes * k] for k in range(1, self._lanes)), Const(0, 1))
        ends = Signal()
        m.d.comb += [
            ends.eq(~behind.bit_select(lane, 1)),
            out.data.eq(into.data.word_select(lane, 8 * self._o_bytes)),
            out.keep.eq(into.keep.word_select(lane, self._o_bytes)),
            out.last.eq(into.last & ends),
            out.bad.eq(into.bad),
            out.made.eq(into.made),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & ends),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += lane.eq(Mux(ends, 0, lane + 1))
        return m


class WidenFrames(wiring.Component):
    """Frames in beats of ``i_bytes`` in, in beats of ``o_bytes`` out.

    The output is registered in both directions.

    Members
    -------
    i : In(stream of frame_beat(i_bytes))
    o : Out(stream of frame_beat(o_bytes))
    """

    def __init__(self, i_bytes: int, o_bytes: int) -> None:
        self._lanes = _whole_multiple(i_bytes, o_bytes)
        self._i_bytes, self._o_bytes = i_bytes, o_bytes
        super().__init__(
            {
                "i": In(stream.Signature(frame_beat(i_bytes))),
                "o": Out(stream.Signature(frame_beat(o_bytes))),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.skid = skid = Fifo(frame_beat(self._o_bytes), 2)
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        lane = Signal(range(self._lanes))
        words, keeps = Signal(8 * self._o_bytes), Signal(self._o_bytes)
        into, out = self.i.payload, skid.i.payload
        ends = Signal()
        m.d.comb += [
            ends.eq(into.last | (lane == self._lanes - 1)),
            out.data.eq(words),
            out.keep.eq(keeps),
            out.last.eq(into.last),
            out.bad.eq(into.bad),
            out.made.eq(into.made),
            skid.i.valid.eq(self.i.valid & ends),
            self.i.ready.eq(skid.i.ready),
        ]
        held_words, held_keeps = Signal.like(words), Signal.like(keeps)
        m.d.comb += [words.eq(held_words), keeps.eq(held_keeps)]
        m.d.comb += [
            words.word_select(lane, 8 * self._i_bytes).eq(into.data),
            keeps.word_select(lane, self._i_bytes).eq(into.keep),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held_words.eq(words), held_keeps.eq(keeps), lane.eq(lane + 1)]
            with m.If(ends):
                m.d.sync += [held_words.eq(0), held_keeps.eq(0), lane.eq(0)]
        return m


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
