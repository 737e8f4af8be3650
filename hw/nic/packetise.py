# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes frames of jobs: headers (:mod:`.prepare`), then the payload's words behind them."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.wire import HEADER_BYTES
from . import header as hdr
from .bus import (
    BEAT_BYTES,
    CONFIG,
    JOB,
    LANE_BITS,
    LENGTH_BITS,
    PLACE_BITS,
    SENT,
    WORD_BITS,
    beat_of,
    byte_of,
    word_from,
)
from .deep_fifo import DeepFifo, QuickFifo
from .prepare import FRONT_BYTES, Preparer

_WAITING_WORDS = 256
_HEADER_WORDS = HEADER_BYTES // BEAT_BYTES


class Packetiser(wiring.Component):
    """One frame after the other, a beat each cycle and one between two frames.

    Of jobs that wait, the first source's goes first, and alone while ``crowded``: those are frames
    that came in and go on. Headers of a job are made while the frame before leaves, and words of
    the first source are taken before it is their turn: as fast as frames come in, they go out.

    Which source is next is known a cycle before its job is taken, and while there is none, that is
    the ``likely`` one: its jobs are taken at once.

    Parameters
    ----------
    sources : how many, at least 1; likely : one of them

    Members
    -------
    config : In(CONFIG)
    crowded : In(1), frames come in faster than they leave: nothing but those
    jobs : In(stream of JOB), ``sources`` of them
    words : In(stream of words), one for each source: ``ceil(bytes / 8)`` for each job taken
    o : Out(stream of SENT)
    busy : Out(1)
    """

    def __init__(self, sources: int, likely: int = 0) -> None:
        self._sources, self._likely = sources, likely
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
        m.submodules.waiting = waiting = DeepFifo(WORD_BITS, _WAITING_WORDS)
        # Who gives words is far away.
        entrances = [QuickFifo(WORD_BITS) for _ in self.words]
        for source, entrance in enumerate(entrances):
            m.submodules[f"entrance{source}"] = entrance
            wiring.connect(m, wiring.flipped(self.words[source]), entrance.i)
        wiring.connect(m, entrances[0].o, waiting.i)
        m.submodules.waited = waited = QuickFifo(WORD_BITS)
        wiring.connect(m, waiting.o, waited.i)
        m.d.comb += preparer.config.eq(self.config)
        ahead: Value = Const(0)  # a source before this one has a job
        chosen, prepared = Signal(range(self._sources)), Signal(range(self._sources))
        back_next = Signal()
        # Once as a number, for a multiplexer of a thousand bits, and once for all else.
        turn = Signal(self._sources)
        m.d.sync += [chosen.eq(self._likely), turn.eq(1 << self._likely)]
        # One multiplexer by number, out of a register: a job has a thousand bits.
        payloads = Array(job.payload.as_value() for job in self.jobs)
        m.d.comb += preparer.i.payload.eq(payloads[chosen])
        for source, job in enumerate(self.jobs):
            waits = ahead | self.crowded if source else ahead
            with m.If(job.valid & ~waits):
                m.d.sync += [chosen.eq(source), turn.eq(1 << source)]
                m.d.comb += preparer.i.valid.eq(turn[source])
            m.d.comb += job.ready.eq(preparer.i.ready & turn[source] & ~waits)
            ahead = ahead | job.valid
        with m.If(preparer.i.valid & preparer.i.ready):
            m.d.sync += [prepared.eq(chosen), back_next.eq(preparer.i.payload.back)]

        sending, back = Signal(range(self._sources)), Signal()
        word = Signal(WORD_BITS)
        word_valid, word_ready = Signal(), Signal()
        for source, words in enumerate((waited.o, *(entrance.o for entrance in entrances[1:]))):
            with m.If(sending == source):
                m.d.comb += [
                    word.eq(words.payload),
                    word_valid.eq(words.valid),
                    words.ready.eq(word_ready),
                ]

        front, header = Signal(8 * FRONT_BYTES), Signal(hdr.HEADER_BITS)  # shift by a beat
        place = Signal(PLACE_BITS)  # at which the midwire header begins
        before = Signal(WORD_BITS)  # the bytes that wait for the next word's are its last
        beats, words = Signal(range(FRONT_BYTES // BEAT_BYTES)), Signal(range(_HEADER_WORDS + 1))
        left, fits, ends = Signal(LENGTH_BITS), Signal(), Signal()
        carried = byte_of(place)[:LANE_BITS]  # of the bytes in front of each word
        room = byte_of(~place)[:LANE_BITS]  # in its beat
        # `bad` stays 0. Driven by itself it would be an `always @*` without a signal, which no
        # simulator ever runs.
        beat = Signal(data.StructLayout({"data": WORD_BITS, "keep": BEAT_BYTES, "last": 1}))
        m.d.comb += [
            self.o.payload.eq(Cat(beat.as_value(), Const(0, 1), back, Const(1, 1))),
            beat.keep.eq(-1),
        ]
        idles = Signal(init=1)  # in state idle: a register of its own for all that is taken there
        with m.If(idles):
            m.d.sync += [
                front.eq(preparer.o.payload.front),
                header.eq(preparer.o.payload.header),
                place.eq(preparer.o.payload.place),
                left.eq(preparer.o.payload.bytes + HEADER_BYTES),
                sending.eq(prepared),
                back.eq(back_next),
                beats.eq(0),
                words.eq(0),
                fits.eq(0),
                ends.eq(0),
            ]
        with m.FSM(name="frame") as fsm:
            with m.State("idle"):
                m.d.comb += preparer.o.ready.eq(1)
                with m.If(preparer.o.valid):
                    m.d.sync += idles.eq(0)
                    m.next = "front"
            with m.State("front"):
                rest = front[WORD_BITS:]
                m.d.comb += [beat.data.eq(front), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += [
                        front.eq(rest),
                        before.eq(word_from(Const(0, WORD_BITS), rest, byte_of(place))),
                        beats.eq(beats + 1),
                    ]
                    with m.If(beats == beat_of(byte_of(place)) - 1):
                        m.next = "words"
            with m.State("words"):
                # `fits`: the rest goes with this beat; `ends`: it goes with the next one, too. Both
                # are known from the beat before: the first ones are the header's.
                in_header = Signal()
                here = Signal(WORD_BITS)
                m.d.comb += [
                    in_header.eq(words != _HEADER_WORDS),
                    here.eq(Mux(in_header, header[:WORD_BITS], word)),
                    beat.data.eq(word_from(before, here, byte_of(~place))),
                    beat.last.eq(fits),
                    self.o.valid.eq(in_header | word_valid),
                    word_ready.eq(self.o.ready & ~in_header),
                ]
                with m.If(fits):
                    m.d.comb += beat.keep.eq(
                        Cat(left[: LANE_BITS + 1] + carried > lane for lane in range(BEAT_BYTES))
                    )
                with m.If(in_header & self.o.ready):
                    m.d.sync += [header.eq(header >> WORD_BITS), words.eq(words + 1)]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += [
                        before.eq(here),
                        left.eq(left - BEAT_BYTES),
                        fits.eq(left <= room + BEAT_BYTES),
                        ends.eq(left <= 2 * BEAT_BYTES),
                    ]
                    with m.If(fits):
                        m.d.sync += idles.eq(1)
                        m.next = "idle"
                    with m.Elif(ends):
                        m.d.sync += left.eq(left - room)
                        m.next = "carry"
            with m.State("carry"):
                m.d.comb += [
                    beat.data.eq(word_from(before, Const(0, WORD_BITS), byte_of(~place))),
                    beat.keep.eq(Cat(left[: LANE_BITS + 1] > lane for lane in range(BEAT_BYTES))),
                    beat.last.eq(1),
                    self.o.valid.eq(1),
                ]
                with m.If(self.o.ready):
                    m.d.sync += idles.eq(1)
                    m.next = "idle"
        fifos = (*entrances, waiting, waited)
        waits_inside = Cat(fifo.o.valid for fifo in fifos).any()
        m.d.comb += self.busy.eq(preparer.busy | waits_inside | ~fsm.ongoing("idle"))
        return m
