# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""T7 to T9, T11, T12: components that move elements, against plain models that follow every
handshake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from midwire.hw.timing import moving
from midwire.hw.timing.components import Edge, Schedule
from midwire.hw.timing.times import Blocked

INFERENCES = 5


def plain_reorder(
    schedule: Schedule, name: str, i: Edge, o: Edge, *, blocks: int, latency: int, depth: int
) -> None:
    writes, reads = i.beats // blocks, o.beats // blocks
    freed = schedule.times()

    def writer(inferences: int) -> Blocked:
        at = -1
        for block in range(inferences * blocks):
            if block >= 2:
                while len(freed) <= block - 2:
                    yield freed
                at = max(at, freed[block - 2] - 1)
            for n in range(block * writes, (block + 1) * writes):
                while len(i.offer) <= n:
                    yield i.offer
                at = max(at + 1, i.offer[n])
                i.take.append(at)

    def reader(inferences: int) -> Blocked:
        at = -1
        for block in range(inferences * blocks):
            last = (block + 1) * writes - 1
            while len(i.take) <= last:
                yield i.take
            at = max(at, i.take[last])
            for n in range(block * reads, (block + 1) * reads):
                at += 1
                if n >= depth:
                    while len(o.take) <= n - depth:
                        yield o.take
                    at = max(at, o.take[n - depth] + 1)
                o.offer.append(at + latency + 1)
            freed.append(at + 1)

    schedule.add(f"{name} (writer)", writer, i.take)
    schedule.add(f"{name} (reader)", reader, o.offer, freed)


def plain_gather(
    schedule: Schedule,
    name: str,
    inputs: Sequence[Edge],
    o: Edge,
    *,
    turn: Sequence[int],
    latency: int,
    depth: int,
) -> None:
    order = [k for k, beats in enumerate(turn) for _ in range(beats)]

    def process(inferences: int) -> Blocked:
        at = -1
        done = [0] * len(inputs)
        for n in range(inferences * o.beats):
            edge, at = inputs[order[n % len(order)]], at + 1
            index = inputs.index(edge)
            while len(edge.offer) <= done[index]:
                yield edge.offer
            at = max(at, edge.offer[done[index]])
            if n >= depth:
                while len(o.take) <= n - depth:
                    yield o.take
                at = max(at, o.take[n - depth] + 1)
            edge.take.append(at)
            o.offer.append(at + latency + 1)
            done[index] += 1

    schedule.add(name, process, o.offer, *(edge.take for edge in inputs))


def plain_scatter(
    schedule: Schedule,
    name: str,
    i: Edge,
    outputs: Sequence[Edge],
    *,
    turn: Sequence[int],
    to: Sequence[int],
    latencies: Sequence[int],
    depths: Sequence[int],
) -> None:
    order = [out for beats, out in zip(turn, to, strict=True) for _ in range(beats)]

    def process(inferences: int) -> Blocked:
        at = -1
        done = [0] * len(outputs)
        for n in range(inferences * i.beats):
            k = order[n % len(order)]
            while len(i.offer) <= n:
                yield i.offer
            at = max(at + 1, i.offer[n])
            if k >= 0:
                slot = done[k] - depths[k]
                if slot >= 0:
                    while len(outputs[k].take) <= slot:
                        yield outputs[k].take
                    at = max(at, outputs[k].take[slot] + 1)
                outputs[k].offer.append(at + latencies[k] + 1)
                done[k] += 1
            i.take.append(at)

    schedule.add(name, process, i.take, *(edge.offer for edge in outputs))


def plain_dot(
    schedule: Schedule,
    name: str,
    inputs: Sequence[Edge],
    o: Edge,
    *,
    steps: int,
    latency: int,
    depth: int,
) -> None:
    def process(inferences: int) -> Blocked:
        at = -1
        for n in range(inferences * o.beats * steps):
            at += 1
            for edge in inputs:
                while len(edge.offer) <= n:
                    yield edge.offer
                at = max(at, edge.offer[n])
            group = n // steps
            if n % steps == 0 and group >= depth:
                while len(o.take) <= group - depth:
                    yield o.take
                at = max(at, o.take[group - depth] + 1)
            for edge in inputs:
                edge.take.append(at)
            if n % steps == steps - 1:
                o.offer.append(at + latency + 1)

    schedule.add(name, process, o.offer, *(edge.take for edge in inputs))


def plain_accumulate(
    schedule: Schedule,
    name: str,
    i: Edge,
    outputs: Sequence[Edge],
    *,
    turn: int,
    last: int,
    latencies: Sequence[int],
    depths: Sequence[int],
) -> None:
    def process(inferences: int) -> Blocked:
        at = -1
        done = 0
        for n in range(inferences * i.beats):
            while len(i.offer) <= n:
                yield i.offer
            at = max(at + 1, i.offer[n])
            if n % turn >= turn - last:
                for edge, depth in zip(outputs, depths, strict=True):
                    if done >= depth:
                        while len(edge.take) <= done - depth:
                            yield edge.take
                        at = max(at, edge.take[done - depth] + 1)
                for edge, latency in zip(outputs, latencies, strict=True):
                    edge.offer.append(at + latency + 1)
                done += 1
            i.take.append(at)

    schedule.add(name, process, i.take, *(edge.offer for edge in outputs))


