# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes frames of jobs: headers (:mod:`.prepare`), then the payload's words behind them."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT_BYTES, CONFIG, JOB, LENGTH_BITS, SENT, WORD_BITS
from .parser import PAYLOAD_AT
from .prepare import Preparer

_WAITING_WORDS = 256


class Packetiser(wiring.Component):
    """One frame after the other, a beat each cycle and one between two frames.

    Of jobs that wait, the first source's goes first, and alone while ``crowded``: those are frames
    that came in and go on. Headers of a job are made while the frame before leaves, and words of
    the first source are taken before it is their turn: as fast as frames come in, they go out.

    Parameters
    ----------
    sources : how many, at least 1

    Members
    -------
    config : In(CONFIG)
    crowded : In(1), frames come in faster than they leave: nothing but those
    jobs : In(stream of JOB), ``sources`` of them
    words : In(stream of words), one for each source: ``ceil(bytes / 8)`` for each job taken
    o : Out(stream of SENT)
    busy : Out(1)
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        super().__init__(
            {
                "config": In(CONFIG),
                "crowded": In(1),
                "jobs": In(stream.Signature(JOB)).array(sources),
                "words": In(stream.Signature(WORD_BITS)).array(sources),
                "o": Out(stream.Signature(SENT)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.preparer = preparer = Preparer()
        m.submodules.waiting = waiting = Fifo(WORD_BITS, _WAITING_WORDS)
        wiring.connect(m, wiring.flipped(self.words[0]), waiting.i)
        m.d.comb += preparer.config.eq(self.config)
        ahead: Value = Const(0)  # a source before this one has a job
        chosen, prepared = Signal(range(self._sources)), Signal(range(self._sources))
        back_next = Signal()
        for source, job in enumerate(self.jobs):
            waits = ahead | self.crowded if source else ahead
            with m.If(job.valid & ~waits):
                m.d.comb += [
                    chosen.eq(source),
                    preparer.i.payload.eq(job.payload),
                    preparer.i.valid.eq(1),
                ]
            m.d.comb += job.ready.eq(preparer.i.ready & ~waits)
            ahead = ahead | job.valid
        with m.If(preparer.i.valid & preparer.i.ready):
            m.d.sync += [prepared.eq(chosen), back_next.eq(preparer.i.payload.back)]

        sending, back = Signal(range(self._sources)), Signal()
        word = Signal(WORD_BITS)
        word_valid, word_ready = Signal(), Signal()
        for source, words in enumerate((waiting.o, *list(self.words)[1:])):
            with m.If(sending == source):
                m.d.comb += [
                    word.eq(words.payload),
                    word_valid.eq(words.valid),
                    words.ready.eq(word_ready),
                ]

        prefix = Signal(8 * PAYLOAD_AT)  # shifts by a beat; its last 2 bytes become the carry
        beats = Signal(range(PAYLOAD_AT // BEAT_BYTES))
        carried = PAYLOAD_AT % BEAT_BYTES
        left = Signal(LENGTH_BITS)
        # `bad` stays 0. Driven by itself it would be an `always @*` without a signal, which no
        # simulator ever runs.
        beat = Signal(data.StructLayout({"data": WORD_BITS, "keep": BEAT_BYTES, "last": 1}))
        m.d.comb += [
            self.o.payload.eq(Cat(beat.as_value(), Const(0, 1), back)),
            beat.keep.eq(-1),
        ]
        with m.FSM(name="frame") as fsm:
            with m.State("idle"):
                m.d.comb += preparer.o.ready.eq(1)
                m.d.sync += [
                    prefix.eq(preparer.o.payload.prefix),
                    left.eq(preparer.o.payload.bytes),
                    sending.eq(prepared),
                    back.eq(back_next),
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
