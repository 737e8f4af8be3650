# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register file of :mod:`midwire.hw.formats.csr` on AXI-Lite (rules C1 to C8 there)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES, Action
from ..formats.csr import (
    ADDRESS,
    COUNTERS,
    COUNTERS_AT,
    EVENTS,
    HITS,
    HITS_AT,
    OF_CORE,
    REGISTERS,
    FrameOutcome,
    Register,
)
from .bus import CONFIG, ENTRY, MODEL, OUTCOME, AxiLite
from .counters import Counters
from .hits import Hits
from .weights import SWAPPED, TOLD, WEIGHTS

_OKAY, _SLVERR = 0, 2
_ENTRY = [register for register in REGISTERS if register.access == "entry"]


class RegisterFile(wiring.Component):
    """Registers and counters.

    Parameters
    ----------
    cores : constants by name, for each slice those that depend on it

    Members
    -------
    bus : In(AxiLite())
    config : Out(CONFIG); models : Out(MODEL), one for each core
    staged : Out(ENTRY), what was written for an entry of the steering table
    commit, committed, hit, place, shown, shows : of :class:`.entries.Entries`
    weights : Out(WEIGHTS), one for each core
    status : In(3)
    outcome, outcome_valid : the fate of one frame in this cycle
    went : In(2), so many others passed
    {event} : In(1) for each of csr.EVENTS
    """

    def __init__(self, cores: Sequence[Mapping[str, int]]) -> None:
        self._cores = [dict(constants) for constants in cores]
        resets, model = (
            {r.name: r.reset for r in REGISTERS if r.access == access}
            for access in ("config", "model")
        )
        super().__init__(
            {
                "bus": In(AxiLite()),
                "config": Out(CONFIG, init=resets),
                "models": Out(MODEL, init=model).array(len(cores)),
                "staged": Out(ENTRY),
                "commit": Out(1),
                "committed": In(1),
                "hit": In(1),
                "place": In(range(ENTRIES)),
                "shown": In(ENTRY),
                "shows": In(1),
                "weights": Out(WEIGHTS).array(len(cores)),
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
        mask = Cat(strobe.replicate(8) for strobe in strobes)
        weights = self._weights(m, wanted & mask)
        m.submodules.counters = counters = Counters(len(COUNTERS))
        m.submodules.hits = hits = Hits()
        # What is counted happens far away, and counts a cycle later; so is the snapshot taken.
        self._told = {
            name: Signal.like(getattr(self, name), name=f"told_{name}")
            for name in (*EVENTS, "outcome", "outcome_valid", "went")
        }
        m.d.sync += [told.eq(getattr(self, name)) for name, told in self._told.items()]
        snapshot = Signal()
        m.d.sync += counters.snapshot.eq(snapshot)
        m.d.sync += [
            hits.hit.eq(self.hit),
            hits.clear.eq(self.committed),
            hits.place.eq(Mux(self.hit, self.place, self.config.table_index)),
        ]
        m.d.comb += hits.snapshot.eq(counters.takes)
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
                    m.d.comb += [known.eq(1), snapshot.eq(1)]
                    m.next = "snapshot"
                with m.Elif((address == ADDRESS["table_commit"]) & self._possible()):
                    m.d.comb += known.eq(1)
                    m.next = "commit"
                with m.Elif((address == ADDRESS["weights_data"]) & weights.takes):
                    m.d.comb += known.eq(1)
                    m.next = "weights"
                with m.Elif((address == ADDRESS["weights_port"]) & self._there()):
                    m.next = "weights"
                with m.Else():
                    m.d.sync += bus.bvalid.eq(1)
                    m.next = "answer"
                with m.If((address == ADDRESS["weights_commit"]) & weights.complete):
                    m.d.comb += [known.eq(1), weights.commit.eq(1)]
            with m.State("weights"):
                begins = address == ADDRESS["weights_port"]
                m.d.comb += [weights.begin.eq(begins), weights.parts.valid.eq(~begins)]
                with m.If(weights.parts.ready):
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

        with m.Switch(address):
            for register in (r for r in REGISTERS if r.access in {"config", "model", "entry"}):
                with m.Case(register.offset):
                    for held, there in self._held(register):
                        with m.If(there):
                            m.d.comb += known.eq(1)
                        with m.If(write & there):
                            m.d.sync += held.eq(held & ~mask | wanted & mask)
        for model, its in zip(self.models, self.weights, strict=True):
            with m.If(its.swaps):
                m.d.sync += [model[name].eq(its.model[name]) for name in SWAPPED]

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
        name, count = register.name, len(self._cores)
        if name in OF_CORE:
            return self._of_core([Const(core[name], register.width) for core in self._cores])
        if register.access == "model":
            return self._of_core([model[name] for model in self.models])
        if register.access == "constant":
            return count if name == "cores" else register.reset
        if name in TOLD:
            return self._of_core([getattr(each, name) for each in self.weights])
        if register.access == "status":
            return self.status
        if register.access == "entry":
            return self.shown[register.name]
        return self.config[register.name] if register.access == "config" else 0

    def _weights(self, m: Module, written: Value) -> Any:
        """That of the core that is chosen, if there is such a one; ``written`` is what is written
        in this access.
        """
        chosen: Any = WEIGHTS.create(path=("weights",))
        m.d.comb += chosen.parts.payload.eq(written)
        for core, its in enumerate(self.weights):
            m.d.comb += its.parts.payload.eq(written)
            with m.If(self.config.core_index == core):
                m.d.comb += [
                    its.parts.valid.eq(chosen.parts.valid),
                    its.begin.eq(chosen.begin),
                    its.commit.eq(chosen.commit),
                    chosen.parts.ready.eq(its.parts.ready),
                    chosen.takes.eq(its.takes),
                    chosen.complete.eq(its.complete),
                ]
        return chosen

    def _of_core(self, values: Sequence[Value]) -> Value:
        """One of a value for each core (C8)."""
        return Mux(self._there(), Array(values)[self.config.core_index], 0)

    def _there(self) -> Value:
        """Whether there is the core that registers are of."""
        found: Value = self.config.core_index < len(self._cores)
        return found

    def _held(self, register: Register) -> list[tuple[Value, Value]]:
        """What a register may be written to, and whether it is what is written now."""
        if register.access != "model":
            of = self.config if register.access == "config" else self.staged
            return [(of[register.name], Const(1))]
        index = self.config.core_index
        return [(model[register.name], index == k) for k, model in enumerate(self.models)]

    def _possible(self) -> Value:
        """Whether there are such an entry and such an action."""
        index, action = self.config.table_index, self.staged.table_action
        return (index < ENTRIES) & (action < len(Action))

    def _raised(self, name: str) -> Value:
        """By how much a counter is raised in this cycle."""
        told = self._told
        if name in EVENTS:
            return told[name]
        hits = told["outcome_valid"] & (told["outcome"] == FrameOutcome[name.upper()])
        return hits + told["went"] if name == FrameOutcome.PASSED.name.lower() else hits


def _within(address: Value, first: int, count: int) -> Value:
    """Whether it is that of a word of so many counters."""
    return (address >= first) & (address < first + 8 * count) & ~address[:2].any()
