# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which slot a request has, how many its sender has, and which one is free."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.slots import FINGERPRINT_BITS
from .bus import ORIGIN, sender_of
from .room import Room

SENDER_BITS = len(sender_of(Signal(ORIGIN)))
"""Of a sender's address and port."""

_LANES = 8  # slots that are looked at in a cycle
_PART_BITS = 8  # as many are compared in a cycle
_PARTS_TOGETHER = 4  # comparisons of which it is known in a cycle whether all agree


class Tags(wiring.Component):
    """Fingerprints of the requests in the slots, and their senders.

    A row of slots is looked at each cycle, so that 64 slots need 8 comparators, up to the last row
    that has any request: requests go to the lowest slots that are free. What is found is judged two
    cycles later.

    Parameters
    ----------
    room : of the slots

    Members
    -------
    fingerprint, sender : In, of the request; must hold from the cycle behind ``start`` on until the
        search ends
    start : In(1); the rows are looked at in the cycles that follow
    stop : In(1), between two searches: one that may be under way is not wanted
    found : Out(1), the request has a slot; ends : Out(1), or none: either ends the search
    slot : Out, from the cycle after that: the request's slot, or one that is free; coming : Out,
        what it is to be, where it changes : Out(1) in the next cycle
    held : Out, slots of the sender, from the second cycle after that; has_free : Out(1); both if it
        has none
    free : Out, number of free slots
    put : In(1), ``used`` : In(1), ``put_slot`` : In, the slot has or loses this request; it is
        there a cycle later, in which ``fingerprint`` and ``sender`` still hold and nothing starts
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
                "coming": Out(room.slot),
                "changes": Out(1),
                "held": Out(count),
                "has_free": Out(1),
                "free": Out(count, init=room.slots),
                "put": In(1),
                "used": In(1),
                "put_slot": In(room.slot),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        lanes = min(_LANES, 1 << (self._slots // 2).bit_length() - 1)  # two rows at least
        rows = -(-self._slots // lanes)
        lane_bits = (lanes - 1).bit_length()
        tag = data.StructLayout({"fingerprint": FINGERPRINT_BITS, "sender": SENDER_BITS})
        used = [Signal(lanes, name=f"used{row}") for row in range(rows)]
        exists = [min(lanes, self._slots - lanes * row) for row in range(rows)]
        puts, uses, slot = Signal(), Signal(), Signal.like(self.put_slot)
        m.d.sync += [puts.eq(self.put), uses.eq(self.used), slot.eq(self.put_slot)]

        # A row is compared in its cycle, in parts; which agree as a whole is there in the next one,
        # and judged in the one behind that.
        row, looks, compared, judges = Signal(range(rows)), Signal(), Signal(), Signal()
        rows_behind = Signal(range(rows)), Signal(range(rows))
        lasts = Signal(), Signal()
        hits, mine = Signal(lanes), Signal(lanes)
        counts = Signal()  # a sender is wider: which slots are its own is there a cycle later
        for lane in range(lanes):
            memory = Memory(shape=tag, depth=rows, init=[])
            m.submodules[f"tags{lane}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            is_used, is_its = Signal(name=f"is_used{lane}"), Signal(name=f"is_its{lane}")
            seen, agree = read.data, {}
            for name, wanted in (("fingerprint", self.fingerprint), ("sender", self.sender)):
                parts = [slice(at, at + _PART_BITS) for at in range(0, len(wanted), _PART_BITS)]
                same = Signal(len(parts), name=f"{name}{lane}")
                m.d.sync += same.eq(Cat(seen[name][part] == wanted[part] for part in parts))
                agree[name] = same
            all_of = Cat(is_used, agree["sender"])
            own = Signal(-(-len(all_of) // _PARTS_TOGETHER), name=f"own{lane}")
            m.d.comb += [
                read.addr.eq(row),
                write.addr.eq(slot[lane_bits:]),
                write.data.fingerprint.eq(self.fingerprint),
                write.data.sender.eq(self.sender),
                write.en.eq(puts & is_its),
            ]
            m.d.sync += [
                is_its.eq(self.put_slot[:lane_bits] == lane),
                is_used.eq(Array(each[lane] for each in used)[row]),
                hits[lane].eq(is_used & agree["fingerprint"].all()),
                own.eq(
                    Cat(
                        all_of[at : at + _PARTS_TOGETHER].all()
                        for at in range(0, len(all_of), _PARTS_TOGETHER)
                    )
                ),
                mine[lane].eq(own.all()),
            ]
        some = Signal(rows)  # rows that have any request
        m.d.comb += [
            self.found.eq(judges & hits.any()),
            self.ends.eq(judges & (hits.any() | lasts[1])),
        ]
        m.d.sync += [
            some.eq(Cat(each.any() for each in used)),
            lasts[0].eq(~(some >> 1 >> row).any()),
            lasts[1].eq(lasts[0]),
            rows_behind[0].eq(row),
            rows_behind[1].eq(rows_behind[0]),
            compared.eq(looks),
            judges.eq(compared),
            counts.eq(judges),
        ]
        next_free = self._next_free(m, used, exists)
        found_lane = first_of(m, hits)
        with m.If(looks):
            m.d.sync += row.eq(row + 1)
        m.d.comb += [
            self.changes.eq(judges),
            self.coming.eq(Mux(hits.any(), Cat(found_lane, rows_behind[1]), next_free)),
        ]
        with m.If(judges):
            m.d.sync += self.slot.eq(self.coming)
        with m.If(counts):
            m.d.sync += self.held.eq(self.held + sum(mine))
        with m.If(self.start):
            m.d.sync += looks.eq(1)
        with m.If(self.ends | self.stop):
            m.d.sync += [of.eq(0) for of in (looks, compared, judges, row)]
        with m.If(self.stop):
            m.d.sync += [self.held.eq(0), counts.eq(0)]

        for at, each in enumerate(used):
            for lane in range(exists[at]):
                with m.If(puts & (slot == at * lanes + lane)):
                    m.d.sync += each[lane].eq(uses)
        with m.If(puts):
            with m.If(uses):
                m.d.sync += self.free.eq(self.free - 1)
            with m.Else():
                m.d.sync += self.free.eq(self.free + 1)
        return m

    def _next_free(self, m: Module, used: list[Signal], exists: list[int]) -> Signal:
        """The lowest slot that is free, three cycles after it is, and ``has_free``."""
        firsts, has = [], Signal(len(used))
        for at, each in enumerate(used):
            free = Signal(exists[at], name=f"free{at}")
            first = Signal(range(len(each)), name=f"first{at}")
            m.d.comb += free.eq(~each[: exists[at]])
            m.d.sync += [first.eq(first_of(m, free)), has[at].eq(free.any())]
            firsts.append(first)
        row = Signal(range(len(used)))
        slot = Signal.like(self.slot)
        m.d.comb += row.eq(first_of(m, has))
        m.d.sync += [slot.eq(Cat(Array(firsts)[row], row)), self.has_free.eq(has.any())]
        return slot


def first_of(m: Module, flags: Signal) -> Signal:
    """Number of the lowest one that is set."""
    found = Signal(range(len(flags)))
    for at in reversed(range(len(flags))):
        with m.If(flags[at]):
            m.d.comb += found.eq(at)
    return found
