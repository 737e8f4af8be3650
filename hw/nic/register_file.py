# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register file of :mod:`midwire.hw.formats.csr` on AXI-Lite (rules C1 to C7 there)."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES, Action
from ..formats.csr import (
    ADDRESS,
    COUNTERS,
    COUNTERS_AT,
    EVENTS,
    HITS,
    HITS_AT,
    REGISTERS,
    WIDTH,
    FrameOutcome,
    Register,
)
from .bus import CONFIG, ENTRY, OUTCOME, AxiLite
from .counters import Counters
from .hits import Hits
from .weights import MODEL, PART_BITS, SWAPPED

_OKAY, _SLVERR = 0, 2
_WEIGHTS = [r.name for r in REGISTERS if r.access == "status" and r.name.startswith("weights_")]
_ENTRY = [register for register in REGISTERS if register.access == "entry"]


class RegisterFile(wiring.Component):
    """Registers and counters.

    Parameters
    ----------
    constants : by name, for the constants that depend on the slice

    Members
    -------
    bus : In(AxiLite())
    config : Out(CONFIG)
    staged : Out(ENTRY), what was written for an entry of the steering table
    commit, committed, hit, place, shown, shows : of :class:`.entries.Entries`
    weights : Out(stream of parts), weights_begin : Out(1), until it is ready; weights_take,
        weights_complete : In(1), whether there may be a part, or a commit; weights_commit : Out(1);
        weights_words, weights_beat_bytes, weights_status : In; swaps : In(1), model : In(MODEL),
        all of :mod:`.weights`
    status : In(3)
    outcome, outcome_valid : the fate of one frame in this cycle
    went : In(2), so many others passed
    {event} : In(1) for each of csr.EVENTS
    """

    def __init__(self, constants: Mapping[str, int]) -> None:
        self._constants = dict(constants)
        resets = {r.name: r.reset for r in REGISTERS if r.access == "config"}
        super().__init__(
            {
                "bus": In(AxiLite()),
                "config": Out(CONFIG, init=resets),
                "staged": Out(ENTRY),
                "commit": Out(1),
                "committed": In(1),
                "hit": In(1),
                "place": In(range(ENTRIES)),
                "shown": In(ENTRY),
                "shows": In(1),
                "weights": Out(stream.Signature(PART_BITS)),
                "weights_begin": Out(1),
                "weights_take": In(1),
                "weights_complete": In(1),
                "weights_commit": Out(1),
                **{name: In(WIDTH[name]) for name in _WEIGHTS},
                "swaps": In(1),
                "model": In(MODEL),
                "status": In(3),
                "outcome": In(OUTCOME),
                "outcome_valid": In(1),
                "went": In(2),
                **{name: In(1) for name in EVENTS},
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        bus = self.bus

        address = Signal.like(bus.awaddr)
        wanted = Signal.like(bus.wdata)
        strobes = Signal.like(bus.wstrb)
        write = Signal()
        known = Signal()
        m.submodules.counters = counters = Counters(len(COUNTERS))
        m.submodules.hits = hits = Hits()
        m.d.comb += [
            hits.hit.eq(self.hit),
            hits.clear.eq(self.committed),
            hits.place.eq(Mux(self.hit, self.place, self.config.table_index)),
            hits.snapshot.eq(counters.takes),
        ]
        with m.FSM(name="write"):
            with m.State("idle"):
                # Address and data are taken together, so neither has to be kept waiting.
                m.d.comb += [
                    bus.awready.eq(bus.awvalid & bus.wvalid),
                    bus.wready.eq(bus.awvalid & bus.wvalid),
                ]
                m.d.sync += [address.eq(bus.awaddr), wanted.eq(bus.wdata), strobes.eq(bus.wstrb)]
                with m.If(bus.awready):
                    m.next = "write"
            with m.State("write"):
                m.d.comb += write.eq(1)
                with m.If(~known):
                    m.d.sync += bus.bresp.eq(_SLVERR)
                with m.Else():
                    m.d.sync += bus.bresp.eq(_OKAY)
                with m.If(address == ADDRESS["snapshot"]):
                    m.d.comb += [known.eq(1), counters.snapshot.eq(1)]
                    m.next = "snapshot"
                with m.Elif((address == ADDRESS["table_commit"]) & self._possible()):
                    m.d.comb += known.eq(1)
                    m.next = "commit"
                with m.Elif((address == ADDRESS["weights_data"]) & self.weights_take):
                    m.d.comb += known.eq(1)
                    m.next = "weights"
                with m.Elif(address == ADDRESS["weights_port"]):
                    m.next = "weights"
                with m.Else():
                    m.d.sync += bus.bvalid.eq(1)
                    m.next = "answer"
                with m.If((address == ADDRESS["weights_commit"]) & self.weights_complete):
                    m.d.comb += [known.eq(1), self.weights_commit.eq(1)]
            with m.State("weights"):
                begins = address == ADDRESS["weights_port"]
                m.d.comb += [self.weights_begin.eq(begins), self.weights.valid.eq(~begins)]
                with m.If(self.weights.ready):
                    m.d.sync += bus.bvalid.eq(1)
                    m.next = "answer"
            with m.State("snapshot"), m.If(counters.taken):
                m.d.sync += bus.bvalid.eq(1)
                m.next = "answer"
            with m.State("commit"):
                m.d.comb += self.commit.eq(hits.ready)
                with m.If(self.committed):
                    m.d.sync += bus.bvalid.eq(1)
                    m.next = "answer"
            with m.State("answer"), m.If(bus.bready):
                m.d.sync += bus.bvalid.eq(0)
                m.next = "idle"

        # A counter's word comes out of the memory in the cycle in which `rvalid` is set.
        is_counter, is_hits, high = Signal(), Signal(), Signal()
        word, value = Signal(32), Signal(32)
        whole = Mux(is_hits, hits.word, counters.word)
        m.d.comb += [
            counters.address.eq((bus.araddr - COUNTERS_AT) >> 3),
            counters.read.eq(bus.arvalid & bus.arready),
            hits.address.eq((bus.araddr - HITS_AT) >> 3),
            hits.read.eq(counters.read),
            word.eq(Mux(high, whole[32:], whole[:32])),
            bus.rdata.eq(Mux(is_counter, word, value)),
        ]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        in_hits = _within(bus.araddr, HITS_AT, len(HITS))
        in_entry = (bus.araddr >= _ENTRY[0].offset) & (bus.araddr <= _ENTRY[-1].offset)
        waits = in_entry & ~self.shows | in_hits & ~hits.ready
        m.d.comb += bus.arready.eq(~bus.rvalid & ~waits)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rresp.eq(_SLVERR), value.eq(0), is_counter.eq(0)]

        mask = Cat(strobe.replicate(8) for strobe in strobes)
        with m.Switch(address):
            for register in (r for r in REGISTERS if r.access in {"config", "entry"}):
                with m.Case(register.offset):
                    held = (self.config if register.access == "config" else self.staged)[
                        register.name
                    ]
                    m.d.comb += known.eq(1)
                    with m.If(write):
                        m.d.sync += held.eq(held & ~mask | wanted & mask)
        m.d.comb += self.weights.payload.eq(wanted & mask)
        with m.If(self.swaps):
            m.d.sync += [self.config[name].eq(self.model[name]) for name in SWAPPED]

        with m.If(bus.arvalid & bus.arready):
            with m.Switch(bus.araddr):
                for register in (r for r in REGISTERS if r.access != "counter"):
                    with m.Case(register.offset):
                        m.d.sync += [bus.rresp.eq(_OKAY), value.eq(self._value(register))]
            in_counters = _within(bus.araddr, COUNTERS_AT, len(COUNTERS))
            m.d.sync += [is_hits.eq(in_hits), high.eq(~bus.araddr[2])]
            with m.If(in_counters | in_hits):
                m.d.sync += [bus.rresp.eq(_OKAY), is_counter.eq(1)]
        for name, raised in zip(COUNTERS, counters.raised, strict=True):
            m.d.comb += raised.eq(self._raised(name))
        return m

    def _value(self, register: Register) -> ValueLike:
        """What a register reads as that is no counter."""
        if register.access == "constant":
            return self._constants.get(register.name, register.reset)
        if register.access == "status":
            value: ValueLike = getattr(self, register.name)
            return value
        if register.access == "entry":
            return self.shown[register.name]
        return self.config[register.name] if register.access == "config" else 0

    def _possible(self) -> Value:
        """Whether there are such an entry and such an action."""
        index, action = self.config.table_index, self.staged.table_action
        return (index < ENTRIES) & (action < len(Action))

    def _raised(self, name: str) -> Value:
        """By how much a counter is raised in this cycle."""
        if name in EVENTS:
            hits: Value = getattr(self, name)
            return hits
        hits = self.outcome_valid & (self.outcome == FrameOutcome[name.upper()])
        return hits + self.went if name == FrameOutcome.PASSED.name.lower() else hits


def _within(address: Value, first: int, count: int) -> Value:
    """Whether it is that of a word of so many counters."""
    return (address >= first) & (address < first + 8 * count) & ~address[:2].any()
