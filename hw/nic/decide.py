# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Execute or decline: the answer to each fragment that is ours, and the request slots behind it.

Rules, cited by tests as D0 to D6:

D0. A result of an earlier hop that is not for our tenant, model and cursor (or number of slices) is
    nothing that we were asked for: it is forwarded. Its header tells what was executed, and keeps
    telling it.
D1. A fragment is declined for the first of these that applies: encrypted, wrong tenant, model,
    cursor (or number of slices), weight epoch, tensor (only tensor 0 of 1; none at all for a slice
    of several tensors), policy bit ``may_execute`` not set, no time left, total not the bytes of
    the slice's input.
D2. There are several slots (:func:`midwire.hw.formats.slots.slots_of`), each for one request, which
    is named by its id and its sender's address and port. A fragment of a request that has none is
    treated as was decided before (D6); if nothing was, it is dropped for bad length if there can be
    no such fragment (more of them than the tensor's bytes allow, or not the last and not at its
    number times its bytes). Otherwise it opens a slot, if one is free and its sender holds none, or
    less than 4 times those that are free but for one. If not, it is declined as busy.
D3. A fragment for a slot that is collecting is dropped for bad length if there can be no such
    fragment, or if it contradicts those before it: another number of fragments, another size (of
    all but the last), or a last one that does not begin where the others end. It is dropped as a
    duplicate if it is here, and collected otherwise. When all are here the request is whole: it
    waits for the slice, or goes into it, and what comes of it is a duplicate. Requests are executed
    in the order in which they became whole.
D4. While a request lacks fragments, its sender is asked for them (W8) ``ask_us`` after the last new
    one, after twice as long, and so on: at most 7 times. It is given up ``timeout_us`` after the
    last new one, 8 times ``ask_us`` after it if anybody was declined for want of a slot since one
    became free, and at once when the NIC is disabled; 0 is never for both. All of it that is here
    is then sent on, declined as incomplete, with the header of the fragment that opened the slot;
    what of it comes later is declined as incomplete too.
D5. The slot of a whole request is free again when its tensor has gone into the slice, that of one
    that was given up when all of it was sent on. Its memory is zero then.
D6. What was decided on a request without a slot is remembered by a fingerprint for ``timeout_us``
    (0: for ever), in one of 256 places: declined as busy or as incomplete, as all its later
    fragments are; or executed, so that what comes later is dropped as a duplicate, unless it is
    flagged ``resend``: that may open a slot anew. Two requests in slots never share a fingerprint:
    the second is declined as busy.

A decision takes some 10 cycles. While one frame moves, the next one is decided, so what is decided
is a frame or two ahead of what is stored.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from ..formats.csr import FrameOutcome
from ..formats.slots import (
    DECISIONS,
    FINGERPRINT_BITS,
    MAX_ASKS,
    PRESSED_ASKS,
    SHARE,
)
from ..formats.wire import DeclineReason
from . import header as hdr
from .bus import (
    CONFIG,
    FRAME,
    ORIGIN,
    VERDICT_DROP,
    VERDICT_OURS,
    VERDICT_SEND,
    sender_of,
    short_sender_of,
    xor_folded,
)
from .refuse import refused
from .slot_memory import HERE_BITS, Room

AHEAD = 2
"""Frames that are decided, and have not left."""

_SENDER_BITS = 16  # of a sender's fingerprint: enough to share slots fairly
_LANES = 8  # slots that are looked at in a cycle
_BUSY, _INCOMPLETE, _EXECUTED = 1, 2, 3  # decisions
_FREE, _COLLECTING, _WHOLE, _LEAVING = range(4)  # states of a slot


def decided(room: Room | None) -> data.StructLayout:
    """A frame and its fate: ``reason`` if it is sent on; if it is collected, the ``address`` of its
    first word, the ``slot``, and whether it makes the request ``whole``."""
    fields: dict[str, Any] = {"frame": FRAME, "reason": 8}
    if room:
        fields |= {"address": room.address, "slot": room.slot, "whole": 1}
    return data.StructLayout(fields)


def chore(room: Room) -> data.StructLayout:
    """To give up the request of a slot, or else to ask for what it lacks, and how it is cut."""
    return data.StructLayout({"evict": 1, "slot": room.slot, "cut": room.cut})


def released(room: Room) -> data.StructLayout:
    """A slot that is empty, and whether its request was executed."""
    return data.StructLayout({"slot": room.slot, "executed": 1})


