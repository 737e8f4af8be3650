# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""T11: a recurrent component, against a plain model that follows every cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.timing.components import Edge, Schedule
from midwire.hw.timing.recurrent import recurrent
from midwire.hw.timing.times import Blocked

INFERENCES = 4


def plain(
    schedule: Schedule,
    name: str,
    i: Edge,
    o: Edge,
    *,
    steps: int,
    sequences: int,
    halves: int,
    passes: int,
    parallel: int,
    depth: int,
    drain: int,
    latency: int,
    outlet: int,
) -> None:
    width = i.beats // (sequences * steps)
    quiet = steps - o.beats // (sequences * passes * parallel)
    freed = schedule.times()

    def writer(inferences: int) -> Blocked:
        at = -1
        for row in range(inferences * sequences * steps):
            if row >= 2:
                while len(freed) <= row - 2:
                    yield freed
                at = max(at, freed[row - 2] - 1)
            for n in range(row * width, (row + 1) * width):
                while len(i.offer) <= n:
                    yield i.offer
                at = max(at + 1, i.offer[n])
                i.take.append(at)

    def reader(inferences: int) -> Blocked:
        at, taken = -1, 0
        for row in range(inferences * sequences * steps):
            while len(i.take) < (row + 1) * width:
                yield i.take
            at = max(at + (drain if row else 0), i.take[(row + 1) * width - 1])
            for place in range(halves * passes * depth):
                at += 1 + (drain if place and place % (passes * depth) == 0 else 0)
                leaves = row % steps >= quiet and place >= (halves - 1) * passes * depth
                if place % depth < parallel and leaves:
                    if taken >= outlet:
                        while len(o.take) <= taken - outlet:
                            yield o.take
                        at = max(at, o.take[taken - outlet] + 1)
                    taken += 1
                if place % depth == depth - 1 and leaves:
                    o.offer.extend(at + latency + 1 + k for k in range(parallel))
            freed.append(at + 1)

    schedule.add(f"{name} (writer)", writer, i.take)
    schedule.add(f"{name} (reader)", reader, o.offer, freed)


def build(schedule: Schedule, seed: int, component: Any) -> None:
    """A component of random shape, its source and its sink slower or faster than it."""
    rng = np.random.default_rng([83, seed])
    steps, passes, parallel, width = (int(n) for n in rng.integers(1, 5, 4))
    sequences = 1 + seed // 4 % 3
    each, slow_in, slow_out = passes * parallel, *(int(n) for n in rng.integers(1, 5, 2))
    rows = sequences * steps
    results = each * (sequences if seed % 3 == 0 else rows)
    source = schedule.source("source", rows * width * slow_in)
    i, o = schedule.edge("i", rows * width), schedule.edge("o", results)
    schedule.widen(source, i)
    component(
        schedule,
        "dut",
        i,
        o,
        steps=steps,
        sequences=sequences,
        halves=1 + seed % 2,
        passes=passes,
        parallel=parallel,
        depth=width + each,
        drain=int(rng.integers(0, 4)),
        latency=int(rng.integers(1, 6)),
        outlet=parallel + int(rng.integers(0, 9)),
    )
    narrow = schedule.edge("narrow", results * slow_out)
    schedule.narrow(o, narrow)
    schedule.sink(narrow)


@pytest.mark.parametrize("seed", range(12))
def test_every_transfer_is_that_of_the_plain_model(seed: int, oracle: Any) -> None:
    schedules = [Schedule(), oracle()]
    for schedule, component in zip(schedules, (recurrent, plain), strict=True):
        build(schedule, seed, component)
    got, want = (schedule.run(INFERENCES) for schedule in schedules)
    assert got == want
    for edge, other in zip(schedules[0].edges, schedules[1].edges, strict=True):
        takes = edge.take.cycles[: INFERENCES * edge.beats].tolist()
        assert takes == list(other.take), edge.name


def test_edges_that_do_not_fit_are_refused() -> None:
    schedule = Schedule()
    i, o = schedule.source("i", 6), schedule.edge("o", 5)
    options = {"steps": 3, "sequences": 1, "halves": 1, "passes": 2, "parallel": 2, "depth": 6}
    options |= {"drain": 0, "latency": 1}
    said = "1 times 3 steps of 4 results, but edges of 6 and 5 beats"
    with pytest.raises(ValueError, match=said):
        recurrent(schedule, "dut", i, o, outlet=4, **options)
