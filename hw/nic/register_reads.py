# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads of :mod:`.register_file`: nobody waits for them, so each step has a cycle of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike

from ..formats.csr import COUNTERS, COUNTERS_AT, HITS, HITS_AT, REGISTERS
from .counters import Counters
from .hits import Hits

OKAY, SLVERR = 0, 2
"""Responses of AXI-Lite."""

_ENTRY = [register for register in REGISTERS if register.access == "entry"]
_GROUP = 16  # registers of which one is chosen, among a few in a cycle
_GROUP_BITS = (_GROUP - 1).bit_length()
_FEW = 4
_FEW_BITS = (_FEW - 1).bit_length()


def add_reads(
    m: Module,
    bus: Any,
    words: Mapping[int, ValueLike],
    shows: Value,
    counters: Counters,
    hits: Hits,
) -> None:
    """Answers what is read on ``bus``, one after the other.

    Parameters
    ----------
    words : what reads at an address that is no counter's; those of an entry of the steering table
        only while it ``shows``
    """
    address, value = Signal.like(bus.araddr), Signal(32)
    in_counters, in_hits, in_entry, odd = Signal(), Signal(), Signal(), Signal()
    row = address[2 + _GROUP_BITS :]
    rows = sorted({at >> (2 + _GROUP_BITS) for at in words})
    # Of each group the one that the address may mean, with whether there is one: first of each few.
    found = [Signal(33, name=f"group_{k}") for k in rows]
    is_row = [Signal(name=f"is_group_{k}") for k in rows]
    among, found_one, shown = Signal(33), Signal(33), Signal()
    for group, k in zip(found, rows, strict=True):
        few = [Signal(33, name=f"few_{k}_{j}") for j in range(_GROUP // _FEW)]
        of_it = [_there(words.get(4 * (_GROUP * k + j))) for j in range(_GROUP)]
        for j, one in enumerate(few):
            its = of_it[_FEW * j : _FEW * (j + 1)]
            m.d.sync += one.eq(_chosen(address[2 : 2 + _FEW_BITS], its))
        m.d.sync += group.eq(_chosen(address[2 + _FEW_BITS : 2 + _GROUP_BITS], few))
    for group, is_it in zip(found, is_row, strict=True):
        with m.If(is_it & ~odd):
            m.d.comb += among.eq(group)
    m.d.sync += [
        found_one.eq(among),
        shown.eq(shows),
        in_counters.eq(_within(address, COUNTERS_AT, len(COUNTERS))),
        in_hits.eq(_within(address, HITS_AT, len(HITS))),
        in_entry.eq((address >= _ENTRY[0].offset) & (address <= _ENTRY[-1].offset)),
        odd.eq(address[:2].any()),
        *(its.eq(row == k) for its, k in zip(is_row, rows, strict=True)),
    ]
    m.d.comb += [
        counters.address.eq((address - COUNTERS_AT) >> 3),
        hits.address.eq((address - HITS_AT) >> 3),
        bus.rdata.eq(value),
    ]
    word, done = Mux(in_hits, hits.word, counters.word), Mux(in_hits, hits.done, counters.done)
    with m.FSM(name="read"):
        with m.State("idle"):
            m.d.comb += bus.arready.eq(1)
            m.d.sync += address.eq(bus.araddr)
            with m.If(bus.arvalid):
                m.next = "where"
        with m.State("where"):
            m.next = "what"
        with m.State("what"):
            with m.If(in_counters | in_hits):
                m.next = "count"
            with m.Elif(~in_entry | shown):
                m.next = "which"
        with m.State("which"):
            m.next = "register"
        with m.State("register"):
            m.d.sync += [
                value.eq(found_one[:32]),
                bus.rresp.eq(Mux(found_one[32], OKAY, SLVERR)),
                bus.rvalid.eq(1),
            ]
            m.next = "answer"
        with m.State("count"):
            m.d.comb += [counters.read.eq(in_counters), hits.read.eq(in_hits)]
            m.d.sync += [value.eq(Mux(address[2], word[:32], word[32:])), bus.rresp.eq(OKAY)]
            with m.If(done):
                m.d.sync += bus.rvalid.eq(1)
                m.next = "answer"
        with m.State("answer"), m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
            m.next = "idle"


def _there(value: ValueLike | None) -> Value:
    """32 bits, and whether there is such a register."""
    if value is None:
        return Const(0, 33)
    value = Value.cast(value)
    return Cat(value, Const(0, 32 - len(value)), Const(1, 1))


def _chosen(number: Value, values: Sequence[Value]) -> Value:
    """One of twice as many values for each bit of a number: a tree of multiplexers."""
    for bit in number:
        values = [Mux(bit, *pair[::-1]) for pair in zip(values[::2], values[1::2], strict=True)]
    return values[0]


def _within(address: Value, first: int, count: int) -> Value:
    """Whether it is that of a word of so many counters."""
    return (address >= first) & (address < first + 8 * count) & ~address[:2].any()
