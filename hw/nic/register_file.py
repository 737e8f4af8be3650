# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register file of :mod:`midwire.hw.formats.csr` on AXI-Lite (rules C1 to C3 there)."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Signal, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import EVENTS, REGISTERS, FrameOutcome
from .bus import CONFIG, OUTCOME, AxiLite

_OKAY, _SLVERR = 0, 2


class RegisterFile(wiring.Component):
    """Registers and counters.

    Parameters
    ----------
    constants : by name, for the constants that depend on the slice

    Members
    -------
    bus : In(AxiLite())
    config : Out(CONFIG)
    status : In(3)
    outcome, outcome_valid : the fate of one frame in this cycle; went : In(1), another passed
    {event} : In(1) for each of csr.EVENTS
    """

    def __init__(self, constants: Mapping[str, int]) -> None:
        self._constants = dict(constants)
        resets = {r.name: r.reset for r in REGISTERS if r.access == "config"}
        super().__init__(
            {
                "bus": In(AxiLite()),
                "config": Out(CONFIG, init=resets),
                "status": In(3),
                "outcome": In(OUTCOME),
                "outcome_valid": In(1),
                "went": In(1),
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
                m.d.sync += bus.bvalid.eq(1)
                m.next = "answer"
            with m.State("answer"), m.If(bus.bready):
                m.d.sync += bus.bvalid.eq(0)
                m.next = "idle"

        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rresp.eq(_SLVERR), bus.rdata.eq(0)]

        mask = Cat(strobe.replicate(8) for strobe in strobes)
        with m.Switch(address):
            for register in (r for r in REGISTERS if r.access == "config"):
                with m.Case(register.offset):
                    held = self.config[register.name]
                    m.d.comb += known.eq(1)
                    with m.If(write):
                        m.d.sync += held.eq(held & ~mask | wanted & mask)

        values = {register.offset: self._value(m, register.name) for register in REGISTERS}
        with m.Switch(bus.araddr):
            for offset, value in values.items():
                with m.Case(offset), m.If(bus.arvalid & bus.arready):
                    m.d.sync += [bus.rresp.eq(_OKAY), bus.rdata.eq(value)]
        return m

    def _value(self, m: Module, name: str) -> ValueLike:
        """What a register reads as; adds the counter if it is one."""
        register = next(r for r in REGISTERS if r.name == name)
        if register.access == "constant":
            return self._constants.get(name, register.reset)
        if register.access == "status":
            return self.status
        if register.access == "config":
            return self.config[name]
        count = Signal(32, name=name)
        if name in EVENTS:
            hits = getattr(self, name)
        else:
            hits = self.outcome_valid & (self.outcome == FrameOutcome[name.upper()])
        if name == FrameOutcome.PASSED.name.lower():
            hits = hits + self.went
        m.d.sync += count.eq(count + hits)
        return count
