# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Counters against sums in Python, in Amaranth's simulator (rule C5 of formats/csr.py)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from midwire.hw.nic.counters import MOST_AT_ONCE, Counters

CYCLES = 1500


class Bench:
    """Counters that are raised at random from the first cycle on, and their history."""

    def __init__(self, count: int, share: float) -> None:
        self.seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {self.seed}")
        rng = np.random.default_rng(self.seed)
        hit = rng.random((CYCLES, count)) < share
        self.raised = hit * rng.integers(1, MOST_AT_ONCE, (CYCLES, count), endpoint=True)
        self.before = np.vstack([np.zeros(count, int), np.cumsum(self.raised, axis=0)])
        """Row ``t``: what was raised before cycle ``t``."""
        self.counters = Counters(count)
        self.cycle = 0
        self.seen: list[tuple[int, int, list[int]]] = []

    async def raise_them(self, ctx: Any) -> None:
        for row in self.raised.tolist():
            for port, value in zip(self.counters.raised, row, strict=True):
                ctx.set(port, value)
            await ctx.tick()
            self.cycle += 1

    async def take(self, ctx: Any) -> None:
        """One snapshot, read whole."""
        asked = self.cycle
        ctx.set(self.counters.snapshot, 1)
        await ctx.tick()
        ctx.set(self.counters.snapshot, 0)
        await ctx.tick().until(self.counters.taken)
        answered = self.cycle
        words = []
        for address in range(len(self.counters.raised)):
            words.append(await self.read(ctx, address))
        self.seen.append((asked, answered, words))

    async def read(self, ctx: Any, address: int) -> int:
        ctx.set(self.counters.address, address)
        ctx.set(self.counters.read, 1)
        while not ctx.get(self.counters.done):
            await ctx.tick()
        word: int = ctx.get(self.counters.word)
        await ctx.tick()
        ctx.set(self.counters.read, 0)
        return word

    def run(self, watch: Any) -> None:
        simulator = Simulator(self.counters)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self.raise_them)
        simulator.add_testbench(watch, background=True)
        simulator.run()


@pytest.mark.parametrize(("count", "share"), [(2, 1.0), (5, 0.3), (31, 1.0), (31, 0.02)])
def test_c5_a_snapshot_is_of_one_cycle(count: int, share: float) -> None:
    bench = Bench(count, share)

    async def watch(ctx: Any) -> None:
        pauses = random.Random(bench.seed)
        while bench.cycle < CYCLES - 10 * count:
            for _ in range(pauses.randrange(3 * count)):
                await ctx.tick()
            await bench.take(ctx)

    bench.run(watch)
    assert len(bench.seen) > 5
    for asked, answered, words in bench.seen:
        assert answered - asked <= 2 * (count + 3) + 3
        assert words in bench.before[asked : answered + 1].tolist(), (asked, answered, words)


def test_c5_what_was_not_taken_is_not_seen() -> None:
    bench = Bench(5, 1.0)

    async def watch(ctx: Any) -> None:
        await bench.take(ctx)
        first = bench.seen[0][2]
        for _ in range(100):
            await ctx.tick()
        assert await bench.read(ctx, 3) == first[3]

    bench.run(watch)
    assert len(bench.seen) == 1


def test_c5_beyond_32_bits() -> None:
    bench = Bench(4, 0.5)
    start = [(1 << 32) - 3, (1 << 40) - 1, (1 << 64) - 5, 0]

    async def watch(ctx: Any) -> None:
        await bench.take(ctx)  # they are cleared in the first pass
        ctx.set(bench.counters.snapshot, 1)
        await ctx.tick()
        ctx.set(bench.counters.snapshot, 0)
        await ctx.tick().until(bench.counters.takes)
        # The cycle behind the first one of a pass: no total is on its way.
        for row, value in enumerate(start):
            ctx.set(bench.counters.totals.data[row], value)
        set_at = bench.cycle
        for _ in range(40):
            await ctx.tick()
        await bench.take(ctx)
        asked, answered, words = bench.seen[1]
        raised = [(word - at) % (1 << 64) for word, at in zip(words, start, strict=True)]
        assert all(0 < count <= MOST_AT_ONCE * (answered - set_at + 8) for count in raised)
        assert asked > set_at

    bench.run(watch)
    assert len(bench.seen) == 2


def test_a_counter_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="there must be at least 2 counters, not 1"):
        Counters(1)