class Decider(wiring.Component):
    """Rules D0 to D4 and D6, for one frame after the other.

    One state machine owns all that is known of requests. Between two frames it visits the slots,
    one after the other, for what D4 asks of them.

    Parameters
    ----------
    room : of the slots; None for a slice of several tensors, which is never executed here: a
        request's tensors would have to be joined first

    Members
    -------
    i : In(stream of FRAME); o : Out(stream of :func:`decided`), each taken when its frame is gone
    config : In(CONFIG); now : In(32), microseconds
    busy : Out(1)

    With slots:

    opens : Out(1), a request begins in ``opened``, with the frame of ``origin``
    release : In(stream of :func:`released`)
    chore : Out(stream of :func:`chore`), for a slot of which all fragments are stored; to ask only
        while ``may_ask``
    here_address : In, of a word; here : Out, which fragments are here, of the cycle before
    clear : In(1), zero that word; cleared : Out(1), it is done
    collecting : Out(1), some request lacks fragments
    evicted : Out(1), one is given up in this cycle
    """

    def __init__(self, room: Room | None) -> None:
        self._room = room
        members: dict[str, Any] = {
            "i": In(stream.Signature(FRAME)),
            "o": Out(stream.Signature(decided(room))),
            "config": In(CONFIG),
            "now": In(32),
            "busy": Out(1),
        }
        if room:
            members |= {
                "opens": Out(1),
                "opened": Out(room.slot),
                "origin": Out(ORIGIN),
                "release": In(stream.Signature(released(room))),
                "chore": Out(stream.Signature(chore(room))),
                "may_ask": In(1),
                "here_address": In(room.here),
                "here": Out(room.here_bits),
                "clear": In(1),
                "cleared": Out(1),
                "collecting": Out(1),
                "evicted": Out(1),
            }
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.ahead = ahead = Fifo(decided(self._room), AHEAD)
        wiring.connect(m, ahead.o, wiring.flipped(self.o))
        self._fate = fate = ahead.i
        self._ahead = ahead
        frame = self.i.payload
        room = self._room
        forward, reason = refused(
            m, frame.origin.header, self.config, room.tensor_bytes if room else None
        )
        not_asked, why_not = Signal(), Signal(8)
        m.d.sync += [not_asked.eq(forward), why_not.eq(reason)]
        m.d.comb += [fate.payload.frame.eq(frame), self.busy.eq(self.i.valid | ahead.o.valid)]
        ours = self.i.valid & (frame.verdict == VERDICT_OURS)
        if room:
            slots = _Slots(m, self, room)
        with m.FSM(name="decision"):
            with m.State("idle"):
                with m.If(self.i.valid & ~ours):
                    m.d.comb += [fate.valid.eq(1), self.i.ready.eq(fate.ready)]
                begins = ours & fate.ready
                if room:
                    slots.idle(begins)
                else:
                    with m.If(begins):
                        m.next = "header"
            with m.State("header"):
                with m.If(not_asked | (why_not != DeclineReason.NONE)):
                    self.send_on(m, why_not)
                if room:
                    with m.Else():
                        m.next = "find"
            if room:
                slots.states()
        return m

    def hand_on(self, m: Module) -> None:
        """The frame's fate is decided; there is room for it."""
        m.d.comb += [self._fate.valid.eq(1), self.i.ready.eq(1)]
        m.next = "idle"

    def send_on(self, m: Module, reason: Any) -> None:
        m.d.comb += [
            self._fate.payload.frame.verdict.eq(VERDICT_SEND),
            self._fate.payload.reason.eq(reason),
        ]
        self.hand_on(m)

    def drop(self, m: Module, outcome: FrameOutcome) -> None:
        m.d.comb += [
            self._fate.payload.frame.verdict.eq(VERDICT_DROP),
            self._fate.payload.frame.outcome.eq(outcome),
        ]
        self.hand_on(m)

    def collect(self, m: Module, slot: Value, address: Value, whole: Value) -> None:
        m.d.comb += [
            self._fate.payload.slot.eq(slot),
            self._fate.payload.address.eq(address),
            self._fate.payload.whole.eq(whole),
        ]
        self.hand_on(m)

    def under_way(self) -> Value:
        """Decided frames that will not have left after this cycle."""
        return self._ahead.level - (self.o.valid & self.o.ready)


