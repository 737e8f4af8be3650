# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule A4: by Yosys's SAT solver, the core is given what rule A1 calls ours, whatever comes; and by
a model in Python, little else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from midwire.hw.formats.headers import HEADERS_WITHIN
from midwire.hw.nic.bus import CONFIG
from midwire.hw.nic.wide.claim import HEAD_BYTES, may_be_ours

from ..reading import Address
from ..reading import may_be_ours as may_be
from ..stacks import NEXT_IP6, OWN_IP, OWN_IP6, OWN_PORT, mutated, stacks, strange
from ..test_proof import prove, to_us

OURS = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)


class Claim(wiring.Component):
    """Any head of any size, and any configuration."""

    def __init__(self) -> None:
        super().__init__(
            {
                "head": In(8 * HEADERS_WITHIN),
                "size": In(range(HEADERS_WITHIN + 1)),
                "config": In(CONFIG),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        ours = to_us(m, self.head, self.size, self.config)
        claimed = may_be_ours(self.head[: 8 * HEAD_BYTES], self.config)
        broken = Signal()
        m.d.sync += broken.eq(ours & ~claimed)
        m.d.comb += Assert(~broken)
        return m


def test_a4_what_is_ours_may_be_ours(tmp_path: Path) -> None:
    done = prove(tmp_path, Claim(), 2)
    assert done.returncode == 0, done.stdout + done.stderr


class Judge(wiring.Component):
    """The claim alone."""

    def __init__(self) -> None:
        super().__init__({"head": In(8 * HEAD_BYTES), "config": In(CONFIG), "claimed": Out(1)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.d.comb += self.claimed.eq(may_be_ours(self.head, self.config))
        return m


def test_a4_and_no_more_than_that(tools: Any) -> None:
    """By the model in Python, on frames of every kind with some bytes changed."""
    datagram = tools.random.randbytes(100)
    frames = [stack.frame(datagram) for stack in stacks()]
    frames += [stack.frame(datagram, dport=OWN_PORT + 1) for stack in stacks()]
    frames += [mutated(frame, tools.random) for frame in frames for _ in range(12)]
    frames = [frame for frame in [*frames, *strange(datagram).values()] if len(frame) >= HEAD_BYTES]
    found: list[bool] = []

    async def ask(ctx: Any) -> None:
        for name in ("own_ip", "own_port"):
            ctx.set(judge.config[name], getattr(OURS, name.removeprefix("own_")))
        for name, value in (("own_ip6", OURS.ip6), ("next_ip6", OURS.next_ip6)):
            for part in range(4):
                ctx.set(judge.config[f"{name}_{part}"], value >> 96 - 32 * part & 0xFFFF_FFFF)
        ctx.set(judge.config.control, 1)
        for frame in frames:
            ctx.set(judge.head, int.from_bytes(frame[:HEAD_BYTES], "little"))
            found.append(bool(ctx.get(judge.claimed)))
        ctx.set(judge.config.control, 0)
        assert not ctx.get(judge.claimed)

    judge = Judge()
    simulator = Simulator(judge)
    simulator.add_testbench(ask)
    simulator.run()
    wanted = [may_be(frame, OURS) for frame in frames]
    assert found == wanted
    assert 100 < sum(found) < len(found) - 100
