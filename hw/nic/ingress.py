# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Splits the frames that come in: others' go straight on, those to our address aside.

A frame waits until :mod:`.classify` has decided, not until it is whole: what passes is under way
while its end is still to come, and goes with its bad-frame bit, if it has one. Neither way may keep
frames of the other waiting, so both have room for them behind this.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.headers import HEADERS_WITHIN
from .bus import BEAT, BEAT_BYTES, CONFIG, WHERE
from .classify import DECISION_CYCLES, Classifier
from .deep_fifo import QuickFifo
from .ways import divide

_DECISION_BEATS = DECISION_CYCLES + 2
"""That come until the first one leaves: what is decided is in a register in the next cycle; and one
more, as it is said a cycle late that there is room."""

WAITING_BEATS = -(-HEADERS_WITHIN // BEAT_BYTES) + _DECISION_BEATS
"""However late a frame is decided on, no beat is kept waiting for that."""

_VERDICT = data.StructLayout({"aside": 1, "refused": 1, "where": WHERE})
"""A frame goes ``aside``, or it would but for want of room."""


class Ingress(wiring.Component):
    """Frames in, two ways out.

    Parameters
    ----------
    waiting_beats : room, at least 8; frames are decided on by 3 fewer

    Members
    -------
    i : In(stream of BEAT), from the network
    config : In(CONFIG)
    room : In(1), what is to our address and decided on now may go there; else it passes
    passed : Out(stream of BEAT), not to our address, unchanged
    ours : Out(stream of BEAT), to our address; where : Out(WHERE), holds for all of a frame
    arrived : Out(1), the last beat of a frame is taken in this cycle
    went : Out(1), the last beat of a frame that passed leaves in this cycle
    overran : Out(1), with ``went``: it is to our address, but there was no room
    unread : Out(1), for one cycle of a frame that passes because its headers are too long (A3)
    busy : Out(1)
    """

    def __init__(self, waiting_beats: int = WAITING_BEATS) -> None:
        if waiting_beats < 8:
            raise ValueError(f"there must be room for at least 8 beats, not {waiting_beats!r}")
        self._beats = waiting_beats
        super().__init__(
            {
                "i": In(stream.Signature(BEAT)),
                "config": In(CONFIG),
                "room": In(1),
                "passed": Out(stream.Signature(BEAT)),
                "ours": Out(stream.Signature(BEAT)),
                "where": Out(WHERE),
                "arrived": Out(1),
                "went": Out(1),
                "overran": Out(1),
                "unread": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.classifier = classifier = Classifier(self._beats - _DECISION_BEATS)
        m.submodules.beats = beats = QuickFifo(BEAT, self._beats)
        # Of each frame a beat is here or still to come, so there is room for what is decided.
        m.submodules.verdicts = verdicts = QuickFifo(_VERDICT, self._beats + 1)
        taken, ready = Signal(), Signal(init=1)
        said, says = Signal(_VERDICT), Signal()
        m.d.sync += [
            said.aside.eq(classifier.to_us & self.room),
            said.refused.eq(classifier.to_us & ~self.room),
            said.where.eq(classifier.where),
            says.eq(classifier.decided),
            ready.eq(beats.level <= beats.depth - 2),
            self.unread.eq(classifier.unread),
        ]
        m.d.comb += [
            self.i.ready.eq(ready),
            taken.eq(self.i.valid & ready),
            beats.i.payload.eq(self.i.payload),
            beats.i.valid.eq(taken),
            classifier.beat.eq(self.i.payload),
            classifier.beat_valid.eq(taken),
            classifier.config.eq(self.config),
            verdicts.i.payload.eq(said),
            self.arrived.eq(taken & self.i.payload.last),
            self.busy.eq(beats.o.valid),
        ]
        # Of the frame that leaves next: it waits, or it was said in the cycle before.
        waits, verdict = verdicts.o.valid, Signal(_VERDICT)
        m.d.comb += verdict.eq(Mux(waits, verdicts.o.payload, said))
        gone = divide(m, beats.o, waits | says, verdict.aside, self.passed, self.ours)
        m.d.comb += [
            verdicts.i.valid.eq(says & (waits | ~gone)),
            verdicts.o.ready.eq(gone),
            self.where.eq(verdict.where),
            self.went.eq(gone & ~verdict.aside),
            self.overran.eq(gone & verdict.refused),
        ]
        return m