class _Slots:
    """The states of the decider that know of slots; all are of its one state machine."""

    def __init__(self, m: Module, owner: Decider, room: Room) -> None:
        self.m, self.owner, self.room = m, owner, room
        frame = owner.i.payload
        header = frame.origin.header
        self.last, self.resend = hdr.get(header, "last"), hdr.get(header, "resend")
        self.index = hdr.get(header, "fragment_index")
        self.count = hdr.get(header, "fragment_count")
        self.offset, self.bytes = hdr.get(header, "offset"), frame.bytes
        request_id = hdr.get(header, "request_id")
        key = Cat(sender_of(frame.origin), request_id)
        sender = short_sender_of(frame.origin)
        self.key = Signal(len(key))
        self.fingerprint, self.sender = Signal(FINGERPRINT_BITS), Signal(_SENDER_BITS)
        # Where a fragment of this number and size begins; then, where the last one does.
        short_index = self.index[: len(Signal(room.count))]
        self.product = Signal(32)
        m.d.sync += [
            self.key.eq(key),
            self.fingerprint.eq(xor_folded(Cat(sender, request_id), FINGERPRINT_BITS)),
            self.sender.eq(xor_folded(sender, _SENDER_BITS)),
            self.product.eq(short_index * self.bytes),
        ]
        self._tags(m)
        self._records(m)
        self._decisions(m)
        self._here(m)

        self.slot = Signal(room.slot)  # the request's, or one that is free
        self.address = Signal(room.address)
        m.d.comb += owner.opened.eq(self.slot)
        m.d.comb += owner.origin.eq(frame.origin)
        self.walk = Signal(room.slot)
        self.pressed, self.owed = Signal(), Signal()
        self.evicting = Signal()  # one is on its way out: room for those who want some
        self.lacking = Signal(range(room.slots + 1))
        m.d.comb += owner.collecting.eq(self.lacking != 0)
        self.chore = Signal(chore(room))
        self.chore_waits = Signal()
        self.fence = Signal(range(AHEAD + 1))  # frames that must leave before the chore
        m.d.comb += [
            owner.chore.payload.eq(self.chore),
            owner.chore.valid.eq(self.chore_waits & (self.fence == 0)),
        ]
        with m.If((self.fence != 0) & owner.o.valid & owner.o.ready):
            m.d.sync += self.fence.eq(self.fence - 1)
        with m.If(owner.chore.valid & owner.chore.ready):
            m.d.sync += self.chore_waits.eq(0)
        # After a chore, all slots are visited before we call it quiet.
        self.restless = Signal(range(room.slots + 1))
        with m.If(self.chore_waits | (self.restless != 0)):
            m.d.comb += owner.busy.eq(1)

    def _tags(self, m: Module) -> None:
        """Fingerprints of requests and senders in the slots; a row of slots is looked at a cycle."""
        slots = self.room.slots
        self.lanes = min(_LANES, 1 << (slots // 2).bit_length() - 1)  # two rows at least
        self.rows = -(-slots // self.lanes)
        self.lane_bits = (self.lanes - 1).bit_length()
        tag = data.StructLayout(
            {"used": 1, "fingerprint": FINGERPRINT_BITS, "sender": _SENDER_BITS}
        )
        m.submodules.tags = tags = Memory(
            shape=data.ArrayLayout(tag, self.lanes), depth=self.rows, init=[]
        )
        self.tags, self.tag_write = tags.read_port(), tags.write_port(granularity=1)
        self.row = Signal(range(self.rows))
        self.held, self.free = Signal(range(slots + 1)), Signal(range(slots + 1), init=slots)
        self.has_free = Signal()

    def _records(self, m: Module) -> None:
        record = data.StructLayout(
            {
                "state": 2,
                "key": len(self.key),
                "cut": self.room.cut,
                "lacks": self.room.count,
                "latest": 32,
                "asks": range(MAX_ASKS + 1),
            }
        )
        m.submodules.records = records = Memory(shape=record, depth=self.room.slots, init=[])
        self.record_read, self.record_write = records.read_port(), records.write_port()
        self.record, self.new = self.record_read.data, self.record_write.data
        m.d.comb += [self.record_read.en.eq(0), self.new.eq(self.record)]
        self.age, self.same = Signal(32), Signal()
        m.d.sync += [
            self.age.eq(self.owner.now - self.record.latest),
            self.same.eq(self.record.key == self.key),
        ]

    def _decisions(self, m: Module) -> None:
        index_bits = (DECISIONS - 1).bit_length()
        place = data.StructLayout(
            {"fingerprint": FINGERPRINT_BITS - index_bits, "decision": 2, "at": 32}
        )
        m.submodules.decisions = decisions = Memory(shape=place, depth=DECISIONS, init=[])
        self.place_read, self.place_write = decisions.read_port(), decisions.write_port()
        self.place = self.place_read.data
        self.index_bits = index_bits
        self.oldest = Signal(index_bits)  # the place that is looked at next, between frames
        age = Signal(32)
        self.expired = Signal()
        timeout = self.owner.config.timeout_us
        m.d.sync += age.eq(self.owner.now - self.place.at)
        m.d.comb += [
            self.place_read.en.eq(0),
            self.expired.eq((timeout != 0) & (age >= timeout)),
            self.place_write.data.at.eq(self.owner.now),
        ]

    def remember(self, fingerprint: Value, decision: Any) -> None:
        self.m.d.comb += [
            self.place_write.addr.eq(fingerprint[: self.index_bits]),
            self.place_write.data.fingerprint.eq(fingerprint[self.index_bits :]),
            self.place_write.data.decision.eq(decision),
            self.place_write.en.eq(1),
        ]

    def _here(self, m: Module) -> None:
        owner, room = self.owner, self.room
        m.submodules.here = here = Memory(
            shape=len(owner.here), depth=room.slots * room.groups, init=[]
        )
        self.here_write, self.here_read = here.write_port(), here.read_port()
        theirs = here.read_port()
        self.group = Signal(room.here)
        m.d.comb += [
            theirs.addr.eq(owner.here_address),
            owner.here.eq(theirs.data),
            self.here_read.en.eq(0),
            self.here_read.addr.eq(self.group),
            self.here_write.addr.eq(owner.here_address),
            self.here_write.en.eq(owner.clear),
            owner.cleared.eq(owner.clear),
        ]

    def arrives(self, before: Value | int) -> None:
        """The fragment is here from now on."""
        bit = (Const(1, HERE_BITS) << self.index[:6])[: len(self.owner.here)]
        self.m.d.comb += [
            self.here_write.addr.eq(self.group),
            self.here_write.data.eq(before | bit),
            self.here_write.en.eq(1),
            self.owner.cleared.eq(0),
        ]

    def idle(self, begins: Value) -> None:
        """What is next: a frame or, by turns, a slot that becomes free; or else a visit."""
        m, release = self.m, self.owner.release
        with m.If(release.valid & (self.owed | ~begins)):
            m.d.sync += self.owed.eq(0)
            m.d.comb += [
                self.record_read.addr.eq(release.payload.slot),
                self.record_read.en.eq(1),
            ]
            m.next = "release"
        with m.Elif(begins):
            m.d.sync += self.owed.eq(1)
            m.next = "header"
        with m.Else():
            m.d.comb += [
                self.record_read.addr.eq(self.walk),
                self.record_read.en.eq(1),
                self.place_read.addr.eq(self.oldest),
                self.place_read.en.eq(1),
            ]
            m.next = "visit"

    def states(self) -> None:
        m = self.m
        with m.State("find"):
            m.d.comb += [
                self.place_read.addr.eq(self.fingerprint),
                self.place_read.en.eq(1),
                self.tags.addr.eq(0),
            ]
            m.d.sync += [self.row.eq(0), self.held.eq(0), self.has_free.eq(0)]
            m.next = "look"
        with m.State("look"):
            self._look()
        with m.State("record"):
            m.d.sync += [
                self.address.eq(self.slot * self.room.stride),
                self.group.eq(self.slot * self.room.groups + (self.index >> 6)),
            ]
            m.d.comb += [self.record_read.addr.eq(self.slot), self.record_read.en.eq(1)]
            m.next = "compare"
        with m.State("compare"):
            self._compare()
        with m.State("join"):
            self._join()
        with m.State("known"):
            self._known()
        with m.State("open"):
            self._open()
        with m.State("release"):
            self._release()
        with m.State("visit"):
            m.next = "due"
        with m.State("due"):
            self._due()

    def _look(self) -> None:
        """One row of slots: the request's, the sender's, and a free one."""
        m = self.m
        hits, mine, free = (Signal(self.lanes, name=n) for n in ("hits", "mine", "free_lanes"))
        for lane in range(self.lanes):
            tag = self.tags.data[lane]
            exists: Any = Const(1)
            if self.lanes * (self.rows - 1) + lane >= self.room.slots:
                exists = self.row != self.rows - 1
            m.d.comb += [
                hits[lane].eq(tag.used & (tag.fingerprint == self.fingerprint)),
                mine[lane].eq(tag.used & (tag.sender == self.sender)),
                free[lane].eq(~tag.used & exists),
            ]
        m.d.comb += self.tags.addr.eq(self.row + 1)
        m.d.sync += [self.row.eq(self.row + 1), self.held.eq(self.held + sum(mine))]
        with m.If(hits.any()):
            m.d.sync += self.slot.eq(Cat(_first(m, hits, "hit"), self.row))
            m.next = "record"
        with m.Else():
            with m.If(free.any() & ~self.has_free):
                m.d.sync += [
                    self.slot.eq(Cat(_first(m, free, "free"), self.row)),
                    self.has_free.eq(1),
                ]
            with m.If(self.row == self.rows - 1):
                m.next = "known"

    def _sound(self) -> Value:
        """Whether there can be such a fragment; ``product`` is its number times its bytes."""
        return (self.count <= self.room.pieces) & (self.last | (self.offset == self.product))

    def _compare(self) -> None:
        m, cut = self.m, self.record.cut
        self.sound = Signal()
        m.d.sync += [
            self.sound.eq(
                self._sound()
                & (self.count == cut.count)
                & (self.last | (cut.step == 0) | (self.bytes == cut.step))
            ),
            self.product.eq(
                (self.count - 1)[: len(cut.count)] * Mux(self.last, cut.step, self.bytes)
            ),
        ]
        m.d.comb += self.here_read.en.eq(1)
        m.next = "join"

    def _join(self) -> None:
        m, owner, record = self.m, self.owner, self.record
        step = Mux(self.last, record.cut.step, self.bytes)
        tail = Mux(self.last, self.offset, record.cut.tail)
        agrees = self.sound & ((step == 0) | (tail == 0) | (tail == self.product))
        is_here = (self.here_read.data >> self.index[:6])[0]
        with m.If(~self.same):
            self._decline_busy()
        with m.Elif(record.state == _LEAVING):
            owner.send_on(m, DeclineReason.INCOMPLETE)
        with m.Elif(record.state != _COLLECTING):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Elif(~agrees):
            owner.drop(m, FrameOutcome.DROPPED_BAD_LENGTH)
        with m.Elif(is_here):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Else():
            whole = Signal()
            m.d.comb += whole.eq(record.lacks == 1)
            self._write_fragment(record.lacks - 1, whole)
            self.arrives(self.here_read.data)
            with m.If(whole):
                m.d.sync += self.lacking.eq(self.lacking - 1)

    def _write_fragment(self, lacks: Value, whole: Value) -> None:
        """Keep what this fragment says, and have it collected."""
        m, cut = self.m, self.new.cut
        with m.If(self.last):
            m.d.comb += cut.tail.eq(self.offset)
        with m.Else():
            m.d.comb += cut.step.eq(self.bytes)
        m.d.comb += [
            self.record_write.addr.eq(self.slot),
            self.record_write.en.eq(1),
            self.new.state.eq(Mux(whole, _WHOLE, _COLLECTING)),
            self.new.lacks.eq(lacks),
            self.new.latest.eq(self.owner.now),
            self.new.asks.eq(0),
        ]
        self.owner.collect(m, self.slot, self.address + (self.offset >> 3), whole)

    def _known(self) -> None:
        """No slot: what was decided before, and whether the sender may have one."""
        m, place = self.m, self.place
        self.decision, self.may_open = Signal(2), Signal()
        known = (place.fingerprint == self.fingerprint[self.index_bits :]) & ~self.expired
        room_left = self.held < SHARE * (self.free - 1)
        m.d.sync += [
            self.decision.eq(Mux(known, place.decision, 0)),
            self.may_open.eq(self.has_free & ((self.held == 0) | room_left)),
            self.sound.eq(self._sound()),
            self.address.eq(self.slot * self.room.stride),
            self.group.eq(self.slot * self.room.groups + (self.index >> 6)),
        ]
        m.next = "open"

    def _open(self) -> None:
        m, owner = self.m, self.owner
        with m.If(self.decision == _BUSY):
            owner.send_on(m, DeclineReason.BUSY)
        with m.Elif(self.decision == _INCOMPLETE):
            owner.send_on(m, DeclineReason.INCOMPLETE)
        with m.Elif((self.decision == _EXECUTED) & ~self.resend):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Elif(~self.sound):
            owner.drop(m, FrameOutcome.DROPPED_BAD_LENGTH)
        with m.Elif(~self.may_open):
            self._decline_busy()
        with m.Else():
            whole = Signal()
            m.d.comb += [
                owner.opens.eq(1),
                whole.eq(self.count == 1),
                self.new.key.eq(self.key),
                self.new.cut.eq(0),
                self.new.cut.count.eq(self.count),
            ]
            self._write_fragment(self.count - 1, whole)
            self._write_tag(self.slot, 1)
            self.arrives(0)
            m.d.sync += self.free.eq(self.free - 1)
            with m.If(~whole):
                m.d.sync += self.lacking.eq(self.lacking + 1)

    def _write_tag(self, slot: Value, used: int) -> None:
        lane, row = slot[: self.lane_bits], slot[self.lane_bits :]
        for tag in self.tag_write.data:
            self.m.d.comb += [
                tag.used.eq(used),
                tag.fingerprint.eq(self.fingerprint),
                tag.sender.eq(self.sender),
            ]
        self.m.d.comb += [self.tag_write.addr.eq(row), self.tag_write.en.eq(Const(1) << lane)]

    def _decline_busy(self) -> None:
        self.remember(self.fingerprint, _BUSY)
        self.m.d.sync += self.pressed.eq(1)
        self.owner.send_on(self.m, DeclineReason.BUSY)

    def _release(self) -> None:
        m, release = self.m, self.owner.release
        m.d.comb += [
            self.record_write.addr.eq(release.payload.slot),
            self.record_write.en.eq(1),
            self.new.eq(0),
            release.ready.eq(1),
        ]
        self._write_tag(release.payload.slot, 0)
        self.remember(
            xor_folded(self.record.key, FINGERPRINT_BITS),
            Mux(release.payload.executed, _EXECUTED, _INCOMPLETE),
        )
        m.d.sync += [self.free.eq(self.free + 1), self.pressed.eq(0)]
        with m.If(~release.payload.executed):
            m.d.sync += self.evicting.eq(0)
        m.next = "idle"

    def _due(self) -> None:
        """D4 for one slot, and one place of what was decided: too old, it is nothing."""
        m, owner, record, config = self.m, self.owner, self.record, self.owner.config
        with m.If(self.expired):
            self.remember(Cat(self.oldest, Const(0, FINGERPRINT_BITS - self.index_bits)), 0)
        ask = config.ask_us
        gives_up = (
            ~config.control
            | ((config.timeout_us != 0) & (self.age >= config.timeout_us))
            | (self.pressed & ~self.evicting & (ask != 0) & (self.age >= ask << PRESSED_ASKS))
        )
        asks = (ask != 0) & (record.asks != MAX_ASKS) & (self.age >= ask << record.asks)
        evict, due, acts = Signal(), Signal(), Signal()
        m.d.comb += [
            evict.eq(gives_up),
            due.eq((record.state == _COLLECTING) & (gives_up | asks)),
            acts.eq(due & ~self.chore_waits & (evict | owner.may_ask)),
            self.record_write.addr.eq(self.walk),
            self.record_write.en.eq(acts),
            self.owner.evicted.eq(acts & evict),
        ]
        with m.If(evict):
            m.d.comb += self.new.state.eq(_LEAVING)
        with m.Else():
            m.d.comb += self.new.asks.eq(record.asks + 1)
        with m.If(due):
            m.d.sync += self.restless.eq(self.room.slots)
        with m.Elif(self.restless != 0):
            m.d.sync += self.restless.eq(self.restless - 1)
        with m.If(acts):
            m.d.sync += [
                self.chore.evict.eq(evict),
                self.chore.slot.eq(self.walk),
                self.chore.cut.eq(record.cut),
                self.chore_waits.eq(1),
                self.fence.eq(owner.under_way()),
            ]
            with m.If(evict):
                m.d.sync += [self.lacking.eq(self.lacking - 1), self.evicting.eq(1)]
        m.d.sync += [
            self.walk.eq(Mux(self.walk == self.room.slots - 1, 0, self.walk + 1)),
            self.oldest.eq(self.oldest + 1),
        ]
        m.next = "idle"


def _first(m: Module, flags: Signal, name: str) -> Signal:
    """Number of the lowest one that is set."""
    found = Signal(range(len(flags)), name=f"first_{name}")
    for at in reversed(range(len(flags))):
        with m.If(flags[at]):
            m.d.comb += found.eq(at)
    return found
