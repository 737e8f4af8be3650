# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many frames had each entry of the steering table, in 64 bits, and a snapshot of all of them
(rules C5 and C7 of formats/csr.py).

A count has two words of one memory. The first change behind a snapshot is written to the other one,
so that what the snapshot saw stays where it was: it takes all counts in one cycle, and moves none.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES
from ..formats.csr import COUNTER_BITS


class Hits(wiring.Component):
    """A counter for each place of the steering table.

    Members
    -------
    place : In(range(ENTRIES)); hit : In(1), raise its count; clear : In(1), make it 0. Not both,
        not before ``ready``, and no hit in the two cycles behind another change
    ready : Out(1), all counts were wiped after a reset; none is to be read before
    snapshot : In(1), what reads is as it was before this cycle, from the third one behind it on
    address : In(range(ENTRIES)), of the count that is read; read : In(1); word : Out(64), as it was
        in the last snapshot, from the next cycle on

    Attributes
    ----------
    words : memory; at first, counts are in its first half
    """

    def __init__(self) -> None:
        self.words = Memory(shape=COUNTER_BITS, depth=2 * ENTRIES, init=[])
        super().__init__(
            {
                "place": In(range(ENTRIES)),
                "hit": In(1),
                "clear": In(1),
                "ready": Out(1),
                "snapshot": In(1),
                "address": In(range(ENTRIES)),
                "read": In(1),
                "word": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.words = words = self.words
        old, seen, new = words.read_port(), words.read_port(), words.write_port()
        side = Signal(ENTRIES)  # in which of its words each count is
        fresh = Signal(ENTRIES, init=-1)  # counts that have not changed since the snapshot

        # A word is read in the cycle of a change, and written two cycles later: block memory takes
        # most of one.
        now_fresh, change, moved = Signal(ENTRIES), Signal(), Signal()
        its, at, zero, writes = Signal(), Signal(range(2 * ENTRIES)), Signal(), Signal()
        late = Signal.like(at), Signal(), Signal()
        count = Signal(COUNTER_BITS)
        m.d.comb += [
            now_fresh.eq(fresh | self.snapshot.replicate(ENTRIES)),
            change.eq(self.hit | self.clear),
            its.eq(side.bit_select(self.place, 1)),
            moved.eq(its ^ now_fresh.bit_select(self.place, 1)),
            old.addr.eq(Cat(self.place, its)),
        ]
        m.d.sync += [
            fresh.eq(now_fresh),
            writes.eq(change),
            zero.eq(self.clear),
            at.eq(Cat(self.place, moved)),
            *(of.eq(value) for of, value in zip(late, (at, zero, writes), strict=True)),
            count.eq(old.data),
        ]
        with m.If(change):
            m.d.sync += [
                side.bit_select(self.place, 1).eq(moved),
                fresh.bit_select(self.place, 1).eq(0),
            ]

        # Memories keep what was in them before a reset.
        wiped = Signal(range(2 * ENTRIES + 1))
        m.d.sync += self.ready.eq(wiped == 2 * ENTRIES)
        with m.If(wiped != 2 * ENTRIES):
            m.d.sync += wiped.eq(wiped + 1)
        m.d.comb += [
            new.addr.eq(Mux(self.ready, late[0], wiped)),
            new.data.eq(Mux(self.ready & ~late[1], count + 1, 0)),
            new.en.eq(~self.ready | late[2]),
        ]

        which = side.bit_select(self.address, 1) ^ ~fresh.bit_select(self.address, 1)
        m.d.comb += [
            seen.addr.eq(Cat(self.address, which)),
            seen.en.eq(self.read),
            self.word.eq(seen.data),
        ]
        return m
