# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Headers that the NIC writes, onward and back, in Amaranth's simulator: rules F1 to F3."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.formats.wire import HEADER_BYTES
from midwire.hw.nic.outer_headers import FRONT_WORDS
from midwire.hw.nic.prepare import HEADER_WORDS, Preparer

from .made import MadeFrame, set_registers
from .stacks import Stack, ipv4, ipv6, tags


def prepared(made: MadeFrame) -> tuple[bytes, int]:
    """The frame that is made of a job, and the cycles until its headers were offered."""
    component = Preparer()
    payload = made.payload
    found: list[tuple[bytes, int]] = []

    async def bench(ctx: Any) -> None:
        set_registers(ctx, component.config)
        made.offer(ctx, component.i.payload)
        ctx.set(component.i.valid, 1)
        await ctx.tick()
        ctx.set(component.i.valid, 0)
        cycles = 1
        while not ctx.get(component.o.valid):
            await ctx.tick()
            cycles += 1
        # Taken at once, and a word read in each cycle from then on: none may come too late.
        prefix = component.o.payload
        ctx.set(component.o.ready, 1)
        buffer, begin, words = (ctx.get(prefix[name]) for name in ("buffer", "begin", "words"))
        first = {name: ctx.get(prefix.first[name]) for name in ("odd", "fits", "tail", "back")}
        start = ctx.get(prefix.first.bytes).to_bytes(6, "little")
        frame = start if first["odd"] else start[-2:]
        ctx.set(component.buffer, buffer)
        for at in range(begin, FRONT_WORDS + HEADER_WORDS):
            await ctx.tick()
            ctx.set(component.o.ready, 0)
            ctx.set(component.at, at)
            frame += ctx.get(component.word).to_bytes(8, "little")
        assert first["back"] == made.back and words == -(-len(payload) // 8)
        end = len(frame + payload) - 1
        assert first["tail"] == end % 8
        assert first["fits"] == (end // 8 == (end - (len(payload) - 1) % 8) // 8)
        assert ctx.get(component.i.ready)
        found.append((frame + payload, cycles))

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[0]


@pytest.mark.parametrize(("version", "count"), [*product((4, 6), range(3))])
@pytest.mark.parametrize("back", [False, True])
def test_f1(version: int, count: int, back: bool) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    stack = Stack(tags(count, seed), ipv4(8) if version == 4 else ipv6())
    header, payload = source.randbytes(HEADER_BYTES), source.randbytes(source.randrange(1, 90))
    made = MadeFrame(stack, back, header, payload)
    frame, cycles = prepared(made)
    assert cycles == 6
    made.check(frame)
