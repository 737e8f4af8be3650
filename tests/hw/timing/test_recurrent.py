# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""T13: a recurrent component, against a plain model that follows every cycle."""

from __future__ import annotations

from collections.abc import Sequence
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
    inputs: Sequence[Edge],
    outputs: Sequence[Edge],
    *,
    steps: int,
    sequences: int,
    halves: int,
    passes: int,
    parallel: int,
    depth: int,
    drain: int,
    late: int,
    latencies: Sequence[int],
    depths: Sequence[int],
) -> None:
    i, *begins = inputs
    each = passes * parallel
    width = i.beats // (sequences * steps)
    quiet = [steps - o.beats // (sequences * each) for o in outputs]
    freed, over = schedule.times(), schedule.times()

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

    def loader(state: Edge) -> Any:
        def load(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * state.beats):
                row, place = divmod(n, each)
                if row and not place:
                    while len(over) < row:
                        yield over
                    at = max(at, over[row - 1] - 1)
                while len(state.offer) <= n:
                    yield state.offer
                at = max(at + 1, state.offer[n])
                state.take.append(at)

        return load

    def reader(inferences: int) -> Blocked:
        at, taken = -1, [0] * len(outputs)
        for row in range(inferences * sequences * steps):
            while len(i.take) < (row + 1) * width:
                yield i.take
            at = max(at + (drain if row else 0), i.take[(row + 1) * width - 1])
            sequence, step = divmod(row, steps)
            for state in begins if step == 0 else ():
                while len(state.take) < (sequence + 1) * each:
                    yield state.take
                at = max(at, state.take[(sequence + 1) * each - 1])
            for place in range(halves * passes * depth):
                at += 1 + (drain if place and place % (passes * depth) == 0 else 0)
                done = place >= (halves - 1) * passes * depth
                leaving = [k for k in range(len(outputs)) if done and step >= quiet[k]]
                for k in leaving if place % depth < parallel else ():
                    if taken[k] >= depths[k]:
                        while len(outputs[k].take) <= taken[k] - depths[k]:
                            yield outputs[k].take
                        at = max(at, outputs[k].take[taken[k] - depths[k]] + 1)
                    taken[k] += 1
                for k in leaving if place % depth == depth - 1 else ():
                    outputs[k].offer.extend(at + latencies[k] + 1 + j for j in range(parallel))
            freed.append(at + 1)
            if step == 0:
                over.append(at + 1 + late)

    schedule.add(f"{name} (writer)", writer, i.take)
    for state in begins:
        schedule.add(f"{name} (loader of {state.name})", loader(state), state.take)
    schedule.add(f"{name} (reader)", reader, *(o.offer for o in outputs), freed, over)


def build(schedule: Schedule, seed: int, component: Any) -> None:
    """A component of random shape, its source and its sink slower or faster than it."""
    rng = np.random.default_rng([83, seed])
    steps, passes, parallel, width = (int(n) for n in rng.integers(1, 5, 4))
    sequences = 1 + seed // 4 % 3
    each, slow_in, slow_out = passes * parallel, *(int(n) for n in rng.integers(1, 5, 2))
    rows = sequences * steps
    results = each * (sequences if seed % 3 == 0 else rows)
    source = schedule.source("source", rows * width * slow_in)
    inputs, outputs = [schedule.edge("i", rows * width)], [schedule.edge("o", results)]
    schedule.widen(source, inputs[0])
    for k in range(seed % 3):
        begins = schedule.source(f"begins{k}", sequences * each * slow_out)
        inputs.append(schedule.edge(f"state{k}", sequences * each))
        schedule.widen(begins, inputs[-1])
    if seed % 2:
        outputs.append(schedule.edge("o1", sequences * each))
    component(
        schedule,
        "dut",
        inputs,
        outputs,
        steps=steps,
        sequences=sequences,
        halves=1 + seed % 2,
        passes=passes,
        parallel=parallel,
        depth=width + each,
        drain=int(rng.integers(0, 4)),
        late=int(rng.integers(0, 7)),
        latencies=rng.integers(1, 6, len(outputs)).tolist(),
        depths=(parallel + rng.integers(0, 9, len(outputs))).tolist(),
    )
    for k, o in enumerate(outputs):
        narrow = schedule.edge(f"narrow{k}", o.beats * slow_out)
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
    options |= {"drain": 0, "late": 6}
    said = r"1 times 3 steps of 4 results, but edges of \[6, 5\] beats"
    with pytest.raises(ValueError, match=said):
        recurrent(schedule, "dut", [i], [o], latencies=[1], depths=[4], **options)
