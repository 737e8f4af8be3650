# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""FIFOs with early outputs against the plain one of the same depth: the same in every cycle."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from midwire.hw.datapath.stream import Fifo
from midwire.hw.nic.deep_fifo import NEAR, DeepFifo, QuickFifo, WideFifo

CYCLES = 4000


@pytest.mark.parametrize("depth", [1, 2, 3, 8, NEAR + 1, 40, 64])
def test_as_the_plain_one(depth: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    m = Module()
    quick = QuickFifo(16, depth) if 1 < depth < NEAR else DeepFifo(16, max(depth, NEAR + 1))
    m.submodules.deep = deep = WideFifo(16) if depth == 1 else quick
    m.submodules.plain = plain = Fifo(16, depth)
    payload, valid, ready = Signal(16), Signal(), Signal()
    for fifo in (deep, plain):
        m.d.comb += [
            fifo.i.payload.eq(payload),
            fifo.i.valid.eq(valid),
            fifo.o.ready.eq(ready),
        ]
    levels = set()

    async def drive(ctx: Any) -> None:
        often = (0.5, 0.5)
        for cycle in range(CYCLES):
            if cycle % 97 == 0:  # it fills, empties, and moves in every cycle
                often = (rng.choice((0.1, 0.5, 1)), rng.choice((0.1, 0.5, 1)))
            ctx.set(payload, rng.getrandbits(16))
            ctx.set(valid, rng.random() < often[0])
            ctx.set(ready, rng.random() < often[1])
            assert ctx.get(deep.i.ready) == ctx.get(plain.i.ready), cycle
            assert ctx.get(deep.o.valid) == ctx.get(plain.o.valid), cycle
            assert ctx.get(deep.level) == ctx.get(plain.level), cycle
            levels.add(ctx.get(plain.level))
            if ctx.get(plain.o.valid):
                assert ctx.get(deep.o.payload) == ctx.get(plain.o.payload), cycle
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert {0, depth} <= levels


def test_is_deep() -> None:
    with pytest.raises(ValueError, match="more than 16, not 16"):
        DeepFifo(8, NEAR)
    with pytest.raises(ValueError, match="at least 2, not 1"):
        QuickFifo(8, 1)
