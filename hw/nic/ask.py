# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Asks the sender of a request for fragments that have not come: rule W8."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.wire import MessageType
from . import header as hdr
from .bus import BEAT_BYTES, JOB, ORIGIN, WORD_BITS, folded, sum_lanes
from .deep_fifo import WideFifo
from .room import HERE_BITS

QUESTION = data.StructLayout({"origin": ORIGIN, "group": 10, "missing": HERE_BITS})
"""What of a tensor is missing: bit k is for fragment ``64 * group + k``."""


class Asker(wiring.Component):
    """One question at a time, kept until there is nothing else to send.

    Members
    -------
    i : In(stream of QUESTION)
    job : Out(stream of JOB); words : Out(stream of words), one for each job
    asked : Out(1), a job is taken in this cycle
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(QUESTION)),
                "job": Out(stream.Signature(JOB)),
                "words": Out(stream.Signature(WORD_BITS)),
                "asked": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.waiting = waiting = WideFifo(QUESTION)
        wiring.connect(m, wiring.flipped(self.i), waiting.i)
        question = waiting.o.payload
        # The first bit on the wire is the highest of the first byte.
        bitmap = Cat(question.missing[8 * (bit // 8) + 7 - bit % 8] for bit in range(HERE_BITS))
        m.d.comb += [
            self.words.payload.eq(bitmap),
            self.job.payload.back.eq(1),
            self.job.payload.bytes.eq(BEAT_BYTES),
            self.job.payload.sum.eq(folded(m, sum_lanes(bitmap), "bitmap_sum")),
            self.job.payload.origin.eq(question.origin),
            self.job.payload.origin.header.eq(
                hdr.put(
                    question.origin.header,
                    message_type=MessageType.MISSING,
                    last=1,
                    fragment_index=question.group << 6,
                    offset=0,
                )
            ),
            self.asked.eq(self.job.valid & self.job.ready),
            self.busy.eq(waiting.o.valid),
        ]
        with m.FSM(name="question"):
            with m.State("job"):
                m.d.comb += self.job.valid.eq(waiting.o.valid)
                with m.If(self.asked):
                    m.next = "word"
            with m.State("word"):
                m.d.comb += [
                    self.words.valid.eq(1),
                    waiting.o.ready.eq(self.words.ready),
                ]
                with m.If(self.words.ready):
                    m.next = "job"
        return m
