# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What :mod:`.decide` does between frames: it frees slots, and visits them, for rule D4."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from ..formats.slots import DECISIONS, FINGERPRINT_BITS, MAX_ASKS, PRESSED_ASKS, QUICK_ASKS
from .bus import AHEAD, fingerprint_of
from .decisions import Decision
from .records import COLLECTING, FREE, LEAVING, Records
from .room import chore


class Visits(Records):
    """States of the decider's state machine between two frames.

    Memories keep their words through a reset, so all are wiped first (``wipe``): some 256 cycles.
    ``leave``, ``left``, ``fold`` and ``release`` free a slot; ``visit``, ``read``, ``weigh``,
    ``due``, ``choose`` and ``act`` do what time asks of one.
    """

    def _chores(self, m: Module) -> None:
        owner, room = self.owner, self.room
        self.walk = Signal(room.slot)  # the slot that is visited next
        self.pressed = Signal()  # somebody wants a slot
        self.evicting = Signal()  # one is on its way out: room for those
        self.broke_off = Signal()  # the visit that is next has its turn before the next frame
        self.owed = Signal()  # a release has its turn before the next frame
        self.lacking = Signal(range(room.slots + 1))  # requests that lack fragments
        self.more, self.fewer = Signal(), Signal()  # do, as of the cycle before
        self.restless = Signal(range(room.slots + 1))  # visits until all is quiet
        self.held = Signal(range(room.slots + 1))  # slots of the model in force
        self.older = Signal.like(self.held)  # and of the one before
        self.chore, self.chore_waits = Signal(chore(room)), Signal()
        self.may_ask = Signal()
        self.evict, self.due = Signal(), Signal()  # of the slot visited
        self.acts = Signal()  # something is done with it, in state act
        self.fence = Signal(range(AHEAD + 1))  # frames that must leave before the chore
        offered, left = owner.chore.valid, Signal()
        self.times_out, self.asks = Signal(), Signal()  # timeout_us and ask_us are not 0
        self.folded = Signal(FINGERPRINT_BITS)  # fingerprint of the request that is read
        m.d.comb += [
            owner.collecting.eq(self.lacking != 0),
            owner.outdated.eq(self.older != 0),
            owner.chore.payload.eq(self.chore),
        ]
        m.d.sync += [
            # From registers: what it leads to is far away, and so is who takes it.
            offered.eq(self.chore_waits & (self.fence == 0) & ~(offered & owner.chore.ready)),
            left.eq(owner.o.valid & owner.o.ready),
            self.may_ask.eq(owner.may_ask & ~self.chore_waits),
            self.times_out.eq(owner.config.timeout_us != 0),
            self.asks.eq(owner.config.ask_us != 0),
            owner.evicted.eq(self.acts & self.evict),
            self.acts.eq(0),
            self.more.eq(0),
            self.fewer.eq(0),
            self.lacking.eq(self.lacking + self.more - self.fewer),
            self.folded.eq(fingerprint_of(self.record.key)),
            owner.release.ready.eq(0),
        ]
        with m.If(owner.swaps):
            m.d.sync += [
                self.older.eq(self.held),
                self.held.eq(0),
                self.restless.eq(room.slots),
            ]
        with m.If((self.fence != 0) & left):
            m.d.sync += self.fence.eq(self.fence - 1)
        with m.If(offered & owner.chore.ready):
            m.d.sync += self.chore_waits.eq(0)
        with m.If(self.chore_waits | (self.restless != 0)):
            m.d.comb += owner.busy.eq(1)
        with m.If(self.acts):
            self._instructs(m)

    def wipe(self) -> None:
        """The state after a reset: nothing is known of any request."""
        m = self.m
        last = max(DECISIONS, len(self.room.here))
        at = Signal(range(last + 1))
        m.d.sync += [at.eq(at + 1), self.visited.eq(at), self.group.eq(at)]
        self._remember(Cat(at, Const(0, FINGERPRINT_BITS)), Decision.NONE)
        m.d.comb += [
            self.writes.eq(1),
            self.new.state.eq(FREE),
            self.keeps.eq(1),
        ]
        with m.If(at == last):
            m.next = "idle"

    def idle(self) -> None:
        """What is next: a frame or, by turns, a slot that becomes free; or else a visit."""
        m, owner, release = self.m, self.owner, self.owner.release
        begins = owner.next_frame & self.rests
        # No visit while a slot is to become free; a frame's slot is found later.
        slot = Mux(release.valid, release.payload.slot, self.walk)
        m.d.sync += [self.of_frame.eq(0), self.visited.eq(slot)]
        with m.If(release.valid & (self.owed | ~begins) & self.rests):
            m.d.sync += self.owed.eq(0)
            m.next = "leave"
        with m.Elif(begins):
            self._begin()
        with m.Elif(~owner.halted & self.rests):
            m.next = "visit"

    def _begin(self) -> None:
        self.m.d.sync += [self.owed.eq(1), self.of_frame.eq(1)]
        self.m.d.comb += self.tags.start.eq(1)
        self.m.next = "header"

    def _may_break_off(self) -> None:
        """At the end of a state of a visit: a frame goes before it, but only once."""
        with self.m.If(self.owner.next_frame & ~self.broke_off):
            self.m.d.sync += self.broke_off.eq(1)
            self._begin()

    def _states_between(self) -> None:
        """States between two frames, inside the state machine."""
        m = self.m
        with m.State("leave"):
            m.next = "left"
        with m.State("left"):
            m.next = "fold"
        with m.State("fold"):
            m.d.sync += self.owner.release.ready.eq(1)
            m.next = "release"
        with m.State("release"):
            self._release()
        for state, following in (("visit", "read"), ("read", "weigh"), ("weigh", "due")):
            with m.State(state):
                m.next = following
                self._may_break_off()
        with m.State("due"):
            self._due()
        with m.State("choose"):
            m.d.sync += self.acts.eq(self.due & ~self.chore_waits & (self.evict | self.may_ask))
            m.next = "act"
        with m.State("act"):
            self._act()

    def _release(self) -> None:
        m, release = self.m, self.owner.release
        executed = release.payload.executed
        m.d.comb += self.writes.eq(1)
        m.next = "idle"
        with m.If(release.payload.turned):  # it will be given up, as if it lacked something
            m.d.comb += self.new.state.eq(COLLECTING)
            m.d.sync += [self.more.eq(1), self.restless.eq(self.room.slots)]
        with m.Else():
            m.d.comb += [
                self.new.state.eq(FREE),
                self.tags.put.eq(1),
            ]
            self._remember(
                self.folded,
                Mux(executed, Decision.EXECUTED, Decision.INCOMPLETE),
            )
            m.d.sync += self.pressed.eq(0)
            with m.If(~executed):
                m.d.sync += self.evicting.eq(0)
            with m.If(self.old):
                m.d.sync += self.older.eq(self.older - 1)
            with m.Else():
                m.d.sync += self.held.eq(self.held - 1)

    def _due(self) -> None:
        """What D4 asks of one slot."""
        m, record, config = self.m, self.record, self.owner.config
        ask = config.ask_us
        wanted = self.pressed & ~self.evicting & self.asks
        gives_up = (
            ~config.control
            | self.old
            | (self.times_out & (self.age >= config.timeout_us))
            | (wanted & (self.age >= ask << PRESSED_ASKS))
        )
        pause = self.patience >> QUICK_ASKS
        more = self.asks & (record.asks != QUICK_ASKS + MAX_ASKS)
        asks = more & (self.age >= pause)
        collects = record.state == COLLECTING
        m.d.sync += [self.evict.eq(gives_up), self.due.eq(collects & (gives_up | asks))]
        m.next = "choose"
        self._may_break_off()

    def _act(self) -> None:
        """One decision is forgotten if it is too old; and what is done beside states, by ``acts``,
        is done."""
        m = self.m
        m.d.comb += self.decisions.swept.eq(1)
        m.d.sync += self.broke_off.eq(0)
        with m.If(self.due):
            m.d.sync += self.restless.eq(self.room.slots)
        with m.Elif(self.restless != 0):
            m.d.sync += self.restless.eq(self.restless - 1)
        m.d.sync += self.walk.eq(Mux(self.walk == self.room.slots - 1, 0, self.walk + 1))
        m.next = "idle"

    def _instructs(self, m: Module) -> None:
        """A chore for the slot that is visited."""
        evict = self.evict
        m.d.comb += self.writes.eq(1)
        m.d.sync += [
            self.chore.evict.eq(evict),
            self.chore.slot.eq(self.walk),
            self.chore_waits.eq(self._instruct(evict)),
            self.fence.eq(self.owner.under_way()),
        ]
        with m.If(evict):
            m.d.comb += self.new.state.eq(LEAVING)
            m.d.sync += [self.fewer.eq(1), self.evicting.eq(1)]
        with m.Else():
            m.d.comb += self.new.asks.eq(self.record.asks + 1)

    def _instruct(self, evict: Value) -> Value:
        """What a chore says of the tensors; whether there is anything to do. It differs where
        requests have several."""
        del evict
        self.m.d.sync += self.chore.cut.eq(self.record.cut)
        return Const(1)
