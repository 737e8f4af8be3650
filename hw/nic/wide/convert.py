# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Between the wide stream and the pipeline's beats of 8 bytes (B1)."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus import (
    BEAT,
    BEAT_BYTES,
    BETWEEN_FRAMES_BYTES,
    SENT,
    WORD_BITS,
    beat_layout,
    sent_layout,
)

_GAP_BEATS = BETWEEN_FRAMES_BYTES // BEAT_BYTES


class Narrower(wiring.Component):
    """Wide beats in, 8 bytes a cycle out, without a bubble in a frame.

    Between two frames there are as many cycles without one as on a link of 8 bytes a cycle. That is
    what the pipeline is built for: what it makes leaves in the time that frames do not take.

    Members
    -------
    i : In(stream of wide beats)
    o : Out(stream of BEAT)
    busy : Out(1), a beat is here
    """

    def __init__(self, beat_bytes: int) -> None:
        self._layout = beat_layout(beat_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(self._layout)),
                "o": Out(stream.Signature(BEAT)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        held, holds, ends = Signal(self._layout), Signal(), Signal()
        gap = Signal(range(_GAP_BEATS + 1))  # of which so much is left
        rest = held.keep[BEAT_BYTES:]
        m.d.comb += [
            ends.eq(~rest.any()),
            self.busy.eq(holds),
            self.o.valid.eq(holds & (gap == 0)),
            self.o.payload.data.eq(held.data[:WORD_BITS]),
            self.o.payload.keep.eq(held.keep[:BEAT_BYTES]),
            self.o.payload.last.eq(held.last & ends),
            self.o.payload.bad.eq(held.bad & held.last & ends),
            self.i.ready.eq(~holds | (self.o.ready & (gap == 0) & ends)),
        ]
        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(self.i.ready):
            m.d.sync += [holds.eq(self.i.valid), held.eq(self.i.payload)]
        with m.Elif(self.o.ready & (gap == 0)):
            m.d.sync += [held.data.eq(held.data[WORD_BITS:]), held.keep.eq(rest)]
        with m.If(self.o.valid & self.o.ready & self.o.payload.last):
            m.d.sync += gap.eq(_GAP_BEATS)
        return m


class Widener(wiring.Component):
    """Beats of 8 bytes in, a cycle each, wide ones out; bytes that are not kept are zero.

    Members
    -------
    i : In(stream of SENT)
    o : Out(stream of wide ones)
    busy : Out(1), part of a beat is here
    """

    def __init__(self, beat_bytes: int) -> None:
        self._words = beat_bytes // BEAT_BYTES
        self._layout = sent_layout(beat_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(SENT)),
                "o": Out(stream.Signature(self._layout)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        held, full = Signal(self._layout), Signal()
        at = Signal(range(self._words))
        word = self.i.payload.beat
        m.d.comb += [
            self.o.payload.eq(held),
            self.o.valid.eq(full),
            self.i.ready.eq(~full | self.o.ready),
            self.busy.eq(full | at.any()),
        ]
        with m.If(self.i.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            with m.If(at == 0):
                m.d.sync += [held.beat.data.eq(0), held.beat.keep.eq(0)]
            m.d.sync += [
                held.beat.data.word_select(at, WORD_BITS).eq(word.data),
                held.beat.keep.word_select(at, BEAT_BYTES).eq(word.keep),
                held.beat.last.eq(word.last),
                held.beat.bad.eq(word.bad),
                held.back.eq(self.i.payload.back),
                held.made.eq(self.i.payload.made),
                at.eq(at + 1),
            ]
            with m.If(word.last | (at == self._words - 1)):
                m.d.sync += [full.eq(1), at.eq(0)]
        return m
