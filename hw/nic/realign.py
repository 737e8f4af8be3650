# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Cuts the tensor bytes out of a frame and puts them on lane 0."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import (
    BEAT,
    BEAT_BYTES,
    LENGTH_BITS,
    PLACE_BITS,
    WORD_BITS,
    beat_of,
    byte_of,
    masked,
    word_from,
)


class Realigner(wiring.Component):
    """Beats of one of our frames in, words of its payload out (B2).

    All beats of the frame are taken, padding behind the datagram included. A word leaves in the
    cycle in which its last byte comes, but for a last one that needs no further beat.

    Members
    -------
    i : In(stream of BEAT), from the first to the last beat of the frame; ends : In(1), the last one
        is there. Without ``ends`` none is taken for the last: that is known later than all else
    place : In(PLACE_BITS), where the payload begins (B4); size : In(LENGTH_BITS), its bytes; both
        must hold from the first beat to ``done``
    o : Out(stream of words), ``ceil(size / 8)`` of them
    began : Out(1), all in front of the payload's first word has been taken
    done : Out(1), the last word leaves, or the last beat without one, in this cycle; finishes :
        Out(1), it does if words are taken
    clear : In(1), what is left of the frame is not wanted
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(BEAT)),
                "ends": In(1),
                "place": In(PLACE_BITS),
                "size": In(LENGTH_BITS),
                "o": Out(stream.Signature(WORD_BITS)),
                "began": Out(1),
                "done": Out(1),
                "finishes": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        byte = byte_of(self.place)
        at = Signal(len(beat_of(byte)))
        began = self.began
        carry = Signal(WORD_BITS)  # the beat before
        left = Signal(LENGTH_BITS)
        some, more = Signal(), Signal()  # any is left, and more than a word has
        wanted = Signal()  # a word of it ends with the next beat
        behind = Signal()  # more is left than ends with that
        word = Signal(WORD_BITS)
        count = Signal(range(BEAT_BYTES + 1))  # bytes of the next word
        m.d.comb += [
            count.eq(Mux(more, BEAT_BYTES, left)),
            self.o.payload.eq(masked(word, count)),
        ]
        with m.If(~began):
            m.d.sync += [
                left.eq(self.size),
                some.eq(self.size != 0),
                more.eq(self.size > BEAT_BYTES),
                behind.eq(self.size != 0),
            ]
        with m.FSM():
            with m.State("beats"):
                m.d.comb += [
                    word.eq(word_from(carry, self.i.payload.data, byte)),
                    self.o.valid.eq(wanted & self.i.valid),
                    self.i.ready.eq(~wanted | self.o.ready),
                ]
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += [carry.eq(self.i.payload.data), at.eq(at + 1)]
                    with m.If(~began & (at == beat_of(byte))):
                        m.d.sync += [began.eq(1), wanted.eq(some), behind.eq(more)]
                    with m.If(wanted):
                        m.d.sync += [
                            left.eq(left - BEAT_BYTES),
                            wanted.eq(more),
                            more.eq(left > 2 * BEAT_BYTES),
                            behind.eq(left > 2 * BEAT_BYTES),
                        ]
                m.d.comb += self.finishes.eq(self.ends & ~behind)
                with m.If(self.ends & self.i.ready):
                    with m.If(behind):
                        m.next = "rest"
                    with m.Else():
                        m.d.comb += self.done.eq(1)
            with m.State("rest"):
                m.d.comb += [
                    word.eq(word_from(carry, Const(0, WORD_BITS), byte)),
                    self.o.valid.eq(1),
                    self.finishes.eq(1),
                ]
                with m.If(self.o.ready):
                    m.d.comb += self.done.eq(1)
                    m.next = "beats"
        with m.If(self.done | self.clear):
            m.d.sync += [at.eq(0), began.eq(0), wanted.eq(0)]
        return m
