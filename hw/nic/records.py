# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What :mod:`.decide` keeps of each request in a slot: its record, and which fragments are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory

from ..formats.slots import MAX_ASKS, QUICK_ASKS
from .bus import fingerprint_of, key_of
from .decisions import Decisions
from .deep_fifo import NEVER_COLLIDES
from .header import get
from .room import Room
from .tags import SENDER_BITS, Tags

if TYPE_CHECKING:
    from .decide import Decider

FREE, COLLECTING, WHOLE, LEAVING = range(4)
"""States of a slot."""


class Records:
    """Memories of the decider, and what of them is in registers.

    The record of the slot ``visited`` is read in each cycle: that of the frame's request, or one
    that time visits. It is in ``record`` from the second cycle behind on, and holds. What is
    written goes to the memories a cycle later: choosing it takes most of one.
    """

    def __init__(self, m: Module, owner: Decider, room: Room) -> None:
        self.m, self.owner, self.room = m, owner, room
        origin = owner.i.payload.origin
        key = key_of(origin, get(origin.header, "request_id"), room.several)
        self.key, self.fingerprint = Signal(len(key)), Signal.like(fingerprint_of(key))
        self.tensor = get(origin.header, "tensor_index")
        m.submodules.tags = self.tags = Tags(room)
        m.submodules.decisions = self.decisions = Decisions()
        self.of_frame = Signal()  # what was decided on the frame is looked at
        m.d.sync += [self.key.eq(key), self.fingerprint.eq(fingerprint_of(key))]
        m.d.comb += [
            self.tags.fingerprint.eq(self.fingerprint),
            self.tags.sender.eq(self._sender()),
            self.tags.stop.eq(owner.handed),
            self.decisions.fingerprint.eq(self.fingerprint),
            self.decisions.look.eq(self.of_frame),
            self.decisions.now.eq(owner.time),
            self.decisions.timeout.eq(owner.config.timeout_us),
        ]
        self.slot = self.tags.slot
        self._records(m)
        self._here(m)

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
        # What is read in the cycle in which it is written is not used.
        m.submodules.records = records = Memory(
            shape=record, depth=self.room.slots, init=[], attrs=NEVER_COLLIDES
        )
        read, write = records.read_port(), records.write_port()
        self.visited = Signal(self.room.slot)  # leads to block memory, and is a register
        self.record, self.new = Signal(record), Signal(record)
        self.writes, self.old = Signal(), Signal()
        self.collects = Signal()  # the frame's fragment, and its request changes
        self.rests = Signal()  # nothing is on its way to a memory
        m.d.comb += [
            read.addr.eq(self.visited),
            self.tags.put_slot.eq(self.visited),
            self.new.eq(self.record),
            self.rests.eq(~(write.en | self.owner.handed)),
        ]
        m.d.sync += [
            write.en.eq(self.writes),
            write.addr.eq(self.visited),
            write.data.eq(self.new),
        ]
        with m.If(self.tags.changes):
            m.d.sync += self.visited.eq(self.tags.coming)
        self.age = Signal(32)
        ask = self.owner.config.ask_us
        self.patience = Signal(len(ask) + MAX_ASKS)  # until it is asked again
        m.d.sync += [
            self.record.eq(read.data),
            self.age.eq(self.owner.time - self.record.latest),
            self.patience.eq(ask << self.record.asks),
            self.old.eq(self._old()),
        ]

    def _here(self, m: Module) -> None:
        owner, room = self.owner, self.room
        m.submodules.here = here = Memory(
            shape=len(owner.here), depth=room.slots * room.groups, init=[]
        )
        write, read, theirs = here.write_port(), here.read_port(), here.read_port()
        self.keeps, self.kept = Signal(), Signal.like(owner.here)
        self.here, self.group = Signal.like(read.data), Signal(room.here)
        keeps, kept, group = (Signal.like(of) for of in (self.keeps, self.kept, self.group))
        m.d.comb += [
            theirs.addr.eq(owner.here_address),
            owner.here.eq(theirs.data),
            read.addr.eq(self.group),
            write.addr.eq(Mux(keeps, group, owner.here_address)),
            write.data.eq(Mux(keeps, kept, 0)),
            write.en.eq(keeps | owner.clear),
            owner.cleared.eq(owner.clear & ~keeps),
        ]
        m.d.sync += [
            self.here.eq(read.data),
            keeps.eq(self.keeps),
            kept.eq(self.kept),
            group.eq(self.group),
        ]

    def _old(self) -> Value:
        """Whether the request is of the model before (X4 of :mod:`.weights`); ``old`` is that a
        cycle later."""
        return self.record.bank != self.owner.bank

    def _remember(self, fingerprint: Value, decision: Any) -> None:
        self.m.d.comb += [
            self.decisions.put.eq(1),
            self.decisions.put_fingerprint.eq(fingerprint),
            self.decisions.put_decision.eq(decision),
        ]

    # What differs where requests have several tensors.

    def _sender(self) -> Value:
        """Who sent the frame."""
        return self.key[:SENDER_BITS]

    def _of_parts(self) -> dict[str, Any]:
        """What a record has of the request's tensors."""
        return {"cut": self.room.cut, "lacks": self.room.count}
