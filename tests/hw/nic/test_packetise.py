# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames of jobs of several sources, one behind the other, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.formats.wire import HEADER_BYTES
from midwire.hw.nic.packetise import Packetiser

from .made import MadeFrame, lanes, set_registers
from .stacks import Stack, ipv4, ipv6, tags

SOURCES = 3


def some_frame(rng: random.Random) -> MadeFrame:
    stack = Stack(tags(rng.randrange(3), rng.getrandbits(32)), rng.choice((ipv4(8), ipv6())))
    payload = rng.randbytes(rng.choice((0, rng.randrange(1, 40), rng.randrange(1, 300))))
    return MadeFrame(stack, rng.random() < 0.5, rng.randbytes(HEADER_BYTES), payload)


def run(
    jobs: list[list[MadeFrame]], rng: random.Random, pause: float
) -> tuple[list[MadeFrame], list[bytes], list[int]]:
    """Jobs as they were taken, frames as they left, and the cycle of each one's first beat."""
    dut = Packetiser(SOURCES)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    waiting = [deque(its) for its in jobs]
    words = [
        deque(frame.payload[at : at + 8] for frame in its for at in range(0, len(frame.payload), 8))
        for its in jobs
    ]
    taken: list[MadeFrame] = []
    frames: list[bytes] = []
    starts: list[int] = []

    async def bench(ctx: Any) -> None:
        set_registers(ctx, dut.config)
        left, now, cycle, offered = sum(map(len, jobs)), b"", 0, None
        shows: list[MadeFrame | None] = [None] * SOURCES
        while left:
            for source in range(SOURCES):
                job, word = dut.jobs[source], dut.words[source]
                ctx.set(job.valid, int(bool(waiting[source])))
                if waiting[source] and waiting[source][0] is not shows[source]:
                    shows[source] = waiting[source][0]
                    waiting[source][0].offer(ctx, job.payload)
                comes = bool(words[source]) and rng.random() >= pause
                # What is offered stays.
                ctx.set(word.valid, int(bool(words[source]) and (comes or ctx.get(word.valid))))
                ctx.set(word.payload, lanes(words[source][0]) if words[source] else 0)
            ctx.set(dut.o.ready, int(rng.random() >= pause))
            beat = dut.o.payload.beat
            if ctx.get(dut.o.valid):
                shown = ctx.get(dut.o.payload.as_value())
                assert offered in (None, shown), "what is offered changes"
                offered = shown
                if ctx.get(dut.o.ready):
                    offered = None
                    keep, last = ctx.get(beat.keep), ctx.get(beat.last)
                    assert keep and not keep & keep + 1 and (last or keep == 0xFF)
                    if not now:
                        starts.append(cycle)
                    now += ctx.get(beat.data).to_bytes(8, "little")[: keep.bit_length()]
                    if last:
                        assert ctx.get(dut.o.payload.back) == taken[len(frames)].back
                        frames.append(now)
                        now, left = b"", left - 1
            else:
                assert offered is None
            for source in range(SOURCES):
                if ctx.get(dut.jobs[source].valid) and ctx.get(dut.jobs[source].ready):
                    taken.append(waiting[source].popleft())
                if ctx.get(dut.words[source].valid) and ctx.get(dut.words[source].ready):
                    words[source].popleft()
            await ctx.tick()
            cycle += 1
        assert not ctx.get(dut.busy)

    simulator.add_testbench(bench)
    simulator.run()
    return taken, frames, starts


@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_each_job_makes_its_frame(tools: Any, pause: float) -> None:
    jobs = [[some_frame(tools.random) for _ in range(8)] for _ in range(SOURCES)]
    taken, frames, _ = run(jobs, tools.random, pause)
    for made, frame in zip(taken, frames, strict=True):
        made.check(frame)
    # The first source's go first.
    assert taken == [frame for its in jobs for frame in its]


def test_there_is_one_cycle_between_two_frames(tools: Any) -> None:
    made = MadeFrame(Stack((), ipv4(8)), False, bytes(HEADER_BYTES), bytes(48))
    _, frames, starts = run([[made] * 6, [], []], tools.random, 0.0)
    beats = -(-len(frames[0]) // 8)
    assert [after - before for before, after in pairwise(starts)] == [beats + 1] * 5
