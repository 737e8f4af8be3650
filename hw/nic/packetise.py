# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes frames of jobs: headers (:mod:`.prepare`), then the payload's words behind them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT, BEAT_BYTES, CONFIG, JOB, LENGTH_BITS, WORD_BITS
from .parser import PAYLOAD_AT
from .prepare import Preparer

_WAITING_WORDS = 256


class Packetiser(wiring.Component):
    """One frame after the other, a beat each cycle and one between two frames.

    Of two jobs that wait, ``declined`` goes first, and alone while ``crowded``. Headers of a job
    are made while the frame before leaves, and words of a declined fragment are taken before it is
    their turn: as fast as frames come in, they go out.

    Members
    -------
    config : In(CONFIG)
    crowded : In(1), frames come in faster than they leave: no results
    declined, results : In(stream of JOB)
    declined_words, results_words : In(stream of words), ``ceil(bytes / 8)`` for each job taken
    o : Out(stream of BEAT)
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "config": In(CONFIG),
                "crowded": In(1),
                "declined": In(stream.Signature(JOB)),
                "declined_words": In(stream.Signature(WORD_BITS)),
                "results": In(stream.Signature(JOB)),
                "results_words": In(stream.Signature(WORD_BITS)),
                "o": Out(stream.Signature(BEAT)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.preparer = preparer = Preparer()
        m.submodules.waiting = waiting = Fifo(WORD_BITS, _WAITING_WORDS)
        wiring.connect(m, wiring.flipped(self.declined_words), waiting.i)
        results_next = Signal()  # whose job the preparer has
        results_wait = self.declined.valid | self.crowded
        m.d.comb += [
            preparer.config.eq(self.config),
            preparer.i.payload.eq(
                Mux(self.declined.valid, self.declined.payload, self.results.payload)
            ),
            preparer.i.valid.eq(self.declined.valid | (self.results.valid & ~results_wait)),
            self.declined.ready.eq(preparer.i.ready),
            self.results.ready.eq(preparer.i.ready & ~results_wait),
        ]
        with m.If(preparer.i.valid & preparer.i.ready):
            m.d.sync += results_next.eq(~self.declined.valid)

        is_result = Signal()
        word = Signal(WORD_BITS)
        word_valid, word_ready = Signal(), Signal()
        for source, chosen in ((self.results_words, is_result), (waiting.o, ~is_result)):
            with m.If(chosen):
                m.d.comb += [
                    word.eq(source.payload),
                    word_valid.eq(source.valid),
                    source.ready.eq(word_ready),
                ]

        prefix = Signal(8 * PAYLOAD_AT)  # shifts by a beat; its last 2 bytes become the carry
        beats = Signal(range(PAYLOAD_AT // BEAT_BYTES))
        carried = PAYLOAD_AT % BEAT_BYTES
        left = Signal(LENGTH_BITS)
        # `bad` stays 0. Driven by itself it would be an `always @*` without a signal, which no
        # simulator ever runs.
        beat = Signal(data.StructLayout({"data": WORD_BITS, "keep": BEAT_BYTES, "last": 1}))
        m.d.comb += [self.o.payload.eq(beat.as_value()), beat.keep.eq(-1)]
        with m.FSM(name="frame") as fsm:
            with m.State("idle"):
                m.d.comb += preparer.o.ready.eq(1)
                m.d.sync += [
                    prefix.eq(preparer.o.payload.prefix),
                    left.eq(preparer.o.payload.bytes),
                    is_result.eq(results_next),
                    beats.eq(0),
                ]
                with m.If(preparer.o.valid):
                    m.next = "prefix"
            with m.State("prefix"):
                m.d.comb += [beat.data.eq(prefix), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += [prefix.eq(prefix >> WORD_BITS), beats.eq(beats + 1)]
                    with m.If(beats == PAYLOAD_AT // BEAT_BYTES - 1):
                        m.next = "payload"
            with m.State("payload"):
                fits = Signal()  # the rest goes with this beat
                m.d.comb += [
                    fits.eq(left <= BEAT_BYTES - carried),
                    beat.data.eq(Cat(prefix[: 8 * carried], word)),
                    beat.last.eq(fits),
                    self.o.valid.eq(word_valid),
                    word_ready.eq(self.o.ready),
                ]
                with m.If(fits):
                    m.d.comb += beat.keep.eq(Cat(left + carried > lane for lane in range(8)))
                with m.If(word_valid & self.o.ready):
                    m.d.sync += [
                        prefix.eq(word >> WORD_BITS - 8 * carried),
                        left.eq(left - BEAT_BYTES),
                    ]
                    with m.If(fits):
                        m.next = "idle"
                    with m.Elif(left <= BEAT_BYTES):
                        m.d.sync += left.eq(left - (BEAT_BYTES - carried))
                        m.next = "carry"
            with m.State("carry"):
                m.d.comb += [
                    beat.data.eq(prefix[: 8 * carried]),
                    beat.keep.eq(Cat(left > lane for lane in range(8))),
                    beat.last.eq(1),
                    self.o.valid.eq(1),
                ]
                with m.If(self.o.ready):
                    m.next = "idle"
        m.d.comb += self.busy.eq(preparer.busy | waiting.o.valid | ~fsm.ongoing("idle"))
        return m
