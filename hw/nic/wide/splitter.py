# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Splits the frames of a wide stream: what is to our address, and what goes straight on.

Rule, cited by tests as A5:

A5. What is ours (A4) goes on, too, unchanged, where there is no room for it: frames of others
    that are mixed with it are never kept waiting by it, and none of either is lost.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...datapath.stream import Fifo
from ..bus import CONFIG, beat_layout
from ..ways import divide
from .claim import Claim

_WAITING_BEATS = 16
"""More than come while the claim takes its time, so no beat is kept waiting for that."""

_ON_THE_WAY = 2
"""Verdicts that are in registers: what a beat says is compared, then judged."""


class Splitter(wiring.Component):
    """Frames in, two ways out, by rules A4 and A5. A beat each cycle, be it a frame or not.

    A frame that is not open waits for the beat with its byte 63, or its last one if that comes
    before, and three cycles; an open one for all that :class:`.claim.Claim` looks at. What passes
    is under way while its end is still to come.

    Parameters
    ----------
    beat_bytes : of the stream, 16, 32 or 64

    Members
    -------
    i : In(stream of beats), from the network
    config : In(CONFIG)
    room : In(1), there is room behind ``ours`` for the longest frame that the pipeline looks at
    passed, ours : Out(stream of beats), what goes on and what the pipeline is to judge; unchanged
    arrived : Out(1), the last beat of a frame is taken in this cycle
    went : Out(1), the last beat of a frame that passes leaves in this cycle
    overran : Out(1), with ``went``: it is ours, but there was no room for it (A5)
    unread : Out(1), for one cycle of a frame that passes because its headers are too long (A3)
    busy : Out(1)
    """

    def __init__(self, beat_bytes: int) -> None:
        self._claim = Claim(beat_bytes)
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
                "unread": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.claim = claim = self._claim
        m.submodules.beats = beats = Fifo(self._layout, _WAITING_BEATS)
        # Whether each frame is open, and of those that are, whether they are ours.
        m.submodules.opens = opens = Fifo(1, _WAITING_BEATS)
        m.submodules.verdicts = verdicts = Fifo(1, _WAITING_BEATS)
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq(beats.i.ready & (opens.level < opens.depth - _ON_THE_WAY)),
            taken.eq(self.i.valid & self.i.ready),
            beats.i.payload.eq(self.i.payload),
            beats.i.valid.eq(taken),
            claim.beat.eq(self.i.payload),
            claim.beat_valid.eq(taken),
            claim.config.eq(self.config),
            opens.i.payload.eq(claim.open),
            opens.i.valid.eq(claim.decided),
            verdicts.i.payload.eq(claim.ours),
            verdicts.i.valid.eq(claim.judged),
            self.unread.eq(claim.judged & claim.unread),
            self.arrived.eq(taken & self.i.payload.last),
            self.busy.eq(beats.o.valid),
        ]

        known, ours = Signal(), Signal()
        m.d.comb += [
            known.eq(opens.o.valid & (~opens.o.payload | verdicts.o.valid)),
            ours.eq(opens.o.payload & verdicts.o.payload),
        ]
        # With its first beat a frame is sent one way, whatever becomes of the room meanwhile.
        offered, kept, aside = Signal(), Signal(), Signal()
        m.d.comb += aside.eq(Mux(offered, kept, ours & self.room))
        gone = divide(m, beats.o, known, aside, self.passed, self.ours)
        with m.If(beats.o.valid & known):
            m.d.sync += [offered.eq(~gone), kept.eq(aside)]
        m.d.comb += [
            opens.o.ready.eq(gone),
            verdicts.o.ready.eq(gone & opens.o.payload),
            self.went.eq(gone & ~aside),
            self.overran.eq(gone & ~aside & ours),
        ]
        return m
