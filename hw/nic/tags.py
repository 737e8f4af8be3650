# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which slot a request has, how many its sender has, and which one is free."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.slots import FINGERPRINT_BITS
from .bus import ORIGIN, sender_of
from .deep_fifo import NEVER_COLLIDES
from .room import Room

SENDER_BITS = len(sender_of(Signal(ORIGIN)))
"""Of a sender's address and port."""

_LANES = 8  # slots that are looked at in a cycle


class Tags(wiring.Component):
    """Fingerprints of the requests in the slots, and their senders.

    A row of slots is looked at each cycle, so that 64 slots need 8 comparators; what they find is
    judged in the next cycle.

    Parameters
    ----------
    room : of the slots

    Members
    -------
    fingerprint, sender : In, of the request; must hold from ``start`` until the search ends
    start : In(1); the rows are looked at in the cycles that follow; not while a search is under way
    stop : In(1), the search that may be under way is not wanted
    found : Out(1), the request has a slot; ends : Out(1), or none: either ends the search
    slot : Out, from the cycle after that: the request's slot, or one that is free
    held : Out, slots of the sender; has_free : Out(1); both if it has none
    free : Out, number of free slots
    put : In(1), ``used`` : In(1), ``put_slot`` : In, the slot has or loses this request; it is
        there a cycle later, in which ``fingerprint`` and ``sender`` still hold and nothing starts
    wipe : In(1), ``put_slot`` has no request, whatever it had; does not count
    """

    def __init__(self, room: Room) -> None:
        self._slots = room.slots
        count = range(room.slots + 1)
        super().__init__(
            {
                "fingerprint": In(FINGERPRINT_BITS),
                "sender": In(SENDER_BITS),
                "start": In(1),
                "stop": In(1),
                "found": Out(1),
                "ends": Out(1),
                "slot": Out(room.slot),
                "held": Out(count),
                "has_free": Out(1),
                "free": Out(count, init=room.slots),
                "put": In(1),
                "used": In(1),
                "put_slot": In(room.slot),
                "wipe": In(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        lanes = min(_LANES, 1 << (self._slots // 2).bit_length() - 1)  # two rows at least
        rows = -(-self._slots // lanes)
        lane_bits = (lanes - 1).bit_length()
        tag = data.StructLayout({"used": 1, "fingerprint": FINGERPRINT_BITS, "sender": SENDER_BITS})
        # What is read while nobody searches does not matter.
        m.submodules.rows = memory = Memory(
            shape=data.ArrayLayout(tag, lanes), depth=rows, init=[], attrs=NEVER_COLLIDES
        )
        read, write = memory.read_port(), memory.write_port(granularity=1)

        row, looks = Signal(range(rows)), Signal()
        judged, judges = Signal(range(rows)), Signal()
        hits, mine, free = Signal(lanes), Signal(lanes), Signal(lanes)
        for lane in range(lanes):
            seen = read.data[lane]
            exists: Any = Const(1)
            if lanes * (rows - 1) + lane >= self._slots:
                exists = row != rows - 1
            m.d.sync += [
                hits[lane].eq(seen.used & (seen.fingerprint == self.fingerprint)),
                mine[lane].eq(seen.used & (seen.sender == self.sender)),
                free[lane].eq(~seen.used & exists),
            ]
        m.d.comb += [
            self.found.eq(judges & hits.any()),
            self.ends.eq(judges & (hits.any() | (judged == rows - 1))),
        ]
        m.d.sync += [judges.eq(looks), judged.eq(row)]
        with m.If(looks):
            m.d.comb += read.addr.eq(row + 1)
            m.d.sync += row.eq(row + 1)
        with m.If(judges):
            m.d.sync += [
                self.held.eq(self.held + sum(mine)),
                self.has_free.eq(self.has_free | free.any()),
            ]
            with m.If(self.found):
                m.d.sync += self.slot.eq(Cat(first_of(m, hits), judged))
            with m.Elif(~self.has_free):
                m.d.sync += self.slot.eq(Cat(first_of(m, free), judged))
            with m.If(self.ends):
                m.d.sync += [looks.eq(0), judges.eq(0)]
        with m.If(self.stop):
            m.d.sync += [looks.eq(0), judges.eq(0)]
        with m.If(self.start):
            m.d.sync += [
                row.eq(0),
                looks.eq(1),
                judges.eq(0),
                self.held.eq(0),
                self.has_free.eq(0),
            ]

        puts, wipes, used, slot = Signal(), Signal(), Signal(), Signal.like(self.put_slot)
        m.d.sync += [
            puts.eq(self.put),
            wipes.eq(self.wipe),
            used.eq(self.used),
            slot.eq(self.put_slot),
        ]
        for written in write.data:
            m.d.comb += [
                written.used.eq(used),
                written.fingerprint.eq(self.fingerprint),
                written.sender.eq(self.sender),
            ]
        m.d.comb += write.addr.eq(slot[lane_bits:])
        with m.If(puts | wipes):
            m.d.comb += write.en.eq(Const(1) << slot[:lane_bits])
        with m.If(puts):
            with m.If(used):
                m.d.sync += self.free.eq(self.free - 1)
            with m.Else():
                m.d.sync += self.free.eq(self.free + 1)
        return m


def first_of(m: Module, flags: Signal) -> Signal:
    """Number of the lowest one that is set."""
    found = Signal(range(len(flags)))
    for at in reversed(range(len(flags))):
        with m.If(flags[at]):
            m.d.comb += found.eq(at)
    return found
