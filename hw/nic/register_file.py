# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register file of :mod:`midwire.hw.formats.csr` on AXI-Lite (rules C1 to C8 there)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.actions import ENTRIES, Action
from ..formats.csr import (
    COUNTERS,
    EVENTS,
    OF_CORE,
    REGISTERS,
    FrameOutcome,
    Register,
)
from .bus import CONFIG, ENTRY, MODEL, OUTCOME, AxiLite
from .counters import Counters
from .hits import APART, Hits
from .register_reads import OKAY, SLVERR, add_reads
from .weights import SWAPPED, TOLD, WEIGHTS

_WRITTEN = [r for r in REGISTERS if r.access in {"config", "model", "entry", "command"}]


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
        self._chosen = Signal(len(self._cores))  # the core that registers are of (C8), if any
        mask = Cat(strobe.replicate(8) for strobe in strobes)
        weights = self._weights(m, wanted & mask)
        m.submodules.counters = counters = Counters(len(COUNTERS))
        m.submodules.hits = hits = Hits()
        # What is counted happens far away, and counts a cycle later; so is the snapshot taken.
        self._told = {
            name: Signal.like(getattr(self, name), name=f"told_{name}")
            for name in (*EVENTS, "went", "hit", "place")
        }
        self._ended = {of: Signal(name=f"ended_{of.name.lower()}") for of in FrameOutcome}
        m.d.sync += [
            *(told.eq(getattr(self, name)) for name, told in self._told.items()),
            *(
                ended.eq(self.outcome_valid & (self.outcome == of))
                for of, ended in self._ended.items()
            ),
        ]
        snapshot = Signal()
        m.d.sync += counters.snapshot.eq(snapshot)
        # A hit may be in the cycle before a commit, none soon behind it.
        cleared = Signal(APART)
        m.d.sync += cleared.eq(Cat(self.committed, cleared))
        m.d.comb += [
            hits.hit.eq(self._told["hit"]),
            hits.clear.eq(cleared[-1]),
            hits.place.eq(Mux(cleared[-1], self.config.table_index, self._told["place"])),
            hits.snapshot.eq(counters.takes),
        ]
        # Which register is written is found in one cycle, and written in the next.
        decodes, known, begins = Signal(), Signal(), Signal()
        its = {register.name: Signal(name=f"is_{register.name}") for register in _WRITTEN}
        m.d.sync += [its[r.name].eq(decodes & (address == r.offset)) for r in _WRITTEN]
        possible, takes, complete = Signal(), Signal(), Signal()
        m.d.sync += [
            possible.eq(self._possible()),
            *(its.eq(self.config.core_index == core) for core, its in enumerate(self._chosen)),
            takes.eq(weights.takes),
            complete.eq(weights.complete),
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
                    m.next = "decode"
            with m.State("decode"):
                m.d.comb += decodes.eq(1)
                m.next = "write"
            with m.State("write"):
                m.d.sync += bus.bresp.eq(Mux(known, OKAY, SLVERR))
                with m.If(its["snapshot"]):
                    m.d.comb += [known.eq(1), snapshot.eq(1)]
                    m.next = "snapshot"
                with m.Elif(its["table_commit"] & possible):
                    m.d.comb += known.eq(1)
                    m.next = "commit"
                with m.Elif(its["weights_data"] & takes):
                    m.d.comb += known.eq(1)
                    m.next = "weights"
                with m.Elif(its["weights_port"] & self._chosen.any()):
                    m.d.sync += begins.eq(1)
                    m.next = "weights"
                with m.Else():
                    m.next = "answer"
                with m.If(its["weights_commit"] & complete):
                    m.d.comb += [known.eq(1), weights.commit.eq(1)]
            with m.State("weights"):
                m.d.comb += [weights.begin.eq(begins), weights.parts.valid.eq(~begins)]
                with m.If(weights.parts.ready):
                    m.d.sync += begins.eq(0)
                    m.next = "answer"
            with m.State("snapshot"), m.If(counters.taken):
                m.next = "answer"
            with m.State("commit"):
                m.d.comb += self.commit.eq(hits.ready & ~cleared.any())
                with m.If(cleared[-1]):
                    m.next = "answer"
            with m.State("answer"):
                m.d.sync += bus.bvalid.eq(~bus.bvalid | ~bus.bready)
                with m.If(bus.bvalid & bus.bready):
                    m.next = "idle"

        for register in _WRITTEN:
            for held, may in self._held(register):
                with m.If(its[register.name] & may):
                    m.d.comb += known.eq(1)
                    m.d.sync += held.eq(held & ~mask | wanted & mask)
        for model, core in zip(self.models, self.weights, strict=True):
            with m.If(core.swaps):
                m.d.sync += [model[name].eq(core.model[name]) for name in SWAPPED]

        readable = [r for r in REGISTERS if r.access != "counter"]
        words = {register.offset: self._value(register) for register in readable}
        add_reads(m, bus, words, self.shows, counters, hits)
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
            with m.If(self._chosen[core]):
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
        found: Value = Const(0)
        for its, value in zip(self._chosen, values, strict=True):
            found = found | Mux(its, value, 0)
        return found

    def _held(self, register: Register) -> list[tuple[Value, Value]]:
        """What a register may be written to, and whether it is what is written now."""
        if register.access == "command":
            return []
        if register.access != "model":
            of = self.config if register.access == "config" else self.staged
            return [(of[register.name], Const(1))]
        return [
            (model[register.name], its)
            for its, model in zip(self._chosen, self.models, strict=True)
        ]

    def _possible(self) -> Value:
        """Whether there are such an entry and such an action."""
        index, action = self.config.table_index, self.staged.table_action
        return (index < ENTRIES) & (action < len(Action))

    def _raised(self, name: str) -> Value:
        """By how much a counter is raised in this cycle."""
        told = self._told
        if name in EVENTS:
            return told[name]
        ended: Value = self._ended[FrameOutcome[name.upper()]]
        return ended + told["went"] if name == FrameOutcome.PASSED.name.lower() else ended
