# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Takes frames out of the store, one after the other, to where the decider sends them.

Each frame begins to move a cycle after it was seen at the head, and there is a bubble between two:
what becomes of a frame is told when it is gone.
While a frame at the head is still decided on, and it is sure not to pass, its headers are taken: a
tensor of one fragment need not wait for them then.
Nothing here waits for the slice: a fragment is collected only into a slot that is open.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import FIRST_DECLINED
from ..formats.wire import DeclineReason
from . import header as hdr
from .bus import (
    BEAT,
    FATE,
    FRAME,
    JOB,
    OUTCOME,
    VERDICT_DROP,
    VERDICT_OURS,
    VERDICT_PASS,
    VERDICT_SEND,
    WORD_BITS,
)
from .realign import Realigner


class Dispatcher(wiring.Component):
    """Pass, drop, forward, collect or decline.

    Members
    -------
    frame : In(stream of FATE), one for each frame in the store, in order; taken when the frame is
        gone; origin, next hop, reason and outcome need not be there before the second cycle
    coming : In(FRAME), while ``comes`` : In(1), the frame that is decided on; it is ours, so it
        will not pass
    beats : In(stream of BEAT), the store
    passed : Out(stream of BEAT)
    collected : Out(stream of words), always taken; stored : Out(1), all of a fragment
    declined : Out(stream of JOB), or forwarded; declined_words : Out(stream of words)
    now : In(32), microseconds
    outcome, outcome_valid : what became of a frame; busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "frame": In(stream.Signature(FATE)),
                "coming": In(FRAME),
                "comes": In(1),
                "beats": In(stream.Signature(BEAT)),
                "passed": Out(stream.Signature(BEAT)),
                "collected": Out(stream.Signature(WORD_BITS, always_ready=True)),
                "stored": Out(1),
                "declined": Out(stream.Signature(JOB)),
                "declined_words": Out(stream.Signature(WORD_BITS)),
                "now": In(32),
                "outcome": Out(OUTCOME),
                "outcome_valid": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.realigner = realigner = Realigner()
        frame, reason = self.frame.payload.frame, self.frame.payload.reason
        ends, declines, goes = Signal(), Signal(), Signal()
        # What is done with beats, as registers: all of a beat waits for it.
        takes, passes, drops, collects, sends = (
            Signal(name=name) for name in ("takes", "passes", "drops", "collects", "sends")
        )
        # Of the frame at the head, from registers: the realigner's words go a long way, and so does
        # what is sent on.
        place, size, total = (Signal.like(of) for of in (frame.place, frame.bytes, frame.sum))
        declined, why = Signal(), Signal.like(reason)
        header = frame.origin.header
        unrefused = reason == DeclineReason.NONE
        m.d.sync += [
            total.eq(frame.sum),
            declined.eq(Mux(unrefused, hdr.get(header, "declined"), 1)),
            why.eq(Mux(unrefused, hdr.get(header, "reason"), reason)),
            self.outcome.eq(
                Mux(frame.verdict == VERDICT_SEND, FIRST_DECLINED - 1 + reason, frame.outcome)
            ),
            place.eq(Mux(self.frame.valid, frame.place, self.coming.place)),
            size.eq(Mux(self.frame.valid, frame.bytes, self.coming.bytes)),
        ]
        # Headers are taken without the frame's end, by which one that is dropped is known to have
        # gone.
        headers = takes & ~realigner.began & ~self.beats.payload.last
        last = self.beats.valid & self.beats.payload.last
        m.d.comb += [
            self.passed.payload.eq(self.beats.payload),
            self.passed.valid.eq(self.beats.valid & passes),
            realigner.i.payload.eq(self.beats.payload),
            realigner.i.valid.eq(self.beats.valid & (headers | collects | sends)),
            realigner.ends.eq(last & (collects | sends)),
            realigner.place.eq(place),
            realigner.size.eq(size),
            realigner.o.ready.eq(collects | (sends & self.declined_words.ready)),
            realigner.clear.eq(drops & last),
            self.beats.ready.eq(
                headers
                | drops
                | (passes & self.passed.ready)
                | ((collects | sends) & realigner.i.ready)
            ),
            self.collected.valid.eq(collects & realigner.o.valid),
            self.stored.eq(collects & realigner.finishes),
            self.declined_words.valid.eq(sends & realigner.o.valid),
            ends.eq(
                (drops & last)
                | (passes & last & self.passed.ready)
                | (collects & realigner.finishes)
                | (sends & realigner.done)
            ),
            self.collected.payload.eq(realigner.o.payload),
            self.declined_words.payload.eq(realigner.o.payload),
            self.frame.ready.eq(goes),
            self.outcome_valid.eq(goes),
            self.busy.eq(self.frame.valid | self.beats.valid),
        ]

        deadline = hdr.time_left(m, header, self.now, frame.origin.stamp)
        m.d.comb += [
            self.declined.valid.eq(declines),
            self.declined.payload.bytes.eq(size),
            self.declined.payload.sum.eq(total),
            self.declined.payload.origin.eq(frame.origin),
            self.declined.payload.hop.eq(self.frame.payload.hop),
            self.declined.payload.origin.header.eq(
                hdr.passed_on(header, deadline, declined=declined, reason=why)
            ),
        ]

        m.d.sync += [takes.eq(0), goes.eq(0)]
        with m.FSM(name="head"):
            with m.State("look"):
                m.d.sync += takes.eq(self.comes & ~self.frame.valid)
                with m.If(self.frame.valid):
                    m.d.sync += [
                        passes.eq(frame.verdict == VERDICT_PASS),
                        drops.eq(frame.verdict == VERDICT_DROP),
                        collects.eq(frame.verdict == VERDICT_OURS),
                        takes.eq(frame.verdict == VERDICT_SEND),
                    ]
                    m.next = "move"
                    with m.If(frame.verdict == VERDICT_SEND):
                        m.next = "reckon"
            with m.State("reckon"):
                m.d.sync += takes.eq(1)
                m.next = "reckon on"
            with m.State("reckon on"):
                m.d.sync += [takes.eq(1), declines.eq(1)]
                m.next = "decline"
            with m.State("decline"):
                m.d.sync += takes.eq(1)
                with m.If(self.declined.ready):
                    m.d.sync += [takes.eq(0), declines.eq(0), sends.eq(1)]
                    m.next = "move"
            with m.State("move"), m.If(ends):
                m.d.sync += [*(of.eq(0) for of in (passes, drops, collects, sends)), goes.eq(1)]
                m.next = "gone"
            with m.State("gone"):
                m.next = "look"
        return m
