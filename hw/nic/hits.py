# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many frames had each entry of the steering table, in 64 bits, and a snapshot of all of them
(rules C5 and C7 of formats/csr.py).

A count has two words of one memory. The first change behind a snapshot is written to the other one,
so that what the snapshot saw stays where it was: it takes all counts in one cycle, and moves none.
"""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES
from ..formats.csr import COUNTER_BITS
from .deep_fifo import NEVER_COLLIDES

APART = 3
"""Cycles from a change to the next one, at least."""

_ROW = 16  # counts that one of the first multiplexers chooses from
_ROW_BITS = (_ROW - 1).bit_length()


class Hits(wiring.Component):
    """A counter for each place of the steering table.

    Members
    -------
    place : In(range(ENTRIES)); hit : In(1), raise its count; clear : In(1), make it 0. Not both,
        not before ``ready``, and ``APART``
    ready : Out(1), all counts were wiped after a reset
    snapshot : In(1), what reads is as it was before this cycle
    read : In(1), until ``done`` : Out(1), not in the two cycles behind a snapshot; address :
        In(range(ENTRIES)), of the count; word : Out(64), in the cycle of ``done``, as it was in the
        last snapshot

    Attributes
    ----------
    words : memory; at first, counts are in its first half
    """

    def __init__(self) -> None:
        self.words = Memory(
            shape=COUNTER_BITS, depth=2 * ENTRIES, init=[], attrs=dict(NEVER_COLLIDES)
        )
        super().__init__(
            {
                "place": In(range(ENTRIES)),
                "hit": In(1),
                "clear": In(1),
                "ready": Out(1),
                "snapshot": In(1),
                "address": In(range(ENTRIES)),
                "read": In(1),
                "done": Out(1),
                "word": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.words = words = self.words
        # In which of its words each count is. Where that is after a reset does not matter.
        m.submodules.sides = sides = Memory(
            shape=1, depth=ENTRIES, init=[], attrs=dict(NEVER_COLLIDES)
        )
        old, new = words.read_port(), words.write_port()
        side, new_side = sides.read_port(), sides.write_port()
        fresh = Signal(ENTRIES, init=-1)  # counts that have not changed since the snapshot

        # A change, or a read, goes through five steps: where its word is takes two, the memory and
        # the way from it a cycle each, and then it is written or read.
        change, zero, reads = Signal(5), Signal(4), Signal(5)
        places = [Signal(range(ENTRIES), name=f"place_{step}") for step in range(3)]
        snapshot, changes = Signal(), Signal()
        m.d.comb += changes.eq(self.hit | self.clear)
        begins = self.read & self.ready & ~changes & ~change[:3].any() & ~reads.any()
        m.d.sync += [
            change.eq(Cat(changes, change)),
            zero.eq(Cat(self.clear, zero)),
            reads.eq(Cat(begins, reads)),
            snapshot.eq(self.snapshot),
            places[0].eq(Mux(changes, self.place, self.address)),
            *(after.eq(before) for before, after in pairwise(places)),
        ]

        # First, those of all rows; then that of one.
        of_rows, its, is_fresh = Signal(ENTRIES // _ROW), Signal(), Signal()
        row, column = Signal(ENTRIES // _ROW), Signal(_ROW)
        m.d.sync += [
            *(
                of_rows[k].eq(
                    fresh.word_select(k, _ROW).bit_select(places[0][:_ROW_BITS], 1) | snapshot
                )
                for k in range(ENTRIES // _ROW)
            ),
            its.eq(side.data),
            is_fresh.eq(of_rows.bit_select(places[1][_ROW_BITS:], 1)),
        ]
        # It is not fresh from then on, unless a snapshot was taken on the way.
        for k in range(ENTRIES // _ROW):
            m.d.sync += row[k].eq(change[1] & ~snapshot & (places[1][_ROW_BITS:] == k))
        for k in range(_ROW):
            m.d.sync += column[k].eq(places[1][:_ROW_BITS] == k)
        goes = Cat(row[k // _ROW] & column[k % _ROW] for k in range(ENTRIES))
        m.d.sync += fresh.eq(snapshot.replicate(ENTRIES) | (fresh & ~goes))
        moved = its ^ is_fresh
        m.d.comb += [
            side.addr.eq(places[0]),
            new_side.addr.eq(places[2]),
            new_side.data.eq(moved),
            new_side.en.eq(change[2]),
            # What the snapshot saw is read: in the other word of what has changed since.
            old.addr.eq(Cat(places[2], its ^ (reads[2] & ~is_fresh))),
        ]

        # A count that is cleared is raised from -1 to 0.
        count = Signal(COUNTER_BITS, reset_less=True)
        at = [Signal(range(2 * ENTRIES), name=f"at_{step}") for step in range(2)]
        m.d.sync += [at[0].eq(Cat(places[2], moved)), at[1].eq(at[0]), count.eq(old.data)]
        with m.If(~self.ready | zero[3]):
            m.d.sync += count.eq(-1)
        m.d.comb += [self.word.eq(count), self.done.eq(reads[4])]

        # Memories keep what was in them before a reset.
        wiped = Signal(range(2 * ENTRIES + 1))
        m.d.sync += self.ready.eq(wiped == 2 * ENTRIES)
        with m.If(wiped != 2 * ENTRIES):
            m.d.sync += wiped.eq(wiped + 1)
        m.d.comb += [
            new.addr.eq(Mux(self.ready, at[1], wiped)),
            new.data.eq(count + 1),
            new.en.eq(~self.ready | change[4]),
        ]
        return m
