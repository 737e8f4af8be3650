# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole frames, in Amaranth's simulator, with pauses on both sides."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.shells.frames import ROOM_BYTES, Whole

from ..nic.conftest import Tools


def run(component: Any, width: int, frames: list[bytes], rng: random.Random, pause: float) -> Any:
    """Frames in, frames out, each with its bad-frame bit and what sizes stood beside it."""
    out: list[tuple[bytes, int, set[int]]] = []

    async def source(ctx: Any) -> None:
        into = _beat(component.i.payload)
        for frame in frames:
            for at in range(0, len(frame), width):
                part = frame[at : at + width]
                while rng.random() < pause:
                    await ctx.tick()
                ctx.set(into.data, int.from_bytes(part, "little"))
                ctx.set(into.keep, (1 << len(part)) - 1)
                last = at + width >= len(frame)
                ctx.set(into.last, last)
                ctx.set(into.bad, last and len(frame) % 3 == 0)
                ctx.set(component.i.valid, 1)
                await ctx.tick().until(component.i.ready)
                ctx.set(component.i.valid, 0)

    async def sink(ctx: Any) -> None:
        data, sizes = b"", set()
        payload = component.o.payload
        beat = _beat(payload)
        size = payload.size if "size" in payload.shape().members else beat.bad
        while len(out) < len(frames):
            ctx.set(component.o.ready, rng.random() >= pause)
            _, _, valid, ready, word, keep, last, bad, told = await ctx.tick().sample(
                component.o.valid,
                component.o.ready,
                beat.data,
                beat.keep,
                beat.last,
                beat.bad,
                size,
            )
            if valid and ready:
                count = keep.bit_count()
                data += word.to_bytes(len(beat.keep), "little")[:count]
                sizes.add(told)
                if last:
                    out.append((data, bad, sizes))
                    data, sizes = b"", set()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(sink)
    simulator.run()
    return out


def _beat(payload: Any) -> Any:
    """The beat of a stream that may have something beside it."""
    return payload.beat if "beat" in payload.shape().members else payload


@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_whole_frames_know_their_size_and_none_is_too_long(pause: float, tools: Tools) -> None:
    """What does not fit is cut off, and the next one is whole."""
    lengths = [60, 64, 65, ROOM_BYTES - 1, ROOM_BYTES, ROOM_BYTES + 1, 2 * ROOM_BYTES + 77, 300]
    frames = [tools.random.randbytes(n) for n in lengths]
    out = run(Whole(64), 64, frames, tools.random, pause)
    for frame, (data, _, sizes) in zip(frames, out, strict=True):
        assert data == frame[:ROOM_BYTES]
        assert sizes == {len(data)}
