# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The frames that an executor makes: fragments of results, those that go on, and questions.

Where a request came from, and where what comes of it goes, is kept once, for as long as something
may be sent of it, and read when that is sent: each source only says what it changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.bundle import MAX_TENSORS
from ..formats.wire import MessageType
from . import header as hdr
from .bus import BEAT_BYTES, JOB, LENGTH_BITS, MODEL, WORD_BITS, folded
from .deep_fifo import QuickFifo
from .kept_origins import KEPT
from .shape import WireTensor
from .turns import words_in_turn

FRAGMENT = data.StructLayout(
    {
        "bytes": LENGTH_BITS,
        "total": 32,
        "index": 16,
        "offset": 32,
        "last": 1,
        "count": 16,
        "reason": 8,
        "output": range(MAX_TENSORS),
        "ends": 1,
    }
)
"""What is sent of a tensor: its payload's bytes and the sum of their lanes (B3), and fields of its
header. A result's says of how many fragments (``count``), of which ``output``, and whether the
result ``ends`` with it; one that goes on its ``reason``."""

SOURCES = 3
"""Of frames, the most urgent first: fragments that go on, results, questions."""

GOES_ON, RESULT, QUESTION = range(SOURCES)

IN_SLICE = 4
"""Requests that are in the slice, at most."""

SLICE_PLACES = 2 * IN_SLICE
"""A power of 2, of theirs, round and round: the next one is free while all requests are there."""

PLACES = SLICE_PLACES + 2
"""Of all that is kept; the last ones are of what goes on, and of what is asked for."""

GOES_ON_PLACE, QUESTION_PLACE = range(SLICE_PLACES, PLACES)

_AHEAD = 4  # frames that were asked for, and whose words were not taken


class Outgoing(wiring.Component):
    """One frame after the other. While there is none, a result's is expected: it is offered in the
    cycle after it came.

    Parameters
    ----------
    outputs : of the slice

    Members
    -------
    model : In(MODEL); now : In(32), microseconds; cycles : In(32), of the result
    keeps : In(1), place : In, kept : In(KEPT), where to keep what; nothing is sent of it before
    fragments : In(stream of FRAGMENT), words_of : In(stream of words), of each source
    job : Out(stream of JOB); words : Out(stream of words), those of the jobs in their order
    went : Out(SOURCES), of which source a job is taken in this cycle
    sent : Out(1), that job is the last of a result, its place becomes free
    busy : Out(1)
    """

    def __init__(self, outputs: Sequence[WireTensor]) -> None:
        self._outputs = tuple(outputs)
        super().__init__(
            {
                "model": In(MODEL),
                "now": In(32),
                "cycles": In(32),
                "keeps": In(1),
                "place": In(range(PLACES)),
                "kept": In(KEPT),
                "fragments": In(stream.Signature(FRAGMENT)).array(SOURCES),
                "words_of": In(stream.Signature(WORD_BITS)).array(SOURCES),
                "job": Out(stream.Signature(JOB)),
                "words": Out(stream.Signature(WORD_BITS)),
                "went": Out(SOURCES),
                "sent": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        source, turn = Signal(range(SOURCES), init=RESULT), Signal(SOURCES, init=1 << RESULT)
        wanted = Signal.like(source)
        head, place = Signal(range(SLICE_PLACES)), Signal(range(PLACES))
        # What is read of a place, as the time that is left, is there two cycles after it is chosen.
        stands = Signal()
        fragment, offers = Signal(FRAGMENT), Signal()
        leaves = Signal()  # the job is taken
        m.submodules.turns = turns = QuickFifo(
            data.StructLayout({"source": range(SOURCES), "words": LENGTH_BITS}), _AHEAD
        )
        waits = Cat(each.valid for each in self.fragments)
        m.d.comb += wanted.eq(RESULT)
        for each in reversed(range(SOURCES)):
            with m.If(waits[each]):
                m.d.comb += wanted.eq(each)
        # Who is to be taken from is chosen a cycle before, so that it is told by registers.
        ready, takes = Signal(), Signal()
        m.d.comb += [
            ready.eq(stands & ~offers & turns.i.ready),
            takes.eq(ready & (waits & turn).any()),
        ]
        for each, stands_for in zip(self.fragments, turn, strict=True):
            m.d.comb += each.ready.eq(ready & stands_for)
        with m.If(~offers):
            m.d.sync += fragment.eq(
                Array(each.payload.as_value() for each in self.fragments)[source]
            )
        m.d.sync += offers.eq(takes | (offers & ~leaves))
        with m.If(~takes & (~offers | self.job.ready)):
            m.d.sync += [
                source.eq(wanted),
                turn.eq(Const(1) << wanted),
                place.eq(Array((GOES_ON_PLACE, head, QUESTION_PLACE))[wanted]),
                stands.eq(source == wanted),
            ]
        with m.If(self.sent):
            m.d.sync += [head.eq(head + 1), stands.eq(0)]
            with m.If(wanted == RESULT):
                m.d.sync += place.eq((head + 1)[: len(head)])
        m.d.comb += [
            self.job.valid.eq(offers),
            leaves.eq(offers & self.job.ready),
            self.went.eq(turn & leaves.replicate(SOURCES)),
            self.sent.eq(self.went[RESULT] & fragment.ends),
            turns.i.payload.source.eq(source),
            turns.i.payload.words.eq((fragment.bytes + (BEAT_BYTES - 1)) >> 3),
            turns.i.valid.eq(leaves),
            self.busy.eq(offers | turns.o.valid),
        ]
        words_in_turn(m, turns.o, turns.o.payload.source, self.words_of, self.words)
        m.submodules.kept = kept = Memory(shape=KEPT, depth=PLACES, init=[])
        write, read = kept.write_port(), kept.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.keeps),
            write.addr.eq(self.place),
            write.data.eq(self.kept),
            read.addr.eq(place),
        ]
        self._describe(m, source, fragment, read.data)
        return m

    def _describe(self, m: Module, source: Value, fragment: data.View, kept: data.View) -> None:
        """The job: the request's header, changed."""
        origin = kept.origin
        header = origin.header
        left = hdr.time_left(m, header, self.now, origin.stamp)
        sizes = Array(Const(size, 32) for _, size in self._outputs)
        told = {"fragment_index": fragment.index, "offset": fragment.offset, "last": fragment.last}
        headers = (
            hdr.passed_on(header, left, declined=1, reason=fragment.reason, **told),
            hdr.passed_on(
                header,
                left,
                result=1,
                declined=0,
                reason=0,
                telemetry=fragment.last,
                cycles=Mux(fragment.last, self.cycles, 0),
                cursor=hdr.get(header, "cursor") + 1,
                fragment_count=fragment.count,
                total_bytes=sizes[fragment.output],
                tensor_index=fragment.output,
                source_count=len(self._outputs),
                element_type=self.model.element_type,
                **told,
            ),
            hdr.put(header, message_type=MessageType.MISSING, **told),
        )
        job = self.job.payload
        m.d.comb += [
            job.back.eq(source == QUESTION),
            job.bytes.eq(fragment.bytes),
            job.sum.eq(folded(m, fragment.total, "fragment_sum")),
            job.origin.eq(origin),
            job.hop.eq(kept.hop),
            job.origin.header.eq(Array(headers)[source]),
        ]
