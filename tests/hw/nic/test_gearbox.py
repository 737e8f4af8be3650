# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The gearbox against slices of bytes, in Amaranth's simulator, with pauses on both sides."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.nic.gearbox import Gearbox


def run(gearbox: Gearbox, beats: list[int], count: int, rng: random.Random | None) -> Any:
    """Beats in, ``count`` beats out as (data, last), and the cycles that it took."""
    out: list[tuple[int, int]] = []
    cycles = 0

    async def source(ctx: Any) -> None:
        for beat in beats:
            while rng is not None and rng.random() < 0.5:
                await ctx.tick()
            ctx.set(gearbox.i.payload, beat)
            ctx.set(gearbox.i.valid, 1)
            await ctx.tick().until(gearbox.i.ready)
            ctx.set(gearbox.i.valid, 0)

    async def sink(ctx: Any) -> None:
        nonlocal cycles
        while len(out) < count:
            ctx.set(gearbox.o.ready, rng is None or rng.random() < 0.5)
            _, _, valid, ready, data, last = await ctx.tick().sample(
                gearbox.o.valid, gearbox.o.ready, gearbox.o.payload.data, gearbox.o.payload.last
            )
            cycles += 1
            assert cycles < 100_000
            if valid and ready:
                out.append((data, last))

    simulator = Simulator(gearbox)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(sink)
    simulator.run()
    return out, cycles


def cut(data: bytes, size: int, filler: random.Random | None) -> list[int]:
    """Beats of a tensor; the last one filled with garbage or zeros."""
    missing = -len(data) % size
    data += filler.randbytes(missing) if filler else bytes(missing)
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize(
    ("i_bytes", "o_bytes"),
    [(1, 8), (8, 1), (3, 8), (8, 3), (8, 8), (12, 8), (8, 12), (5, 7), (64, 8), (8, 64), (1, 1)],
)
def test_gearbox(i_bytes: int, o_bytes: int, pauses: bool) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for size in (1, i_bytes, o_bytes, rng.randint(1, 200)):
        tensors = [rng.randbytes(size) for _ in range(3)]
        beats = [beat for tensor in tensors for beat in cut(tensor, i_bytes, rng)]
        expected = []
        for tensor in tensors:
            words = cut(tensor, o_bytes, None)
            expected += [(word, int(n == len(words) - 1)) for n, word in enumerate(words)]
        gearbox = Gearbox(i_bytes, o_bytes, size)
        out, _ = run(gearbox, beats, len(expected), rng if pauses else None)
        assert out == expected


def test_a_beat_each_cycle() -> None:
    gearbox = Gearbox(8, 8, 800)
    _, cycles = run(gearbox, list(range(100)), 100, None)
    assert cycles <= 102


def test_needs_bytes() -> None:
    with pytest.raises(ValueError, match="a gearbox needs at least 1 byte: 0 to 8 of 16"):
        Gearbox(0, 8, 16)
