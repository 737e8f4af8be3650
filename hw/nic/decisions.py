# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What was decided on requests that have no slot: rule D6 of :mod:`.decide`."""

from __future__ import annotations

from enum import IntEnum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.slots import DECISIONS, FINGERPRINT_BITS
from .deep_fifo import NEVER_COLLIDES


class Decision(IntEnum):
    """What was decided."""

    NONE = 0
    BUSY = 1
    INCOMPLETE = 2
    EXECUTED = 3
    FORWARDED = 4
    POLICY = 5


class Decisions(wiring.Component):
    """A place for each of the low bits of a fingerprint; the latest decision has it.

    Decisions that are too old are swept out, lest they seem young when time wraps.

    Members
    -------
    now : In(32), microseconds; timeout : In(32), how long a decision counts; 0 is for ever
    look, fingerprint : In, what is looked at, or else the next place that is swept
    found : Out, what was decided, from the fifth cycle after both are there on
    put, put_fingerprint, put_decision : In; it is there two cycles later, and what is looked at or
        swept in these is not used
    swept : In(1), in the fifth cycle in which nothing is looked at, or later: make the next place
        empty if it is too old, but not in the cycle behind ``put``
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "now": In(32),
                "timeout": In(32),
                "look": In(1),
                "fingerprint": In(FINGERPRINT_BITS),
                "found": Out(Decision),
                "put": In(1),
                "put_fingerprint": In(FINGERPRINT_BITS),
                "put_decision": In(Decision),
                "swept": In(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        low = (DECISIONS - 1).bit_length()
        place = data.StructLayout({"rest": FINGERPRINT_BITS - low, "decision": 3, "at": 32})
        m.submodules.places = places = Memory(
            shape=place, depth=DECISIONS, init=[], attrs=NEVER_COLLIDES
        )
        read, write = places.read_port(), places.write_port()
        sweeper = Signal(low)
        kept = Signal(place)
        age, same, expired = Signal(32), Signal(), Signal()
        # Memory is far away: what goes to it comes out of registers.
        at, written = Signal(low), Signal(low)
        writes, new = Signal(), Signal(place)
        m.d.sync += [
            at.eq(Mux(self.look, self.fingerprint[:low], sweeper)),
            kept.eq(read.data),
            age.eq(self.now - kept.at),
            same.eq(kept.rest == self.fingerprint[low:]),
        ]
        m.d.comb += [
            read.addr.eq(at),
            write.addr.eq(written),
            write.data.eq(new),
            write.en.eq(writes),
        ]
        limit, limited = Signal.like(self.timeout), Signal()
        too_old = limited & (age >= limit)
        m.d.sync += [
            limit.eq(self.timeout),
            limited.eq(self.timeout != 0),
            expired.eq(too_old),
            self.found.eq(Mux(same & ~too_old, kept.decision, 0)),
        ]
        puts, fingerprint, decision = Signal(), Signal(FINGERPRINT_BITS), Signal(Decision)
        m.d.sync += [
            puts.eq(self.put),
            fingerprint.eq(self.put_fingerprint),
            decision.eq(self.put_decision),
            writes.eq(puts | (self.swept & expired)),
            written.eq(Mux(puts, fingerprint[:low], sweeper)),
            new.rest.eq(fingerprint[low:]),
            new.decision.eq(Mux(puts, decision, Decision.NONE)),
            new.at.eq(self.now),
        ]
        with m.If(self.swept):
            m.d.sync += sweeper.eq(sweeper + 1)
        return m
