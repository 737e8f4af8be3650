# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Asks the sender of a request for fragments that have not come: rule W8."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT_BYTES, WORD_BITS, sum_lanes
from .outgoing import FRAGMENT
from .room import HERE_BITS

QUESTION = data.StructLayout({"group": 10, "missing": HERE_BITS})
"""What of a tensor is missing: bit k is for fragment ``64 * group + k``."""


class Asker(wiring.Component):
    """One question at a time, kept until there is nothing else to send.

    Members
    -------
    i : In(stream of QUESTION)
    o : Out(stream of FRAGMENT); words : Out(stream of words), one for each
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(QUESTION)),
                "o": Out(stream.Signature(FRAGMENT)),
                "words": Out(stream.Signature(WORD_BITS)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.waiting = waiting = Fifo(QUESTION, 1)
        wiring.connect(m, wiring.flipped(self.i), waiting.i)
        question = waiting.o.payload
        # The first bit on the wire is the highest of the first byte.
        bitmap = Cat(question.missing[8 * (bit // 8) + 7 - bit % 8] for bit in range(HERE_BITS))
        m.d.comb += [
            self.words.payload.eq(bitmap),
            self.o.payload.bytes.eq(BEAT_BYTES),
            self.o.payload.total.eq(sum_lanes(bitmap)),
            self.o.payload.index.eq(question.group << 6),
            self.o.payload.last.eq(1),
            self.busy.eq(waiting.o.valid),
        ]
        with m.FSM(name="question"):
            with m.State("job"):
                m.d.comb += self.o.valid.eq(waiting.o.valid)
                with m.If(self.o.valid & self.o.ready):
                    m.next = "word"
            with m.State("word"):
                m.d.comb += [
                    self.words.valid.eq(1),
                    waiting.o.ready.eq(self.words.ready),
                ]
                with m.If(self.words.ready):
                    m.next = "job"
        return m
