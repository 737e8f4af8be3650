# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a frame by what :mod:`.decide` knows of requests: rules D2, D3 and D6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value

from ..formats.csr import FrameOutcome
from ..formats.slots import QUICK_ASKS, SHARE
from ..formats.wire import DeclineReason
from .comparisons import Comparisons
from .decisions import Decision
from .records import COLLECTING, LEAVING, WHOLE
from .room import HERE_BITS, Room

if TYPE_CHECKING:
    from .decide import Decider


class KnownRequests(Comparisons):
    """States of the decider's state machine that use what is known of the frame's request.

    A frame goes over ``look`` to ``record``, ``fetch``, ``compare``, ``reckon``, ``match`` and
    ``join`` if its request has a slot, or else to ``known`` and ``open``. A cycle is long enough to
    read a memory, to compare two numbers, or to choose what to do: what one state finds is used
    from a register by the next one. What is chosen is done in the cycle behind ``join`` and
    ``open``, by registers, too: the frame is still there.
    """

    def __init__(self, m: Module, owner: Decider, room: Room) -> None:
        super().__init__(m, owner, room)
        self.since = Signal(3)  # cycles since header
        self.settled = Signal()  # all is there that is used in known, but for what tags say
        self.knows = Signal()  # it was state known in the cycle before: that is, too
        self.joins, self.opening = Signal(), Signal()  # these states, by registers
        m.d.sync += self.since.eq(Cat(Const(1, 1), self.since))
        all_there = self.since[2] & self.has_product & owner.judged & owner.steered.done
        m.d.sync += [self.settled.eq(all_there), self.knows.eq(0)]
        m.d.sync += [self.joins.eq(0), self.opening.eq(0)]
        # What is done in the cycle behind join and open: it is collected, into a slot that it
        # opens, by which its tensor begins, or the request is whole; or it is remembered.
        self.opens, self.first = Signal(), Signal()
        self.whole, self.remembers, self.presses = Signal(), Signal(), Signal()
        self.remembered = Signal(Decision)
        m.d.sync += [self.collects.eq(0), self.opens.eq(0), self.remembers.eq(0)]
        m.d.sync += self.presses.eq(0)
        m.d.comb += [
            owner.origin.eq(owner.i.payload.origin),
            owner.hop.eq(owner.steered.hop),
        ]
        # Who is told is far away.
        m.d.sync += [
            owner.begun.eq(room.part_of(self.slot, self.tensor)),
            owner.begins.eq(0),
        ]
        self._parts(m)
        self._compares(m)
        self._chores(m)
        self._does(m)
        owner.place(m, self.slot, self.address, self.whole)

    def states(self) -> None:
        """All other states, inside the state machine."""
        m, owner = self.m, self.owner
        with m.State("look"):
            with m.If(self.tags.ends):
                m.next = "known"
                with m.If(self.tags.found):
                    m.next = "record"
            owner.unless_others(m)
        with m.State("record"):
            self._place()
            m.next = "fetch"
            owner.unless_others(m)
        with m.State("fetch"):
            m.next = "compare"
            owner.unless_others(m)
        with m.State("compare"):
            self._compare()
            owner.unless_others(m)
        with m.State("reckon"):
            self._multiplies(self.step)
            m.d.sync += self.sound.eq(self._possible() & self.as_many & (self.last | self.as_large))
            m.next = "match"
        with m.State("match"):
            self._match()
        with m.State("join"):
            m.next = "idle"
        with m.State("known"):
            self._known()
            owner.unless_others(m)
        with m.State("open"):
            m.next = "idle"
        self._states_between()

    def choose(self) -> None:
        """What is done in states join and open, outside the state machine: registers say so."""
        with self.m.If(self.joins):
            self._join()
        with self.m.If(self.opening):
            self._open()

    def header(self) -> None:
        """What begins a cycle after the frame was seen."""
        self.m.d.sync += self.since.eq(0)

    def _place(self) -> None:
        """Where the slot says that the fragment is here."""
        room = self.room
        first_group = room.of(self.tensor, lambda part: part.first_group)
        self.m.d.sync += self.group.eq(self.slot * room.groups + first_group + (self.index >> 6))

    def _compare(self) -> None:
        m, cut = self.m, self.part.cut
        step = Mux(self.last, cut.step, self.bytes)
        with m.If(self.has_product):
            m.d.sync += self.step.eq(step)
            self._multiplies(step)
            m.next = "reckon"

    def _multiplies(self, step: Value) -> None:
        """Where the last fragment begins, from the second cycle behind on."""
        self.m.d.sync += [self.factors[0].eq(self.before_last), self.factors[1].eq(step)]

    def _match(self) -> None:
        """As often as the table takes to be looked through."""
        m, tail = self.m, self.tail
        self._multiplies(self.step)
        self.agrees = Signal()
        m.d.sync += [
            self.agrees.eq(self.sound & ((self.step == 0) | (tail == 0) | (tail == self.product))),
            self.whole.eq(self._completes(opens=False)),
            self.first.eq(~self.begun),
        ]
        with m.If(self.owner.table.done):
            m.d.sync += self.joins.eq(1)
            m.next = "join"

    def _join(self) -> None:
        m, owner, record = self.m, self.owner, self.record
        with m.If(~self.same):
            self._decline_busy()
        with m.Elif(record.state == LEAVING):
            owner.send_on(m, DeclineReason.INCOMPLETE)
        self._decline_foreign()
        with m.Elif(record.state == WHOLE):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Elif(~self.agrees):
            owner.drop(m, FrameOutcome.DROPPED_BAD_LENGTH)
        with m.Elif(self.is_here):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Else():
            self._collect()

    def _known(self) -> None:
        """No slot: what was decided before, and whether the sender may have one."""
        m, tags = self.m, self.tags
        self.may_open = Signal()
        share = (tags.held == 0) | (tags.held < SHARE * (tags.free - 1))
        found = self.decisions.found
        reasons = {
            Decision.BUSY: DeclineReason.BUSY,
            Decision.INCOMPLETE: DeclineReason.INCOMPLETE,
            Decision.POLICY: DeclineReason.POLICY,
        }
        executed = found == Decision.EXECUTED
        self.executed, self.was_decided, self.reason = Signal(), Signal(), Signal(8)
        self._place()
        m.d.sync += [
            self.knows.eq(1),
            self.may_open.eq(tags.has_free & share),
            self.sound.eq(self._possible()),
            self.whole.eq(self._completes(opens=True)),
            self.first.eq(1),
            self.executed.eq(executed & ~self.resend),
            self.was_decided.eq((found != Decision.NONE) & ~executed),
            self.reason.eq(Array(reasons.get(k, DeclineReason.NONE) for k in Decision)[found]),
        ]
        with m.If(self.settled & self.knows):
            m.d.sync += self.opening.eq(1)
            m.next = "open"

    def _open(self) -> None:
        m, owner = self.m, self.owner
        steered = owner.table
        with m.If(self.executed):
            owner.drop(m, FrameOutcome.DROPPED_DUPLICATE)
        with m.Elif(self.was_decided):
            owner.send_on(m, self.reason)
        with m.Elif(steered.policy):
            self._keep_in_mind(Decision.POLICY)
            owner.send_on(m, DeclineReason.POLICY)
        with m.Elif(steered.forward):
            self._keep_in_mind(Decision.FORWARDED)
            owner.send_on(m, DeclineReason.NONE)
        with m.Elif(~self.sound):
            owner.drop(m, FrameOutcome.DROPPED_BAD_LENGTH)
        with m.Elif(~self.may_open):
            self._decline_busy()
        with m.Else():
            m.d.sync += self.opens.eq(1)
            self._collect()

    def _collect(self) -> None:
        """Have it collected, and keep that."""
        self.m.d.sync += [self.collects.eq(1), self.owner.begins.eq(self.first)]
        self.owner.hand_on(self.m)

    def _keep_in_mind(self, decision: Any) -> None:
        self.m.d.sync += [self.remembers.eq(1), self.remembered.eq(decision)]

    def _decline_busy(self) -> None:
        self._keep_in_mind(Decision.BUSY)
        self.m.d.sync += self.presses.eq(1)
        self.owner.send_on(self.m, DeclineReason.BUSY)

    def _does(self, m: Module) -> None:
        """In the cycle behind join and open, what was chosen there."""
        with m.If(self.remembers):
            self._remember(self.fingerprint, self.remembered)
        with m.If(self.presses):
            m.d.sync += self.pressed.eq(1)
        with m.If(self.collects):
            m.d.comb += [self.writes.eq(1), self.keeps.eq(1)]
            lacks = Mux(self.opens, self.count, self.part.lacks)
            self._as_collected(lacks, Mux(self.opens, 0, self.here))
            with m.If(self.opens & ~self.whole):
                m.d.sync += self.more.eq(1)
            with m.If(~self.opens & self.whole):
                m.d.sync += self.fewer.eq(1)
        with m.If(self.opens):
            m.d.sync += self.held.eq(self.held + 1)
            m.d.comb += [
                self.tags.put.eq(1),
                self.tags.used.eq(1),
            ]

    def _as_collected(self, lacks: Value, here: Value) -> None:
        """What is kept of the request, with this fragment; ``lacks`` counts fragments of its
        tensor, it among them."""
        m, cut = self.m, self.new_part.cut
        bit = (Const(1, HERE_BITS) << self.index[:6])[: len(self.owner.here)]
        with m.If(self.opens):
            m.d.comb += [
                self.new.key.eq(self.key),
                self.new.bank.eq(self.owner.bank),
                cut.eq(0),
                cut.count.eq(self.count),
            ]
        with m.If(self.last):
            m.d.comb += cut.tail.eq(self.offset)
        with m.Else():
            m.d.comb += cut.step.eq(self.bytes)
        m.d.comb += [
            self.new.state.eq(Mux(self.whole, WHOLE, COLLECTING)),
            self.new_part.lacks.eq(lacks - 1),
            self.new.latest.eq(self.owner.time),
            self.new.asks.eq(Mux(self._ended(), 0, QUICK_ASKS)),
            self.kept.eq(here | bit),
        ]

    # What differs where requests have several tensors.

    def _decline_foreign(self) -> None:
        """The next branch for a frame whose request has a slot, where a tensor is somebody's."""

    def _ended(self) -> Value:
        """Whether the last fragment is here, with this frame."""
        return Mux(self.last, self.offset_any, self.has_tail & ~self.opens)
