# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The steering table: for each (tenant, model hash, cursor) what is done here, and the next hop.

Rules, cited by tests as T1 to T8:

T1. A frame that is ours (:mod:`.parser`) has the entry whose tenant, model hash and cursor are
    those of its header; of several, the one with the lowest index. A frame without an entry is
    decided on by D0 to D6 of :mod:`.decide`, and the default next hop (registers ``next_*``) is
    where it goes.
T2. What leaves of a frame or a request with an entry goes to the entry's next hop, sent on or as a
    result: its MAC address, UDP port, and address of the IP version in which it came. If that
    address is 0, it goes to the default next hop.
T3. An entry changes what becomes of frames behind D0 only: an earlier hop's result for others is
    forwarded as ever. ``execute`` leaves everything to D1 to D6. ``forward`` asks nothing of us:
    the frame is forwarded, whatever D1 would say. ``redirect`` declines it as ``policy``, so that
    the header tells that the path has changed. A fragment whose ``region`` the entry does not
    allow, or one in clear while the entry has ``must_encrypt``, is declined as ``policy`` under
    each of them, whatever D1 would say: it is never executed here.
T4. All fragments of a request have one fate (D6), whatever becomes of the table. One that has a
    slot is collected, and its result, or what is given up of it, goes to the next hop that its
    first fragment had (of several tensors, that of each: D7). One that would be collected, but that
    an entry forwards or declines, is remembered (D6) as forwarded or as ``policy``, behind what was
    decided before. Each fragment that is sent on goes to the next hop of its own entry at its
    decision.
T5. An entry changes in one cycle (C6 of formats/csr.py), between two looks at the table: a frame
    has the entry before or the one after, action and next hop alike, and keeps it.
T6. An entry counts no more ``table_lifetime_us`` after its commit, and is removed within 100 cycles
    then; from there on, another of its key may be found. 0 is never.
T7. A reset leaves no entry. ``control`` changes none, but passes all frames while it is 0.
T8. A frame that has an entry (T1) is a hit of it, whatever becomes of the frame: in the cycle in
    which its entry is found, so that no frame of the entry before counts for the one behind it. A
    commit begins anew with 0; removing or changing an entry is one, expiry is none.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES, Action
from . import header as hdr
from .bus import CONFIG, ENTRY, HOP, ORIGIN, ipv6_lanes, lanes, mac_lanes
from .tags import first_of

_LANES = 4  # entries that are looked at in a cycle
_LANE_BITS = (_LANES - 1).bit_length()
_ROWS = ENTRIES // _LANES
_PARTS = 8  # a key is compared in so many, each as much as fits a cycle
_KEY = ("table_tenant", "table_model_hash_high", "table_model_hash_low", "table_cursor")

SAID = data.StructLayout({"done": 1, "forward": 1, "policy": 1})
STEERED = data.StructLayout({**SAID.members, "hop": HOP})
"""What the table says of a frame once it is ``done``: that it is to be forwarded, or declined as
``policy``; and a cycle later its next hop. All of it holds until the frame is gone."""


