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

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES, Action
from . import header as hdr
from .bus import CONFIG, ENTRY, HOP, ORIGIN, ipv6_lanes, lanes, mac_lanes
from .tags import first_of

_LANES = 4  # entries that are looked at in a cycle
_LANE_BITS = (_LANES - 1).bit_length()
_KEY = ("table_tenant", "table_model_hash_high", "table_model_hash_low", "table_cursor")

STEERED = data.StructLayout({"done": 1, "forward": 1, "policy": 1, "hop": HOP})
"""What the table says of a frame, while ``done``: that it is to be forwarded, or declined as
``policy``; and its next hop."""


class Entries(wiring.Component):
    """Looks entries up, four a cycle, and keeps them.

    Members
    -------
    config : In(CONFIG); now : In(32), microseconds
    origin : In(ORIGIN), of the frame; must hold from ``start`` until ``done``
    start : In(1), look for its entry; ours : In(1), the frame is (T1), and ``cancel`` : In(1), it
        is not, or the search is not wanted for another reason; either ends it
    o : Out(STEERED), ``done`` 7 to 10 cycles after ``start`` if it is ``ours`` by then, and holds
        until the cycle behind the next ``start``
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
                "start": In(1),
                "ours": In(1),
                "cancel": In(1),
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
        rows = ENTRIES // _LANES
        key = data.StructLayout({name: ENTRY.members[name] for name in _KEY})
        rest = data.StructLayout(
            {
                **{name: width for name, width in ENTRY.members.items() if name not in _KEY},
                "since": 32,
                "has_ip": 1,
                "has_ip6": 1,
            }
        )
        m.submodules.keys = keys = Memory(shape=data.ArrayLayout(key, _LANES), depth=rows, init=[])
        m.submodules.rests = rests = Memory(shape=rest, depth=ENTRIES, init=[])
        self._row, self._write_row = keys.read_port(), keys.write_port(granularity=1)
        self._rest, self._write_rest = rests.read_port(), rests.write_port()
        self._used = Signal(ENTRIES)  # no entry where it is 0, whatever the memories have
        self._expired = Signal()
        self._index = self.config.table_index[: (ENTRIES - 1).bit_length()]
        # From registers: who asks is far away.
        self._start, self._ours, self._cancel = Signal(), Signal(), Signal()
        m.d.sync += [
            self._start.eq(self.start),
            self._ours.eq(self.ours),
            self._cancel.eq(self.cancel),
        ]
        self._looks(m, rows)
        self._sweeps(m)
        self._shows(m)
        self._commits(m)
        return m

    def _looks(self, m: Module, rows: int) -> None:
        """The rows one after the other; then the rest of the entry that was found."""
        header = self.origin.header
        wanted = Cat(
            hdr.get(header, "tenant"),
            hdr.get(header, "model_hash")[32:],
            hdr.get(header, "model_hash")[:32],
            hdr.get(header, "cursor"),
        )
        self._looking, self._fetches, takes = Signal(), Signal(), Signal()
        self._found = found = Signal(range(ENTRIES))
        row, hit, same = Signal(range(rows)), Signal(), Signal(_LANES)
        for lane in range(_LANES):
            used = self._used.bit_select(Cat(Const(lane, _LANE_BITS), row), 1)
            m.d.comb += same[lane].eq(used & (self._row.data[lane].as_value() == wanted))
        with m.If(self._start):
            m.d.sync += [row.eq(0), self._looking.eq(1), self.o.done.eq(0)]
        with m.If(self._looking):
            m.d.sync += [row.eq(row + 1), hit.eq(same.any()), found.eq(Cat(first_of(m, same), row))]
            with m.If(same.any() | (row == rows - 1) | ~self._used.any()):
                m.d.sync += [self._looking.eq(0), self._fetches.eq(1)]
        # For three cycles, so long it takes to see whether it is too old, and until it is ours.
        fetched = Signal(2)
        with m.If(self._fetches):
            m.d.sync += fetched.eq(fetched + 1)
            with m.If(fetched == 2):
                m.d.sync += [fetched.eq(2), takes.eq(1)]
        m.d.comb += [self.hit.eq(takes & self._ours & hit & ~self._expired), self.place.eq(found)]
        with m.If(takes & self._ours):
            m.d.sync += self._taken(self.hit)
        with m.If((takes & self._ours) | self._cancel):
            m.d.sync += [
                self._looking.eq(0),
                self._fetches.eq(0),
                fetched.eq(0),
                takes.eq(0),
            ]
        m.d.comb += [
            self._row.addr.eq(
                Mux(self._start, 0, Mux(self._looking, row + 1, self._index[_LANE_BITS:]))
            ),
            self.committed.eq(self.commit & ~(self._start | self._looking | self._fetches)),
        ]

    def _taken(self, hit: Value) -> list[Any]:
        """What is kept of the entry in ``rests``, or of the default row."""
        entry, config, ipv6 = self._rest.data, self.config, self.origin.ipv6
        header = self.origin.header
        refused = ~entry.table_regions.bit_select(hdr.get(header, "region"), 1) | (
            entry.table_must_encrypt & ~hdr.get(header, "encrypted")
        )
        forward = entry.table_action == Action.FORWARD
        its = hit & Mux(ipv6, entry.has_ip6, entry.has_ip)
        addresses = [
            Mux(ipv6, ipv6_lanes(of, whose), lanes(of[f"{whose}_ip"]))
            for of, whose in ((entry, "table_next"), (config, "next"))
        ]
        return [
            self.o.done.eq(1),
            self.o.forward.eq(hit & forward & ~refused),
            self.o.policy.eq(hit & (refused | (entry.table_action == Action.REDIRECT))),
            self.o.hop.mac.eq(Mux(its, mac_lanes(entry, "table_next"), mac_lanes(config, "next"))),
            self.o.hop.ip.eq(Mux(its, *addresses)),
            self.o.hop.port.eq(Mux(its, lanes(entry.table_next_port), lanes(config.next_port))),
        ]

    def _sweeps(self, m: Module) -> None:
        """One entry after the other is removed if it is too old (T6), in four cycles each.

        ``_expired`` is of the entry whose address was there three cycles before, whoever read it.
        """
        self._swept, step = Signal(range(ENTRIES)), Signal(2)
        age, limit = Signal(32), Signal(32)
        self._sweeping = step == 0
        m.d.sync += [
            age.eq(self.now - self._rest.data.since),
            limit.eq(self._rest.data.table_lifetime_us),
            self._expired.eq((limit != 0) & (age >= limit)),
        ]
        with m.If((step != 0) | ~self._fetches):
            m.d.sync += step.eq(step + 1)
        with m.If(step == 3):
            m.d.sync += self._swept.eq(self._swept + 1)
            with m.If(self._expired):
                m.d.sync += self._used.bit_select(self._swept, 1).eq(0)
        with m.If(self.committed):
            m.d.sync += step.eq(0)  # what was read may be another entry's

    def _shows(self, m: Module) -> None:
        """The entry that software asks for, when nobody else reads."""
        others = self._start | self._looking | self._fetches | self._sweeping | self.committed
        asked = Mux(self._sweeping, self._swept, self._index)
        m.d.comb += self._rest.addr.eq(Mux(self._fetches, self._found, asked))
        at, there = Signal.like(self._index), Signal()
        m.d.sync += [at.eq(self._index), self.shows.eq(~others)]
        m.d.comb += there.eq(self._used.bit_select(at, 1) & (self.config.table_index < ENTRIES))
        for name in ENTRY.members:
            lane = (
                Array(entry[name] for entry in self._row.data)[at[:_LANE_BITS]]
                if name in _KEY
                else None
            )
            value = self._rest.data[name] if lane is None else lane
            m.d.comb += self.shown[name].eq(Mux(there, value, 0))

    def _commits(self, m: Module) -> None:
        """The entry as a whole, between two looks (T5)."""
        staged, write = self.staged, self._write_rest
        for written in self._write_row.data:
            m.d.comb += [written[name].eq(staged[name]) for name in _KEY]
        rest = write.data
        m.d.comb += [
            self._write_row.addr.eq(self._index[_LANE_BITS:]),
            self._write_row.en.eq(self.committed << self._index[:_LANE_BITS]),
            write.addr.eq(self._index),
            write.en.eq(self.committed),
            *(rest[name].eq(staged[name]) for name in ENTRY.members if name not in _KEY),
            rest.since.eq(self.now),
            rest.has_ip.eq(staged.table_next_ip.any()),
            rest.has_ip6.eq(ipv6_lanes(staged, "table_next").any()),
        ]
        with m.If(self.committed):
            m.d.sync += self._used.bit_select(self._index, 1).eq(staged.table_action != Action.NONE)
