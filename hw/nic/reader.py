# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is done with a collected request: into the slice, or on, or its sender is asked for more."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.wire import DeclineReason
from . import header as hdr
from .ask import QUESTION
from .bus import BEAT_BYTES, CONTEXT, HOP, JOB, LENGTH_BITS, ORIGIN, WORD_BITS, folded, sum_lanes
from .gearbox import Gearbox
from .room import HERE_BITS, Room, chore, released


class Reader(wiring.Component):
    """One slot at a time. A chore goes before the next whole request.

    A request goes into the slice, its words zeroed behind it. One that is given up goes on, one
    fragment after the other, each read twice: the checksum stands in front of what it is of.

    Parameters
    ----------
    room : of the slots; beat_bytes : of the slice's input

    Members
    -------
    now : In(32), microseconds; cycle : In(32)
    opens : In(1), a request begins in slot ``opened`` with a frame from ``origin``; what comes of
        it goes to the next hop ``hop``
    whole : In(stream of slots), in the order of execution
    chore : In(stream of :func:`.room.chore`)
    read, read_address, read_word, zero : of :class:`.slot_memory.SlotMemory`
    here_address, here, clear, cleared : of :class:`.decide.Decider`
    context : Out(stream of CONTEXT), one for each tensor, ahead of its first beat
    o : Out(stream of {"data", "last"}), into the slice
    evicted : Out(stream of JOB); evicted_words : Out(stream of words)
    question : Out(stream of QUESTION), is taken at once; asking : Out(1), there may be one
    release : Out(stream of :func:`.room.released`)
    busy : Out(1)
    """

    def __init__(self, room: Room, beat_bytes: int) -> None:
        self._room = room
        self._beat_bytes = beat_bytes
        beat = data.StructLayout({"data": 8 * beat_bytes, "last": 1})
        super().__init__(
            {
                "now": In(32),
                "cycle": In(32),
                "opens": In(1),
                "opened": In(room.slot),
                "origin": In(ORIGIN),
                "hop": In(HOP),
                "whole": In(stream.Signature(room.slot)),
                "chore": In(stream.Signature(chore(room))),
                "read": Out(1),
                "read_address": Out(room.address),
                "read_word": In(WORD_BITS),
                "zero": Out(stream.Signature(room.address)),
                "here_address": Out(room.here),
                "here": In(room.here_bits),
                "clear": Out(1),
                "cleared": In(1),
                "context": Out(stream.Signature(CONTEXT)),
                "o": Out(stream.Signature(beat)),
                "evicted": Out(stream.Signature(JOB)),
                "evicted_words": Out(stream.Signature(WORD_BITS)),
                "question": Out(stream.Signature(QUESTION)),
                "asking": Out(1),
                "release": Out(stream.Signature(released(room))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        room = self._room
        m.submodules.gearbox = gearbox = Gearbox(BEAT_BYTES, self._beat_bytes, room.tensor_bytes)
        wiring.connect(m, gearbox.o, wiring.flipped(self.o))
        kept = data.StructLayout({"origin": ORIGIN, "hop": HOP})
        m.submodules.origins = origins = Memory(shape=kept, depth=room.slots, init=[])
        keep, request = origins.write_port(), origins.read_port()
        origin, hop = request.data.origin, request.data.hop
        m.d.comb += [
            keep.addr.eq(self.opened),
            keep.data.origin.eq(self.origin),
            keep.data.hop.eq(self.hop),
            keep.en.eq(self.opens),
            request.en.eq(0),
        ]
        header = origin.header
        slot, executes = Signal(room.slot), Signal()
        cut = Signal(room.cut)
        base, first_group = Signal(room.address), Signal(room.here)
        chosen = Mux(self.chore.valid, self.chore.payload.slot, self.whole.payload)

        # Words of a run: the first one is asked for with `go`.
        go, ready = Signal(), Signal()
        first, count = Signal(room.address), Signal(range(room.words + 1))
        at, left = Signal(room.address), Signal(range(room.words + 1))
        loaded, final, moves = Signal(), Signal(), Signal()
        m.d.comb += [
            final.eq(left == 0),
            moves.eq(loaded & ready),
            self.read.eq(go | (moves & ~final)),
            self.read_address.eq(Mux(go, first, at)),
            gearbox.i.payload.eq(self.read_word),
            self.evicted_words.payload.eq(self.read_word),
        ]
        with m.If(self.read):
            m.d.sync += [at.eq(self.read_address + 1), left.eq(Mux(go, count, left) - 1)]
        with m.If(go):
            m.d.sync += loaded.eq(1)
        with m.Elif(moves & final):
            m.d.sync += loaded.eq(0)

        # Words behind those that were read.
        done, zeroed = Signal(range(room.words + 1)), Signal(range(room.words + 1))
        zeroes = Signal()
        m.d.comb += [
            self.zero.payload.eq(base + zeroed),
            self.zero.valid.eq(zeroes & (zeroed != done)),
        ]
        with m.If(self.zero.valid & self.zero.ready):
            m.d.sync += zeroed.eq(zeroed + 1)

        # Which fragments are here.
        index, offset = Signal(room.count), Signal(32)
        group = Signal(range(max(2, room.groups)))
        word = Signal(HERE_BITS)
        m.d.comb += [self.here_address.eq(first_group + group), word.eq(self.here)]
        base_of_group = group << 6
        rest, missing = Signal(signed(18)), Signal(HERE_BITS)  # fragments from the group's first on
        m.d.comb += [
            rest.eq(cut.count - base_of_group),
            missing.eq(~word & Cat(rest > bit for bit in range(len(self.here)))),
        ]

        # The fragment that is sent on.
        is_last = Signal()
        start, size = Signal(32), Signal(LENGTH_BITS)
        total = Signal(32)
        m.d.comb += [
            is_last.eq(index + 1 == cut.count),
            self.context.payload.origin.eq(origin),
            self.context.payload.hop.eq(hop),
            # A read, and as many words as the first beat needs, later.
            self.context.payload.start.eq(self.cycle + 1 + -(-self._beat_bytes // BEAT_BYTES)),
            self.evicted.payload.bytes.eq(size),
            self.evicted.payload.sum.eq(folded(m, total, "evicted_sum")),
            self.evicted.payload.origin.eq(origin),
            self.evicted.payload.hop.eq(hop),
            self.evicted.payload.origin.header.eq(
                hdr.passed_on(
                    header,
                    self.now - origin.stamp,
                    declined=1,
                    reason=DeclineReason.INCOMPLETE,
                    fragment_index=index,
                    offset=start,
                    last=is_last,
                )
            ),
            self.question.payload.origin.eq(origin),
            self.question.payload.group.eq(group),
            self.question.payload.missing.eq(missing),
            self.release.payload.slot.eq(slot),
            self.release.payload.executed.eq(executes),
        ]

        with m.FSM(name="reader") as fsm:
            with m.State("idle"):
                m.d.comb += [
                    self.chore.ready.eq(1),
                    # The gearbox may still hold the tensor before; this one's time in the slice
                    # starts when its first beat can be offered. Chores need not wait for that.
                    self.whole.ready.eq(~self.chore.valid & gearbox.empty & self.context.ready),
                    request.addr.eq(chosen),
                    request.en.eq(self.chore.valid | self.whole.valid),
                ]
                m.d.sync += [
                    slot.eq(chosen),
                    executes.eq(~self.chore.valid),
                    cut.eq(self.chore.payload.cut),
                    base.eq(chosen * room.stride),
                    first_group.eq(chosen * room.groups),
                    done.eq(0),
                    zeroed.eq(0),
                    index.eq(0),
                    offset.eq(0),
                    group.eq(0),
                ]
                with m.If(self.chore.valid):
                    with m.If(self.chore.payload.evict):
                        m.next = "evict"
                    with m.Else():
                        m.next = "ask"
                with m.Elif(self.whole.valid & self.whole.ready):
                    m.next = "start"

            # A tensor into the slice.
            with m.State("start"):
                m.d.comb += [
                    self.context.valid.eq(1),
                    go.eq(1),
                    first.eq(base),
                    count.eq(room.words),
                ]
                m.next = "read"
            with m.State("read"):
                m.d.comb += [
                    gearbox.i.valid.eq(loaded),
                    ready.eq(gearbox.i.ready),
                    zeroes.eq(1),
                ]
                with m.If(moves):
                    m.d.sync += done.eq(done + 1)
                    with m.If(final):
                        m.next = "zero"
            with m.State("zero"):
                m.d.comb += zeroes.eq(1)
                m.d.sync += group.eq(0)
                with m.If(zeroed == done):
                    m.next = "clear"
            with m.State("clear"):
                m.d.comb += self.clear.eq(1)
                with m.If(self.cleared):
                    m.d.sync += group.eq(group + 1)
                    with m.If(group == room.groups - 1):
                        m.next = "release"
            with m.State("release"):
                m.d.comb += self.release.valid.eq(1)
                with m.If(self.release.ready):
                    m.next = "idle"

            # What is missing.
            with m.State("ask"):
                m.next = "missing"
            with m.State("missing"):
                m.d.comb += self.question.valid.eq(missing.any())
                m.d.sync += group.eq(group + 1)
                with m.If(missing.any() | (rest <= HERE_BITS)):
                    m.next = "idle"
                with m.Else():
                    m.next = "ask"

            # Fragments that are here, onward.
            with m.State("evict"):
                m.next = "fragment"
            with m.State("fragment"):
                m.d.sync += [
                    start.eq(Mux(is_last, cut.tail, offset)),
                    size.eq(Mux(is_last, room.tensor_bytes - cut.tail, cut.step)),
                    total.eq(0),
                ]
                with m.If((word >> index[:6])[0]):
                    m.next = "run"
                with m.Else():
                    m.next = "next"
            run = [go.eq(1), first.eq(base + (start >> 3)), count.eq((size + 7) >> 3)]
            with m.State("run"):
                m.d.comb += run
                m.next = "sum"
            with m.State("sum"):
                m.d.comb += ready.eq(1)
                m.d.sync += total.eq(total + sum_lanes(self.read_word))
                with m.If(final):
                    m.next = "job"
            with m.State("job"):
                m.d.comb += self.evicted.valid.eq(1)
                with m.If(self.evicted.ready):
                    m.d.comb += run
                    m.next = "send"
            with m.State("send"):
                m.d.comb += [
                    self.evicted_words.valid.eq(loaded),
                    ready.eq(self.evicted_words.ready),
                ]
                with m.If(moves & final):
                    m.next = "next"
            with m.State("next"):
                m.d.sync += [index.eq(index + 1), offset.eq(offset + cut.step)]
                m.next = "fragment"
                with m.If(index[:6] == HERE_BITS - 1):
                    m.d.sync += group.eq(group + 1)
                    m.next = "evict"
                with m.If(is_last):
                    m.d.sync += done.eq(room.words)
                    m.next = "zero"
        m.d.comb += self.asking.eq(fsm.ongoing("ask") | fsm.ongoing("missing"))
        m.d.comb += self.busy.eq(~fsm.ongoing("idle") | ~gearbox.empty)
        return m
