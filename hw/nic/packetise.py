# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes frames of jobs: headers (:mod:`.prepare`), then the payload's words behind them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import (
    BEAT_BYTES,
    CONFIG,
    JOB,
    SENT,
    WORD_BITS,
    byte_of,
    word_from,
)
from .deep_fifo import DeepFifo, QuickFifo
from .outer_headers import FRONT_WORDS
from .prepare import FIRST, HEADER_WORDS, Preparer

_WAITING_WORDS = 256
_WORD = data.StructLayout({"data": WORD_BITS, "first": 1, "last": 1})


class Packetiser(wiring.Component):
    """One frame after the other, a beat each cycle and one between two frames.

    Of jobs that wait, the first source's goes first, and alone while ``crowded``: those are frames
    that came in and go on. Headers of a job are made while the frame before leaves, and words of
    the first source are taken before it is their turn: as fast as frames come in, they go out.

    Which source is next is known a cycle before its job is taken, and while there is none, that is
    the ``likely`` one, or the first one while ``crowded``: its jobs are taken at once.

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
        # Whose job is taken, if it has one: as a number, for a multiplexer of a thousand bits, and
        # one by one. All of that are registers: jobs come from far away.
        chosen = Signal(range(self._sources), init=self._likely)
        turn, taking = Signal.like(chosen), Signal(self._sources, init=1 << self._likely)
        prepared = Signal.like(chosen)
        taken = Signal()  # one, in the cycle before
        m.d.comb += turn.eq(Mux(self.crowded, 0, self._likely))
        for source, job in reversed([*enumerate(self.jobs)]):
            with m.If(job.valid & (~self.crowded if source else 1)):
                m.d.comb += turn.eq(source)
            m.d.sync += taking[source].eq(preparer.rests & (turn == source))
            m.d.comb += job.ready.eq(taking[source] & ~taken)
        payloads = Array(job.payload.as_value() for job in self.jobs)
        m.d.comb += [
            preparer.i.payload.eq(payloads[chosen]),
            preparer.i.valid.eq(Cat(job.valid & job.ready for job in self.jobs).any()),
        ]
        m.d.sync += [chosen.eq(turn), taken.eq(preparer.i.valid)]
        with m.If(preparer.i.valid):
            m.d.sync += prepared.eq(chosen)

        # The words of a frame, from its first bytes to the payload's last one.
        m.submodules.words = words = QuickFifo(_WORD)
        moves = words.i.ready  # what is written here goes on if there is something
        prefix = preparer.o.payload
        at, buffer = Signal(range(FRONT_WORDS + HEADER_WORDS)), Signal()
        left, is_last = Signal(prefix.words.shape()), Signal()  # words of the payload; of them
        none, ends = Signal(), Signal()  # there are no such words; it is the last one before them
        # What is written: first bytes, what is in front, or the payload from one of its sources.
        idles, fronts = Signal(init=1), Signal()
        sending, takes = Signal(range(self._sources)), Signal(self._sources)
        sources = [waited.o, *(entrance.o for entrance in entrances[1:])]
        comes = Cat(source.valid for source in sources) & takes
        written = [(idles, prefix.first.as_value()), (fronts, preparer.word)]
        written += [(take, of.payload) for take, of in zip(takes, sources, strict=True)]
        m.d.comb += [
            *(source.ready.eq(take & moves) for source, take in zip(sources, takes, strict=True)),
            preparer.at.eq(at),
            preparer.buffer.eq(buffer),
            preparer.o.ready.eq(idles & moves),
            words.i.payload.data.eq(reduce(or_, (Mux(its, word, 0) for its, word in written))),
            words.i.payload.first.eq(idles),
            words.i.payload.last.eq((fronts & ends & none) | (takes.any() & is_last)),
            words.i.valid.eq((idles & preparer.o.valid) | fronts | comes.any()),
        ]
        m.d.sync += none.eq(left == 0)
        with m.If(idles):
            m.d.sync += [
                at.eq(prefix.begin),
                buffer.eq(prefix.buffer),
                left.eq(prefix.words),
                sending.eq(prepared),
            ]
            with m.If(preparer.o.valid & moves):
                m.d.sync += [idles.eq(0), fronts.eq(1)]
        with m.If(fronts):
            m.d.sync += is_last.eq(left == 1)
            with m.If(moves):
                m.d.sync += [at.eq(at + 1), ends.eq(at == FRONT_WORDS + HEADER_WORDS - 2)]
                with m.If(ends):
                    m.d.sync += [
                        fronts.eq(0),
                        idles.eq(none),
                        takes.eq(Mux(none, 0, Const(1) << sending)),
                    ]
        with m.If(comes.any() & moves):
            m.d.sync += [left.eq(left - 1), is_last.eq(left == 2)]
            with m.If(is_last):
                m.d.sync += [takes.eq(0), idles.eq(1)]
        carries = self._beats(m, words.o)
        fifos = (*entrances, waiting, waited, words)
        waits_inside = Cat(fifo.o.valid for fifo in fifos).any()
        m.d.comb += self.busy.eq(preparer.busy | waits_inside | carries | ~idles)
        return m

    def _beats(self, m: Module, words: stream.Interface) -> Signal:
        """Words to beats; returns whether a frame's last one waits, all of its words being taken.

        Each beat has the end of one word and the beginning of the next one.
        """
        before, first = Signal(WORD_BITS), Signal(FIRST)  # as it was in front of this frame
        carries = Signal()
        here = words.payload
        is_last = Signal()
        # `bad` stays 0. Driven by itself it would be an `always @*` without a signal, which no
        # simulator ever runs.
        beat = Signal(data.StructLayout({"data": WORD_BITS, "keep": BEAT_BYTES, "last": 1}))
        m.d.comb += [
            self.o.payload.eq(Cat(beat.as_value(), Const(0, 1), first.back, Const(1, 1))),
            self.o.valid.eq(carries | (words.valid & ~here.first)),
            words.ready.eq(~carries & self.o.ready),
            beat.data.eq(word_from(before, Mux(carries, 0, here.data), byte_of(~first.odd))),
            beat.keep.eq(-1),
            is_last.eq(carries | (here.last & first.fits)),
            beat.last.eq(is_last),
        ]
        with m.If(is_last):
            behind = (first.tail >= lane for lane in range(1, BEAT_BYTES))
            m.d.comb += beat.keep.eq(Cat(Const(1, 1), *behind))
        with m.If(words.valid & words.ready):
            m.d.sync += before.eq(here.data)
            with m.If(here.first):
                m.d.sync += first.eq(here.data)
        with m.If(carries):
            m.d.sync += carries.eq(~self.o.ready)
        with m.Else():
            m.d.sync += carries.eq(words.valid & self.o.ready & here.last & ~first.fits)
        return carries
