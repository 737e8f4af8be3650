# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Hits of entries against sums in Python, in Amaranth's simulator (rules C5 and C7 of csr.py)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from midwire.hw.formats.actions import ENTRIES
from midwire.hw.nic.hits import APART, Hits

CYCLES = 2500


def run(bench: Any, hits: Any) -> None:
    simulator = Simulator(hits)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def read(ctx: Any, hits: Hits) -> list[int]:
    """All counts, as they were at the last snapshot."""
    return [await read_one(ctx, hits, place) for place in range(ENTRIES)]


async def read_one(ctx: Any, hits: Hits, place: int) -> int:
    ctx.set(hits.read, 1)
    ctx.set(hits.address, place)
    while not ctx.get(hits.done):
        await ctx.tick()
    word: int = ctx.get(hits.word)
    await ctx.tick()
    ctx.set(hits.read, 0)
    return word


async def wiped(ctx: Any, hits: Hits) -> None:
    while not ctx.get(hits.ready):
        await ctx.tick()


@pytest.mark.parametrize("places", [1, 3, ENTRIES])
@pytest.mark.parametrize("snapshots", [0.02, 0.5])
def test_c5_c7_a_snapshot_is_of_one_cycle(places: int, snapshots: float) -> None:
    """Hits, clears and snapshots at random, as often as they may be; what reads is of the last
    snapshot, whatever came since and whatever comes while it is read."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    hits = Hits()
    now, seen = [0] * ENTRIES, [0] * ENTRIES

    async def bench(ctx: Any) -> None:
        nonlocal seen
        await wiped(ctx, hits)
        since_change, since_snapshot, asked = APART, 0, 0
        reading = False
        for _ in range(CYCLES):
            since_change, since_snapshot = since_change + 1, since_snapshot + 1
            place, kind = rng.randrange(places), rng.choice(("hit", "hit", "clear", "nothing"))
            if since_change < APART:
                kind = "nothing"
            if kind != "nothing":
                since_change = 0
            if reading and ctx.get(hits.done):
                assert ctx.get(hits.word) == seen[asked]
                reading, since_snapshot = False, min(since_snapshot, 2)
                ctx.set(hits.read, 0)
            elif not reading and since_snapshot > 2:
                reading, asked = True, rng.randrange(places)
                ctx.set(hits.address, asked)
                ctx.set(hits.read, 1)
            snapshot = not reading and rng.random() < snapshots
            if snapshot:
                seen, since_snapshot = list(now), 0
            if kind == "hit":
                now[place] += 1
            if kind == "clear":
                now[place] = 0
            ctx.set(hits.snapshot, snapshot)
            ctx.set(hits.place, place)
            ctx.set(hits.hit, kind == "hit")
            ctx.set(hits.clear, kind == "clear")
            await ctx.tick()
        while reading and not ctx.get(hits.done):
            for name in ("hit", "clear", "snapshot"):
                ctx.set(getattr(hits, name), 0)
            await ctx.tick()
        ctx.set(hits.read, 0)
        for name in ("hit", "clear"):
            ctx.set(getattr(hits, name), 0)
        ctx.set(hits.snapshot, 1)
        await ctx.tick()
        ctx.set(hits.snapshot, 0)
        await ctx.tick().repeat(2)
        assert await read(ctx, hits) == now

    run(bench, hits)


def test_c7_beyond_32_bits_and_round_at_64() -> None:
    hits = Hits()
    starts = {3: (1 << 32) - 1, 15: (1 << 64) - 1, 0: (1 << 40) - 2}

    async def bench(ctx: Any) -> None:
        await wiped(ctx, hits)
        for place, start in starts.items():
            ctx.set(hits.place, place)
            ctx.set(hits.words.data[place], start)
            ctx.set(hits.hit, 1)
            await ctx.tick()
            ctx.set(hits.hit, 0)
            await ctx.tick().repeat(APART - 1)
        ctx.set(hits.snapshot, 1)
        await ctx.tick()
        ctx.set(hits.snapshot, 0)
        await ctx.tick().repeat(2)
        expected = [
            (starts[place] + 1) % (1 << 64) if place in starts else 0 for place in range(16)
        ]
        assert await read(ctx, hits) == expected

    run(bench, hits)


def test_a_reset_wipes_them() -> None:
    hits, reset = Hits(), Signal()

    async def bench(ctx: Any) -> None:
        for _ in range(2):
            await wiped(ctx, hits)
            assert await read(ctx, hits) == [0] * ENTRIES
            for cycle in range(3 * APART * ENTRIES):
                ctx.set(hits.place, cycle // APART % ENTRIES)
                ctx.set(hits.hit, cycle % APART == 0)
                await ctx.tick()
            ctx.set(hits.hit, 0)
            ctx.set(hits.snapshot, 1)
            await ctx.tick()
            ctx.set(hits.snapshot, 0)
            await ctx.tick().repeat(2)
            assert await read(ctx, hits) == [3] * ENTRIES
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(hits.ready)

    run(bench, ResetInserter(reset)(hits))
