# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What :mod:`.decide` knows of requests, and its states that use it: rules D2 to D4 and D6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory

from ..formats.csr import FrameOutcome
from ..formats.slots import (
    DECISIONS,
    FINGERPRINT_BITS,
    MAX_ASKS,
    PRESSED_ASKS,
    QUICK_ASKS,
    SHARE,
)
from ..formats.wire import DeclineReason
from . import header as hdr
from .bus import AHEAD, LENGTH_BITS, fingerprint_of, key_of
from .decisions import Decision, Decisions
from .deep_fifo import NEVER_COLLIDES
from .room import HERE_BITS, Room, chore
from .tags import SENDER_BITS, Tags

if TYPE_CHECKING:
    from .decide import Decider

_FREE, _COLLECTING, _WHOLE, _LEAVING = range(4)  # states of a slot


class KnownRequests:
    """Memories of the decider, and the states of its one state machine that use them.

    Memories keep their words through a reset, so all are wiped first (``wipe``): some 256 cycles.
    A frame goes over ``look`` to ``record``, ``fetch``, ``compare``, ``reckon``, ``match`` and
    ``join`` if its request has a slot, or else to ``known`` and ``open``. Between frames ``leave``
    and ``release`` free a slot, and ``visit``, ``weigh``, ``due`` and ``act`` do what time asks of
    one. A cycle is long enough to read a memory, to compare two numbers, or to choose what to do:
    what one state finds is used from a register by the next one.
    """

    def __init__(self, m: Module, owner: Decider, room: Room) -> None:
        self.m, self.owner, self.room = m, owner, room
        frame = owner.i.payload
        header = frame.origin.header
        self.last, self.resend = hdr.get(header, "last"), hdr.get(header, "resend")
        self.index = hdr.get(header, "fragment_index")
        self.count = hdr.get(header, "fragment_count")
        self.offset, self.bytes = hdr.get(header, "offset"), Signal.like(frame.bytes)
        self.tensor = hdr.get(header, "tensor_index")
        key = key_of(frame.origin, hdr.get(header, "request_id"), room.several)
        self.key = Signal(len(key))
        self.fingerprint = Signal(FINGERPRINT_BITS)
        self.product = Signal(32)  # where a fragment of this number and size begins
        self.factors = Signal(room.count), Signal(LENGTH_BITS)  # of the one multiplier
        self.before_last, self.step = Signal(room.count), Signal(LENGTH_BITS)
        m.submodules.tags = self.tags = Tags(room)
        m.submodules.decisions = self.decisions = Decisions()
        m.d.sync += [
            self.key.eq(key),
            self.fingerprint.eq(fingerprint_of(key)),
            self.bytes.eq(frame.bytes),
            self.factors[0].eq(self.index),
            self.factors[1].eq(frame.bytes),
            self.product.eq(self.factors[0] * self.factors[1]),
            self.before_last.eq(self.count - 1),
        ]
        m.d.comb += [
            self.tags.fingerprint.eq(self.fingerprint),
            self.tags.sender.eq(self._sender()),
            self.tags.stop.eq(owner.handed),
            self.decisions.fingerprint.eq(self.fingerprint),
            self.decisions.now.eq(owner.now),
            self.decisions.timeout.eq(owner.config.timeout_us),
        ]
        self.slot = self.tags.slot
        self.address = Signal(room.address)  # of the slot's first word
        self.sound = Signal()  # there can be such a fragment
        self.has_slot = Signal()  # the frame's request, once it was looked for
        # In states join and open, as registers, since much depends on them; a request begins.
        self.joins, self.opening, self.opens = Signal(), Signal(), Signal()
        m.d.sync += [self.joins.eq(0), self.opening.eq(0)]
        m.d.comb += [
            owner.begun.eq(room.part_of(self.slot, self.tensor)),
            owner.origin.eq(frame.origin),
            owner.hop.eq(owner.steered.hop),
        ]
        self._records(m)
        self._parts(m)
        self._here(m)
        self._chores(m)
        with m.If(self.opening):
            m.d.comb += [
                self.new.key.eq(self.key),
                self.new.bank.eq(owner.bank),
                self.new_part.cut.eq(0),
                self.new_part.cut.count.eq(self.count),
                self.tags.used.eq(1),
                self.tags.put_slot.eq(self.slot),
            ]
        with m.If(self.joins | self.opening):
            self.whole = self._as_collected(
                Mux(self.opening, self.count, self.part.lacks), Mux(self.opening, 0, self.here)
            )

    def _records(self, m: Module) -> None:
        record = data.StructLayout(
            {
                "state": 2,
                "key": len(self.key),
                "bank": 1,
                **self._of_parts(),
                "latest": 32,
                "asks": range(QUICK_ASKS + MAX_ASKS + 1),
            }
        )
        # No state both reads and writes.
        m.submodules.records = records = Memory(
            shape=record, depth=self.room.slots, init=[], attrs=NEVER_COLLIDES
        )
        self.record_read, write = records.read_port(), records.write_port()
        self.record, self.new = Signal(record), Signal(record)
        # What is written goes there a cycle later: choosing it takes most of one.
        self.writes, self.written = Signal(), Signal(self.room.slot)
        self.rests = Signal()  # nothing is on its way to a memory
        m.d.comb += [
            self.record_read.en.eq(0),
            self.new.eq(self.record),
            self.rests.eq(~(write.en | self.owner.handed)),
        ]
        m.d.sync += [
            write.en.eq(self.writes),
            write.addr.eq(self.written),
            write.data.eq(self.new),
        ]
        self.age, self.same, self.offset_any = Signal(32), Signal(), Signal()
        ask = self.owner.config.ask_us
        self.patience = Signal(len(ask) + MAX_ASKS)  # until it is asked again
        m.d.sync += [
            self.record.eq(self.record_read.data),
            self.age.eq(self.owner.now - self.record.latest),
            self.same.eq((self.record.key == self.key) & ~self._old()),
            self.offset_any.eq(self.offset != 0),
            self.patience.eq(ask << self.record.asks),
        ]

    def _old(self) -> Value:
        """Whether the request is of the model before (X4 of :mod:`.weights`)."""
        return self.record.bank != self.owner.bank

    # What differs where requests have several tensors.

    def _sender(self) -> Value:
        """Who sent the frame."""
        return self.key[:SENDER_BITS]

    def _of_parts(self) -> dict[str, Any]:
        """What a record has of the request's tensors."""
        return {"cut": self.room.cut, "lacks": self.room.count}

    def _parts(self, m: Module) -> None:
        """``cut`` and ``lacks`` of the frame's tensor, as they are known and as they will be."""
        self.part, self.new_part = self.record, self.new
        self.has_tail = Signal()
        m.d.sync += self.has_tail.eq(self.record.cut.tail != 0)
        m.d.comb += self.owner.begins.eq(self.opens)

    def _decline_foreign(self) -> None:
        """The next branch for a frame whose request has a slot, where a tensor is somebody's."""

    def _completes(self, part: Value) -> Value:
        """Whether the request is whole, if a ``part`` is with this frame."""
        return part

    def _ended(self) -> Value:
        """Whether the last fragment is here, with this frame."""
        return Mux(self.last, self.offset_any, self.has_tail & ~self.opening)

    def _instruct(self, evict: Value) -> Value:
        """What a chore says of the tensors; whether there is anything to do."""
        del evict
        self.m.d.sync += self.chore.cut.eq(self.record.cut)
        return Const(1)

    def _read_record(self, slot: Value) -> None:
        self.m.d.comb += [self.record_read.addr.eq(slot), self.record_read.en.eq(1)]

    def _here(self, m: Module) -> None:
        owner, room = self.owner, self.room
        m.submodules.here = here = Memory(
            shape=len(owner.here), depth=room.slots * room.groups, init=[]
        )
        write, self.here_read = here.write_port(), here.read_port()
        # As with records.
        self.keeps, self.kept, self.kept_group = (
            Signal(),
            Signal.like(owner.here),
            Signal(room.here),
        )
        keeps, kept, group = (Signal.like(of) for of in (self.keeps, self.kept, self.kept_group))
        self.here = Signal.like(self.here_read.data)
        m.d.sync += self.here.eq(self.here_read.data)
        theirs = here.read_port()
        self.group = Signal(room.here)
        m.d.comb += [
            theirs.addr.eq(owner.here_address),
            owner.here.eq(theirs.data),
            self.here_read.en.eq(0),
            self.here_read.addr.eq(self.group),
            write.addr.eq(Mux(keeps, group, owner.here_address)),
            write.data.eq(Mux(keeps, kept, 0)),
            write.en.eq(keeps | owner.clear),
            owner.cleared.eq(owner.clear & ~keeps),
        ]
        m.d.sync += [
            keeps.eq(self.keeps),
            kept.eq(self.kept),
            group.eq(self.kept_group),
        ]

    def _chores(self, m: Module) -> None:
        owner, room = self.owner, self.room
        self.walk = Signal(room.slot)  # the slot that is visited next
        self.pressed = Signal()  # somebody wants a slot
        self.evicting = Signal()  # one is on its way out: room for those
        self.broke_off = Signal()  # the visit that is next has its turn before the next frame
        self.owed = Signal()  # a release has its turn before the next frame
        self.lacking = Signal(range(room.slots + 1))  # requests that lack fragments
        self.restless = Signal(range(room.slots + 1))  # visits until all is quiet
        self.held = Signal(range(room.slots + 1))  # slots of the model in force
        self.older = Signal.like(self.held)  # and of the one before
        self.chore, self.chore_waits = Signal(chore(room)), Signal()
        self.fence = Signal(range(AHEAD + 1))  # frames that must leave before the chore
        m.d.comb += [
            owner.collecting.eq(self.lacking != 0),
            owner.chore.payload.eq(self.chore),
            owner.chore.valid.eq(self.chore_waits & (self.fence == 0)),
        ]
        m.d.comb += owner.outdated.eq(self.older != 0)
        with m.If(owner.swaps):
            m.d.sync += [
                self.older.eq(self.held),
                self.held.eq(0),
                self.restless.eq(room.slots),
            ]
        with m.If((self.fence != 0) & owner.o.valid & owner.o.ready):
            m.d.sync += self.fence.eq(self.fence - 1)
        with m.If(owner.chore.valid & owner.chore.ready):
            m.d.sync += self.chore_waits.eq(0)
        with m.If(self.chore_waits | (self.restless != 0)):
            m.d.comb += owner.busy.eq(1)

    def wipe(self) -> None:
        """The state after a reset: nothing is known of any request."""
        m = self.m
        last = max(DECISIONS, len(self.room.here)) - 1
        at = Signal(range(last + 1))
        m.d.sync += at.eq(at + 1)
        self._remember(Cat(at, Const(0, FINGERPRINT_BITS)), Decision.NONE)
        m.d.comb += [
            self.tags.wipe.eq(1),
            self.tags.put_slot.eq(at),
            self.written.eq(at),
            self.writes.eq(1),
            self.new.eq(0),
            self.kept_group.eq(at),
            self.keeps.eq(1),
        ]
        with m.If(at == last):
            m.next = "idle"

    def idle(self) -> None:
        """What is next: a frame or, by turns, a slot that becomes free; or else a visit."""
        m, release = self.m, self.owner.release
        begins = self.owner.next_frame & self.rests
        with m.If(release.valid & (self.owed | ~begins) & self.rests):
            m.d.sync += self.owed.eq(0)
            self._read_record(release.payload.slot)
            m.next = "leave"
        with m.Elif(begins):
            self._begin()
        with m.Elif(~self.owner.halts & self.rests):
            self._read_record(self.walk)
            m.d.comb += self.decisions.sweep.eq(1)
            m.next = "visit"

    def _begin(self) -> None:
        self.m.d.sync += self.owed.eq(1)
        self.m.d.comb += self.tags.start.eq(1)
        self.m.next = "header"

    def header(self) -> None:
        """What begins a cycle after the frame was seen."""
        self.m.d.comb += self.decisions.look.eq(1)

    def _may_break_off(self) -> None:
        """At the end of a state of a visit: a frame goes before it, but only once."""
        with self.m.If(self.owner.next_frame & ~self.broke_off):
            self.m.d.sync += self.broke_off.eq(1)
            self._begin()

    def states(self) -> None:
        """All other states, inside the state machine."""
        m = self.m
        with m.State("look"):
            m.d.sync += self.has_slot.eq(self.tags.found)
            with m.If(self.tags.ends):
                m.next = "judge"
                with m.If(self.owner.judged):
                    m.next = "known"
                    with m.If(self.tags.found):
                        m.next = "record"
            self.owner.unless_others(m)
        with m.State("judge"):
            with m.If(self.owner.judged):
                m.next = "known"
                with m.If(self.has_slot):
                    m.next = "record"
            self.owner.unless_others(m)
        with m.State("record"):
            self._read_record(self.slot)
            self._place()
            m.next = "fetch"
        with m.State("fetch"):
            m.d.comb += self.here_read.en.eq(1)
            with m.If(self.owner.steered.done):
                m.next = "compare"
        with m.State("compare"):
            self._compare()
        with m.State("reckon"):
            m.next = "match"
        with m.State("match"):
            self._match()
        with m.State("join"):
            self._join()
        with m.State("known"):
            self._known()
        with m.State("open"):
            self._open()
        m.d.sync += self.owner.release.ready.eq(0)
        with m.State("leave"):
            m.d.sync += self.owner.release.ready.eq(1)
            m.next = "release"
        with m.State("release"):
            self._release()
        with m.State("visit"):
            m.next = "weigh"
            self._may_break_off()
        with m.State("weigh"):
            m.next = "due"
            self._may_break_off()
        with m.State("due"):
            self._due()
        with m.State("act"):
            self._act()

    def _place(self) -> None:
        """Where the slot has its words, and says that the fragment is here."""
        room = self.room
        first_word = room.of(self.tensor, lambda part: part.first_word)
        first_group = room.of(self.tensor, lambda part: part.first_group)
        self.m.d.sync += [
            self.address.eq(self.slot * room.stride + first_word),
            self.group.eq(self.slot * room.groups + first_group + (self.index >> 6)),
        ]

    def _possible(self) -> Value:
        """Whether there can be such a fragment; ``product`` is its number times its bytes."""
        pieces = self.room.of(self.tensor, lambda part: part.pieces)
        return (self.count <= pieces) & (self.last | (self.offset == self.product))

    def _compare(self) -> None:
        m, cut = self.m, self.part.cut
        step = Mux(self.last, cut.step, self.bytes)
        m.d.sync += [
            self.sound.eq(
                self._possible()
                & (self.count == cut.count)
                & (self.last | (cut.step == 0) | (self.bytes == cut.step))
            ),
            self.step.eq(step),
            # What is multiplied next: where the last fragment begins.
            self.factors[0].eq(self.before_last),
            self.factors[1].eq(step),
        ]
        m.next = "reckon"

    def _match(self) -> None:
        m, cut = self.m, self.part.cut
        tail = Mux(self.last, self.offset, cut.tail)
        self.agrees, self.is_here = Signal(), Signal()
        m.d.sync += [
            self.agrees.eq(self.sound & ((self.step == 0) | (tail == 0) | (tail == self.product))),
            self.is_here.eq((self.here >> self.index[:6])[0]),
        ]
        m.d.sync += self.joins.eq(1)
        m.next = "join"

    def _join(self) -> None:
        m, owner, record = self.m, self.owner, self.record
        with m.If(~self.same):
            self._decline_busy()
        with m.Elif(record.state == _LEAVING):
            owner.send_on(m, DeclineReason.INCOMPLETE)
        self._decline_foreign()
        with m.Elif(record.state == _WHOLE):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Elif(~self.agrees):
            owner.drop(m, FrameOutcome.DROPPED_BAD_LENGTH)
        with m.Elif(self.is_here):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Else():
            self._collect()
            with m.If(self.whole):
                m.d.sync += self.lacking.eq(self.lacking - 1)

    def _as_collected(self, lacks: Value, here: Value) -> Signal:
        """What is kept if this fragment is collected, whether it is or not: that is known late.

        ``lacks`` counts fragments of its tensor, it among them; returns whether the request is
        whole with it.
        """
        m, cut = self.m, self.new_part.cut
        whole = Signal()
        bit = (Const(1, HERE_BITS) << self.index[:6])[: len(self.owner.here)]
        with m.If(self.last):
            m.d.comb += cut.tail.eq(self.offset)
        with m.Else():
            m.d.comb += cut.step.eq(self.bytes)
        m.d.comb += [
            whole.eq(self._completes(lacks == 1)),
            self.written.eq(self.slot),
            self.new.state.eq(Mux(whole, _WHOLE, _COLLECTING)),
            self.new_part.lacks.eq(lacks - 1),
            self.new.latest.eq(self.owner.now),
            self.new.asks.eq(Mux(self._ended(), 0, QUICK_ASKS)),
            self.kept_group.eq(self.group),
            self.kept.eq(here | bit),
        ]
        self.owner.place(m, self.slot, self.address + (self.offset >> 3), whole)
        return whole

    def _collect(self) -> None:
        """Have it collected, and keep that."""
        self.m.d.comb += [self.writes.eq(1), self.keeps.eq(1)]
        self.owner.hand_on(self.m)

    def _known(self) -> None:
        """No slot: what was decided before, and whether the sender may have one."""
        tags = self.tags
        self.may_open = Signal()
        share = (tags.held == 0) | (tags.held < SHARE * (tags.free - 1))
        self.m.d.sync += [
            self.may_open.eq(tags.has_free & share),
            self.sound.eq(self._possible()),
        ]
        self._place()
        found = self.decisions.found
        reasons = {
            Decision.BUSY: DeclineReason.BUSY,
            Decision.INCOMPLETE: DeclineReason.INCOMPLETE,
            Decision.POLICY: DeclineReason.POLICY,
        }
        executed = found == Decision.EXECUTED
        self.executed, self.was_decided, self.reason = Signal(), Signal(), Signal(8)
        self.m.d.sync += [
            self.executed.eq(executed & ~self.resend),
            self.was_decided.eq((found != Decision.NONE) & ~executed),
            self.reason.eq(DeclineReason.NONE),
        ]
        for decision, reason in reasons.items():
            with self.m.If(found == decision):
                self.m.d.sync += self.reason.eq(reason)
        with self.m.If(self.owner.steered.done):
            self.m.d.sync += self.opening.eq(1)
            self.m.next = "open"

    def _open(self) -> None:
        m, owner = self.m, self.owner
        steered = owner.steered
        with m.If(self.executed):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Elif(self.was_decided):
            owner.send_on(m, self.reason)
        with m.Elif(steered.policy):
            self._remember(self.fingerprint, Decision.POLICY)
            owner.send_on(m, DeclineReason.POLICY)
        with m.Elif(steered.forward):
            self._remember(self.fingerprint, Decision.FORWARDED)
            owner.send_on(m, DeclineReason.NONE)
        with m.Elif(~self.sound):
            owner.drop(m, FrameOutcome.DROPPED_BAD_LENGTH)
        with m.Elif(~self.may_open):
            self._decline_busy()
        with m.Else():
            m.d.comb += [self.opens.eq(1), self.tags.put.eq(1)]
            m.d.sync += self.held.eq(self.held + 1)
            self._collect()
            with m.If(~self.whole):
                m.d.sync += self.lacking.eq(self.lacking + 1)

    def _remember(self, fingerprint: Value, decision: Any) -> None:
        self.m.d.comb += [
            self.decisions.put.eq(1),
            self.decisions.put_fingerprint.eq(fingerprint),
            self.decisions.put_decision.eq(decision),
        ]

    def _decline_busy(self) -> None:
        self._remember(self.fingerprint, Decision.BUSY)
        self.m.d.sync += self.pressed.eq(1)
        self.owner.send_on(self.m, DeclineReason.BUSY)

    def _release(self) -> None:
        m, release = self.m, self.owner.release
        executed = release.payload.executed
        m.d.comb += [
            self.written.eq(release.payload.slot),
            self.writes.eq(1),
        ]
        m.next = "idle"
        with m.If(release.payload.turned):  # it will be given up, as if it lacked something
            m.d.comb += self.new.state.eq(_COLLECTING)
            m.d.sync += [self.lacking.eq(self.lacking + 1), self.restless.eq(self.room.slots)]
        with m.Else():
            m.d.comb += [
                self.new.eq(0),
                self.new.state.eq(_FREE),
                self.tags.put.eq(1),
                self.tags.put_slot.eq(release.payload.slot),
            ]
            self._remember(
                fingerprint_of(self.record.key),
                Mux(executed, Decision.EXECUTED, Decision.INCOMPLETE),
            )
            m.d.sync += self.pressed.eq(0)
            with m.If(~executed):
                m.d.sync += self.evicting.eq(0)
            with m.If(self._old()):
                m.d.sync += self.older.eq(self.older - 1)
            with m.Else():
                m.d.sync += self.held.eq(self.held - 1)

    def _due(self) -> None:
        """What D4 asks of one slot."""
        m, record, config = self.m, self.record, self.owner.config
        ask = config.ask_us
        wanted = self.pressed & ~self.evicting & (ask != 0)
        gives_up = (
            ~config.control
            | self._old()
            | ((config.timeout_us != 0) & (self.age >= config.timeout_us))
            | (wanted & (self.age >= ask << PRESSED_ASKS))
        )
        pause = self.patience >> QUICK_ASKS
        more = (ask != 0) & (record.asks != QUICK_ASKS + MAX_ASKS)
        asks = more & (self.age >= pause)
        collects = record.state == _COLLECTING
        self.evict, self.due = Signal(), Signal()
        m.d.sync += [self.evict.eq(gives_up), self.due.eq(collects & (gives_up | asks))]
        m.next = "act"
        self._may_break_off()

    def _act(self) -> None:
        """Do it; and one decision is forgotten if it is too old."""
        self.m.d.sync += self.broke_off.eq(0)
        m, owner, record, evict, due = self.m, self.owner, self.record, self.evict, self.due
        acts = Signal()
        m.d.comb += [
            self.decisions.swept.eq(1),
            acts.eq(due & ~self.chore_waits & (evict | owner.may_ask)),
            self.written.eq(self.walk),
            self.writes.eq(acts),
            owner.evicted.eq(acts & evict),
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
                self.chore_waits.eq(self._instruct(evict)),
                self.fence.eq(owner.under_way()),
            ]
        with m.If(owner.evicted):
            m.d.sync += [self.lacking.eq(self.lacking - 1), self.evicting.eq(1)]
        m.d.sync += self.walk.eq(Mux(self.walk == self.room.slots - 1, 0, self.walk + 1))
        m.next = "idle"
