# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""64-bit counters in memory, and a snapshot of all of them (rule C5 of formats/csr.py).

What is counted is added up in a few flip-flops for each counter. Pass after pass, these are taken
over all at once, and then added to the totals one after the other. So after each pass the totals
are those of one cycle; a snapshot is a pass that writes a second memory, too.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.csr import COUNTER_BITS
from .deep_fifo import NEVER_COLLIDES

MOST_AT_ONCE = 3
"""That one counter may be raised by in a cycle."""


class Counters(wiring.Component):
    """Counters, each raised by 0 to ``MOST_AT_ONCE`` in each cycle.

    Parameters
    ----------
    count : how many, at least 2

    Members
    -------
    raised : In(2), ``count`` of them
    snapshot : In(1), for one cycle, not again before ``taken``
    takes : Out(1), for one cycle: the snapshot has what was raised before it
    taken : Out(1), for one cycle: the snapshot has what was raised up to the cycle of ``snapshot``,
        and perhaps some cycles behind it
    read : In(1), until ``done`` : Out(1), not between ``snapshot`` and ``taken``; address :
        In(range(count)), of the counter; word : Out(64), in the cycle of ``done``, as it was in the
        last snapshot

    Attributes
    ----------
    totals : memory of what was counted up to the last pass
    """

    def __init__(self, count: int) -> None:
        if count < 2:
            raise ValueError(f"there must be at least 2 counters, not {count!r}")
        self._count = count
        self.totals = Memory(shape=COUNTER_BITS, depth=count, init=[], attrs=dict(NEVER_COLLIDES))
        super().__init__(
            {
                "raised": In(2).array(count),
                "snapshot": In(1),
                "takes": Out(1),
                "taken": Out(1),
                "address": In(range(count)),
                "read": In(1),
                "done": Out(1),
                "word": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.totals = totals = self.totals
        m.submodules.seen = seen = Memory(
            shape=COUNTER_BITS, depth=self._count, init=[], attrs=dict(NEVER_COLLIDES)
        )
        old, new = totals.read_port(), totals.write_port()
        copy, reader = seen.write_port(), seen.read_port()
        cleared = Signal()  # after the first pass: memories keep what was in them before a reset
        asked = Signal(2)
        m.d.comb += [reader.addr.eq(self.address), self.done.eq(asked[1])]
        m.d.sync += [
            self.word.eq(reader.data),
            asked.eq(Cat(self.read & cleared & ~asked[1], asked[0] & ~asked[1])),
        ]

        # A pass takes as many cycles as there are counters, and three: so much may be raised in it.
        bits = ((self._count + 3) * MOST_AT_ONCE).bit_length()
        deltas = [Signal(bits, name=f"delta_{k}") for k in range(self._count)]
        held = Signal(bits * (self._count + 2))  # shifts by a counter in each cycle
        starts = Signal(init=1)  # the first cycle of a pass
        for delta, raised in zip(deltas, self.raised, strict=True):
            m.d.sync += delta.eq(Mux(starts, 0, delta) + raised)
        # Behind two that are not: so late is the total.
        m.d.sync += held.eq(Mux(starts, Cat(Const(0, 2 * bits), *deltas), held >> bits))

        # Of the total that is read; the one two before is added to, and written a cycle later. That
        # the last one is added to is known a cycle before, and a pass begins behind it.
        at, written_at = Signal(range(self._count + 2)), Signal(range(self._count))
        wanted, copies = Signal(), Signal()
        before, total = Signal(COUNTER_BITS), Signal(COUNTER_BITS)
        adding, ends, writes, also_seen = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            at.eq(Mux(starts, 0, at + 1)),
            adding.eq((at == 1) | (adding & ~ends)),
            ends.eq(at == self._count),
            starts.eq(ends),
            before.eq(old.data),
            total.eq((before & cleared.replicate(COUNTER_BITS)) + held[:bits]),
            written_at.eq(at - 2),
            writes.eq(adding),
            also_seen.eq(adding & (copies | ~cleared)),
            cleared.eq(cleared | ends),
            self.taken.eq(ends & copies),
        ]
        m.d.comb += [
            old.addr.eq(at),
            new.addr.eq(written_at),
            new.data.eq(total),
            new.en.eq(writes),
            copy.addr.eq(written_at),
            copy.data.eq(total),
            copy.en.eq(also_seen),
            self.takes.eq(starts & wanted),
        ]
        with m.If(starts):
            m.d.sync += [copies.eq(wanted), wanted.eq(0)]
        with m.If(self.snapshot):
            m.d.sync += wanted.eq(1)
        return m
