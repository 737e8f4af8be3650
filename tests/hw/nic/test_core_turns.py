# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Jobs of several cores by turns, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.nic.core_turns import CoreTurns

from .conftest import Tools

MOST_WORDS = 6


def run(cores: int, jobs: list[list[int]], rng: random.Random, pause: float) -> list[int]:
    """Jobs of so many words of each core, all waiting from the start; whose were taken, in order.

    Each word says its core, its job and its place; all come out behind their job, in its order.
    """
    dut = CoreTurns(cores)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    taken: list[int] = []
    due: deque[int] = deque()
    waiting = [deque(enumerate(its)) for its in jobs]
    words: list[deque[int]] = [
        deque(core << 20 | job << 8 | at for job, count in enumerate(its) for at in range(count))
        for core, its in enumerate(jobs)
    ]

    async def bench(ctx: Any) -> None:
        left = sum(sum(its) for its in jobs)
        while left:
            takes_job, takes_word = (int(rng.random() >= pause) for _ in range(2))
            ctx.set(dut.job.ready, takes_job)
            ctx.set(dut.words.ready, takes_word)
            for core in range(cores):
                ctx.set(dut.jobs_of[core].valid, int(bool(waiting[core])))
                if waiting[core]:
                    _, count = waiting[core][0]
                    ctx.set(dut.jobs_of[core].payload.bytes, 8 * count - rng.randrange(8))
                ctx.set(dut.words_of[core].valid, int(bool(words[core])))
                ctx.set(dut.words_of[core].payload, words[core][0] if words[core] else 0)
            given = [core for core in range(cores) if ctx.get(dut.jobs_of[core].ready)]
            assert len(given) <= 1 and bool(given) == (
                takes_job and ctx.get(dut.job.valid) == 1 and bool(waiting[given[0]])
            )
            for core in given:
                job, count = waiting[core].popleft()
                taken.append(core)
                due.extend(core << 20 | job << 8 | at for at in range(count))
            if ctx.get(dut.words.valid) and takes_word:
                (core,) = (k for k in range(cores) if ctx.get(dut.words_of[k].ready))
                assert ctx.get(dut.words.payload) == words[core].popleft() == due.popleft()
                left -= 1
            await ctx.tick()

    simulator.add_testbench(bench)
    simulator.run()
    return taken


@pytest.mark.parametrize("cores", [2, 3, 8])
@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_words_come_behind_their_jobs(cores: int, pause: float, tools: Tools) -> None:
    rng = tools.random
    jobs = [[rng.randint(1, MOST_WORDS) for _ in range(rng.randrange(12))] for _ in range(cores)]
    jobs[0] = jobs[0] or [1]
    taken = run(cores, jobs, rng, pause)
    assert [taken.count(core) for core in range(cores)] == [len(its) for its in jobs]


def test_each_has_its_turn(tools: Tools) -> None:
    """Those that wait, round and round, however many jobs one has."""
    assert run(3, [[2] * 6, [1], [3] * 3], tools.random, 0.3) == [0, 1, 2, 0, 2, 0, 2, 0, 0, 0]
