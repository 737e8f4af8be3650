# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Splits the frames of a wide stream: what may be ours, and what goes straight on.

Rule, cited by tests as A5:

A5. What may be ours (A4) goes on, too, unchanged, where there is no room for it: frames of others
    that are mixed with it are never kept waiting by it, and none of either is lost.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...datapath.stream import Fifo
from ..bus import CONFIG, beat_layout
from .claim import HEAD_BYTES, may_be_ours

_WAITING_BEATS = 16
_ON_THE_WAY = 2
"""Verdicts that are in registers: the head of a frame is held, then judged."""


class Splitter(wiring.Component):
    """Frames in, two ways out, by rules A4 and A5. A beat each cycle, be it a frame or not.

    A frame waits for the beat with its byte 63, or its last one if that comes before, and three
    cycles: what passes is under way while its end is still to come.

    Parameters
    ----------
    beat_bytes : of the stream, a divisor of ``HEAD_BYTES``

    Members
    -------
    i : In(stream of beats), from the network
    config : In(CONFIG)
    room : In(1), there is room behind ``ours`` for the longest frame that the core looks at
    passed, ours : Out(stream of beats), what goes on and what the core is to judge; unchanged
    arrived : Out(1), the last beat of a frame is taken in this cycle
    went : Out(1), the last beat of a frame that passes leaves in this cycle
    overran : Out(1), with ``went``: it may be ours, but there was no room for it (A5)
    busy : Out(1)
    """

    def __init__(self, beat_bytes: int) -> None:
        if not 1 <= beat_bytes <= HEAD_BYTES or HEAD_BYTES % beat_bytes:
            raise ValueError(
                f"a beat must have a number of bytes that divides {HEAD_BYTES}, not {beat_bytes!r}"
            )
        self._beats = HEAD_BYTES // beat_bytes
        self._layout = beat_layout(beat_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(self._layout)),
                "config": In(CONFIG),
                "room": In(1),
                "passed": Out(stream.Signature(self._layout)),
                "ours": Out(stream.Signature(self._layout)),
                "arrived": Out(1),
                "went": Out(1),
                "overran": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.beats = beats = Fifo(self._layout, _WAITING_BEATS)
        m.submodules.verdicts = verdicts = Fifo(1, _WAITING_BEATS)
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq(beats.i.ready & (verdicts.level < verdicts.depth - _ON_THE_WAY)),
            taken.eq(self.i.valid & self.i.ready),
            beats.i.payload.eq(self.i.payload),
            beats.i.valid.eq(taken),
            self.arrived.eq(taken & self.i.payload.last),
            self.busy.eq(beats.o.valid),
        ]

        # The head is held, and judged in the next cycle.
        at = Signal(range(self._beats + 1))  # beats behind the head have the last number
        head = [Signal.like(self.i.payload.data, name=f"head_{k}") for k in range(self._beats)]
        held = Signal()
        complete = (at == self._beats - 1) | (self.i.payload.last & (at != self._beats))
        m.d.sync += held.eq(taken & complete)
        with m.If(taken):
            m.d.sync += at.eq(Mux(at == self._beats, at, at + 1))
            with m.If(self.i.payload.last):
                m.d.sync += at.eq(0)
            for k, part in enumerate(head):
                with m.If(at == k):
                    m.d.sync += part.eq(self.i.payload.data)
        m.d.sync += [
            verdicts.i.valid.eq(held),
            verdicts.i.payload.eq(may_be_ours(Cat(head), self.config)),
        ]

        # With its first beat a frame is sent one way, whatever becomes of the room meanwhile.
        offered, kept, to_us = Signal(), Signal(), Signal()
        m.d.comb += to_us.eq(Mux(offered, kept, verdicts.o.payload & self.room))
        for way, mine in ((self.passed, ~to_us), (self.ours, to_us)):
            chosen = verdicts.o.valid & mine
            m.d.comb += [
                way.payload.eq(beats.o.payload),
                way.valid.eq(beats.o.valid & chosen),
            ]
            with m.If(chosen):
                m.d.comb += beats.o.ready.eq(way.ready)
        gone = beats.o.valid & beats.o.ready & beats.o.payload.last
        m.d.comb += [
            verdicts.o.ready.eq(gone),
            self.went.eq(gone & ~to_us),
            self.overran.eq(self.went & verdicts.o.payload),
        ]
        with m.If(beats.o.valid & verdicts.o.valid):
            m.d.sync += [offered.eq(~gone), kept.eq(to_us)]
        return m