def plain_repeat(
    schedule: Schedule, name: str, i: Edge, o: Edge, *, times: int, latency: int, depth: int
) -> None:
    def process(inferences: int) -> Blocked:
        at = -1
        for n in range(inferences * o.beats):
            while len(i.offer) <= n // times:
                yield i.offer
            at = max(at + 1, i.offer[n // times])
            if n >= depth:
                while len(o.take) <= n - depth:
                    yield o.take
                at = max(at, o.take[n - depth] + 1)
            o.offer.append(at + latency + 1)
            if n % times == times - 1:
                i.take.append(at)

    schedule.add(name, process, o.offer, i.take)


PLAIN = {
    "accumulate": plain_accumulate,
    "reorder": plain_reorder,
    "gather": plain_gather,
    "scatter": plain_scatter,
    "dot": plain_dot,
    "repeat": plain_repeat,
}


def build(schedule: Schedule, kind: str, seed: int, plain: bool) -> None:
    """One component of random shape between sources and sinks, some of which are slow."""
    rng = np.random.default_rng([79, seed])
    component: Any = PLAIN[kind] if plain else getattr(moving, kind)
    latency, depth, turns = (int(rng.integers(1, 6)) for _ in range(3))

    def given(name: str, beats: int) -> Edge:
        """A source, a beat every few cycles, behind a FIFO."""
        slow = int(rng.integers(1, 4))
        source, fast = schedule.source(name, beats * slow), schedule.edge(f"{name} wide", beats)
        schedule.widen(source, fast)
        behind = schedule.edge(f"{name} behind", beats)
        schedule.fifo(fast, behind, int(rng.integers(1, 20)))
        return behind

    def taken(name: str, beats: int) -> Edge:
        """A sink that takes a beat every few cycles."""
        slow = int(rng.integers(1, 4))
        edge, narrow = schedule.edge(name, beats), schedule.edge(f"{name} narrow", beats * slow)
        schedule.narrow(edge, narrow)
        schedule.sink(narrow)
        return edge

    turn = [int(n) for n in rng.integers(1, 5, 3)]
    if kind == "reorder":
        i, o = given("i", turns * turn[0]), taken("o", turns * turn[1])
        component(schedule, "dut", i, o, blocks=turns, latency=latency, depth=depth)
    elif kind == "repeat":
        i, o = given("i", turn[0]), taken("o", turn[0] * turns)
        component(schedule, "dut", i, o, times=turns, latency=latency, depth=depth)
    elif kind == "gather":
        inputs = [given(f"i{k}", turns * n) for k, n in enumerate(turn)]
        o = taken("o", turns * sum(turn))
        component(schedule, "dut", inputs, o, turn=turn, latency=latency, depth=depth)
    elif kind == "scatter":
        third = -1 if seed % 2 else int(rng.integers(0, 2))  # dropped in every other network
        to = [int(k) for k in rng.permutation([0, 1, third])]
        i = given("i", turns * sum(turn))
        beats = [sum(n for n, k in zip(turn, to, strict=True) if k == out) for out in (0, 1)]
        outputs = [taken(f"o{k}", turns * n) for k, n in enumerate(beats)]
        late, deep = [latency, latency + 1], [depth, depth + 2]
        component(schedule, "dut", i, outputs, turn=turn, to=to, latencies=late, depths=deep)
    elif kind == "accumulate":
        i = given("i", turns * (turn[0] + turn[1]))
        outputs = [taken(f"o{k}", turns * turn[0]) for k in range(1 + seed % 2)]
        late, deep = [latency, latency + 1][: len(outputs)], [depth, depth + 2][: len(outputs)]
        whole, last = turn[0] + turn[1], turn[0]
        component(schedule, "dut", i, outputs, turn=whole, last=last, latencies=late, depths=deep)
    else:
        inputs = [given(f"i{k}", turns * turn[0]) for k in range(2)]
        o = taken("o", turns)
        component(schedule, "dut", inputs, o, steps=turn[0], latency=latency, depth=depth)


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("seed", range(12))
def test_every_transfer_is_that_of_the_plain_model(kind: str, seed: int, oracle: Any) -> None:
    schedules = [Schedule(), oracle()]
    for schedule in schedules:
        build(schedule, kind, seed, plain=schedule is schedules[1])
    got, want = (schedule.run(INFERENCES) for schedule in schedules)
    assert got == want
    for edge, other in zip(schedules[0].edges, schedules[1].edges, strict=True):
        takes = edge.take.cycles[: INFERENCES * edge.beats].tolist()
        assert takes == list(other.take), edge.name