class Entries(wiring.Component):
    """Looks entries up, four a cycle, and keeps them.

    Members
    -------
    config : In(CONFIG); now : In(32), microseconds
    origin : In(ORIGIN), of a frame, while it ``comes`` : In(1); not for a cycle between two
    ours : In(1), that frame is ours (T1); others : In(1), it is not, and nothing is said of it
    o : Out(STEERED), ``done`` 2 to 8 cycles after it came, if it is ``ours`` by then
    staged : In(ENTRY), what an entry is to be
    commit : In(1), until ``committed`` : Out(1), it is, in this cycle
    hit : Out(1), in one cycle, never that of ``committed`` : a frame has the entry ``place`` : Out
    shown : Out(ENTRY), the entry ``table_index``, while ``shows`` : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "config": In(CONFIG),
                "now": In(32),
                "origin": In(ORIGIN),
                "comes": In(1),
                "ours": In(1),
                "others": In(1),
                "o": Out(STEERED),
                "staged": In(ENTRY),
                "commit": In(1),
                "committed": Out(1),
                "hit": Out(1),
                "place": Out(range(ENTRIES)),
                "shown": Out(ENTRY),
                "shows": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        key = data.StructLayout({name: ENTRY.members[name] for name in _KEY})
        rest = data.StructLayout({**ENTRY.members, "has_ip": 1, "has_ip6": 1, "since": 32})
        keys = [Memory(shape=key, depth=_ROWS, init=[]) for _ in range(_LANES)]
        for lane, memory in enumerate(keys):
            m.submodules[f"keys{lane}"] = memory
        m.submodules.rests = rests = Memory(shape=rest, depth=ENTRIES, init=[])
        self._rows = [memory.read_port(domain="comb") for memory in keys]
        self._write_keys = [memory.write_port() for memory in keys]
        self._rest, self._write_rest = rests.read_port(domain="comb"), rests.write_port()
        self._seen = Signal(rest)  # of the cycle before
        self._at = Signal(range(ENTRIES))  # where the rest of an entry is read
        self._used = Signal(ENTRIES)  # no entry where it is 0, whatever the memories have
        self._writes = Signal()  # an entry changes
        self._expired = Signal()
        self._index = self.config.table_index[: (ENTRIES - 1).bit_length()]
        m.d.comb += self._rest.addr.eq(self._at)
        m.d.sync += self._seen.eq(self._rest.data)
        self._looks(m)
        self._says(m)
        self._sweeps(m)
        self._shows(m)
        self._commits(m)
        return m

    def _looks(self, m: Module) -> None:
        """The rows one after the other; then the rest of the entry that was found."""
        header = self.origin.header
        wanted = Cat(
            hdr.get(header, "tenant"),
            hdr.get(header, "model_hash")[32:],
            hdr.get(header, "model_hash")[:32],
            hdr.get(header, "cursor"),
        )
        started, looking, compared = Signal(), Signal(), Signal()
        row, before, some = Signal(range(_ROWS)), Signal(range(_ROWS)), Signal()
        start, ends, any_used = Signal(), Signal(), Signal()
        same = Signal(_LANES)
        part_bits = -(-len(wanted) // _PARTS)
        for lane, read in enumerate(self._rows):
            whole = read.data.as_value()
            agree = Signal(_PARTS + 1, name=f"agree{lane}")
            parts = [slice(at * part_bits, (at + 1) * part_bits) for at in range(_PARTS)]
            used = self._used.bit_select(Cat(Const(lane, _LANE_BITS), row), 1)
            m.d.sync += agree.eq(Cat(used, *(whole[part] == wanted[part] for part in parts)))
            m.d.comb += [read.addr.eq(row), same[lane].eq(agree.all())]
        number = Cat(first_of(m, same), before)
        self._fetches, fetched, self._takes = Signal(), Signal(), Signal()
        self._has = some
        m.d.comb += [
            start.eq(self.comes & ~started & ~self._writes),
            ends.eq(compared & ~self._fetches & (same.any() | (before == _ROWS - 1))),
        ]
        self._ends, self._compared = ends, compared
        self._rests = Signal()  # nobody looks
        m.d.comb += self._rests.eq(~((self.comes & ~started) | looking | compared | self._fetches))
        m.d.sync += [
            any_used.eq(self._used.any()),
            compared.eq(start | looking),
            before.eq(row),
            fetched.eq(self._fetches),
        ]
        with m.If(start):
            m.d.sync += [started.eq(1), looking.eq(1)]
        with m.If(start | looking):
            m.d.sync += row.eq(row + 1)
            with m.If(row == _ROWS - 1):
                m.d.sync += looking.eq(0)
        # It takes two cycles to see whether it is too old. Then it waits until the frame is ours.
        with m.If(fetched):
            m.d.sync += self._takes.eq(1)
        with m.If(ends):
            m.d.sync += [
                self._fetches.eq(1),
                self._takes.eq(~same.any()),
                some.eq(same.any()),
                self.place.eq(number),
            ]
        with m.If(start & ~any_used):
            m.d.sync += [self._fetches.eq(1), self._takes.eq(1), some.eq(0)]
            m.d.sync += [looking.eq(0), compared.eq(0), row.eq(0)]
        self._number = number
        self._taken = Signal()
        ours, others = Signal(), Signal()  # from registers: who says it is far away
        m.d.sync += [ours.eq(self.ours), others.eq(self.others)]
        m.d.comb += self._taken.eq(self._takes & ours)
        with m.If(self._taken):
            m.d.sync += [self._fetches.eq(0), fetched.eq(0), self._takes.eq(0)]
        with m.If(others | ~self.comes):
            m.d.sync += [
                *(of.eq(0) for of in (looking, compared, row)),
                *(of.eq(0) for of in (self._fetches, fetched, self._takes)),
            ]
        with m.If(~self.comes):
            m.d.sync += started.eq(0)

    def _says(self, m: Module) -> None:
        """What is kept of the entry that was found, or of the default row."""
        entry, config, ipv6 = self._seen, self.config, self.origin.ipv6
        header = self.origin.header
        refused, forward, redirect = Signal(), Signal(), Signal()
        has_hop, its, settles = Signal(), Signal(), Signal()
        hit = self._has & ~self._expired
        m.d.sync += [
            refused.eq(
                ~entry.table_regions.bit_select(hdr.get(header, "region"), 1)
                | (entry.table_must_encrypt & ~hdr.get(header, "encrypted"))
            ),
            forward.eq(entry.table_action == Action.FORWARD),
            redirect.eq(entry.table_action == Action.REDIRECT),
            has_hop.eq(Mux(ipv6, entry.has_ip6, entry.has_ip)),
            its.eq(hit & has_hop),
            self.hit.eq(self._taken & hit),
            settles.eq(self._taken),
        ]
        with m.If(self._taken):
            m.d.sync += [
                self.o.done.eq(1),
                self.o.forward.eq(hit & forward & ~refused),
                self.o.policy.eq(hit & (refused | redirect)),
            ]
        with m.If(~self.comes):
            m.d.sync += self.o.done.eq(0)
        addresses = [
            Mux(ipv6, ipv6_lanes(of, whose), lanes(of[f"{whose}_ip"]))
            for of, whose in ((entry, "table_next"), (config, "next"))
        ]
        # A cycle later: registers say to two hundred bits what to do.
        with m.If(settles):
            m.d.sync += [
                self.o.hop.mac.eq(
                    Mux(its, mac_lanes(entry, "table_next"), mac_lanes(config, "next"))
                ),
                self.o.hop.ip.eq(Mux(its, *addresses)),
                self.o.hop.port.eq(Mux(its, lanes(entry.table_next_port), lanes(config.next_port))),
            ]

    def _sweeps(self, m: Module) -> None:
        """One entry after the other is removed if it is too old (T6), in four cycles each.

        ``_expired`` is of the entry whose address was there two cycles before, whoever read it.
        """
        swept, steps = Signal(range(ENTRIES)), Signal(3)
        age, limit = Signal(32), Signal(32)
        m.d.sync += [
            age.eq(self.now - self._rest.data.since),
            limit.eq(self._rest.data.table_lifetime_us),
            self._expired.eq((limit != 0) & (age >= limit)),
        ]
        begins = ~steps.any() & ~self._fetches & ~self._compared
        m.d.sync += steps.eq(Cat(begins, steps))
        with m.If(steps[2]):
            m.d.sync += swept.eq(swept + 1)
            with m.If(self._expired):
                m.d.sync += self._used.bit_select(swept, 1).eq(0)
        with m.If(self._writes):
            m.d.sync += steps.eq(0)  # what was read may be another entry's
        with m.If(self._ends):
            m.d.sync += self._at.eq(self._number)
        with m.Elif(~self._fetches):
            m.d.sync += self._at.eq(Mux(begins, swept, self._index))

    def _shows(self, m: Module) -> None:
        """The entry that software asks for, when nobody else reads."""
        there = Signal()
        m.d.sync += [
            self.shows.eq((self._at == self._index) & ~self._writes),
            there.eq(self._used.bit_select(self._at, 1) & (self.config.table_index < ENTRIES)),
        ]
        for name in ENTRY.members:
            m.d.comb += self.shown[name].eq(Mux(there, self._seen[name], 0))

    def _commits(self, m: Module) -> None:
        """The entry as a whole, between two looks (T5)."""
        staged, write, asked = self.staged, self._write_rest, Signal()
        m.d.sync += [
            asked.eq(self.commit & ~self._writes),
            self._writes.eq(asked & ~self._writes & self._rests),
        ]
        for lane, keys in enumerate(self._write_keys):
            m.d.comb += [
                keys.addr.eq(self._index[_LANE_BITS:]),
                keys.en.eq(self._writes & (self._index[:_LANE_BITS] == lane)),
                *(keys.data[name].eq(staged[name]) for name in _KEY),
            ]
        rest = write.data
        m.d.comb += [
            self.committed.eq(self._writes),
            write.addr.eq(self._index),
            write.en.eq(self._writes),
            *(rest[name].eq(staged[name]) for name in ENTRY.members),
            rest.since.eq(self.now),
            rest.has_ip.eq(staged.table_next_ip.any()),
            rest.has_ip6.eq(ipv6_lanes(staged, "table_next").any()),
        ]
        with m.If(self._writes):
            m.d.sync += self._used.bit_select(self._index, 1).eq(staged.table_action != Action.NONE)
