# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The solver against a plain model that follows every handshake, in random networks (V1 to V6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from midwire.hw.kernels.geometry import Geometry
from midwire.hw.timing import solve
from midwire.hw.timing.components import Schedule, ScheduleDeadlock
from midwire.hw.timing.times import FAR

Make = type[Schedule]
INFERENCES = 6


def cycles(make: Make, build: Callable[[Schedule], None], lists: bool) -> Any:
    """Every transfer of every edge, or nothing after a deadlock."""
    schedule = make()
    build(schedule)
    try:
        run = schedule.run(INFERENCES)
    except ScheduleDeadlock:
        return None
    takes = {
        edge.name: list(edge.take)
        if lists
        else edge.take.cycles[: INFERENCES * edge.beats].tolist()
        for edge in schedule.edges
    }
    return run, takes


@pytest.mark.parametrize("seed", range(40))
def test_every_transfer_is_that_of_the_plain_model(
    seed: int, random_network: Any, oracle: Make, mixed: Make
) -> None:
    """Batch processes, and batch and scalar processes side by side."""
    build = random_network(seed)
    wanted = cycles(oracle, build, lists=True)
    assert cycles(Schedule, build, lists=False) == wanted
    if seed < 20:
        assert cycles(mixed, build, lists=False) == wanted


@pytest.mark.parametrize("depth", range(14))
def test_so_are_deadlocks(depth: int, oracle: Make, mixed: Make) -> None:
    """Too small a FIFO beside a window stops the network; where it stops all models agree."""

    def build(schedule: Schedule) -> None:
        source = schedule.source("in", 16)
        names = ("long", "short", "late", "made", "out")
        long, short, late, made, out = (schedule.edge(name, 16) for name in names)
        schedule.fork(source, [short, long])
        schedule.fifo(short, late, depth)
        geometry = Geometry((4, 4), (3, 3), pads=(1, 1, 1, 1))
        schedule.window(
            "conv", long, made, geometry=geometry, folds=1, passes=1, steps=3, latency=8
        )
        schedule.stream("add", [made, late], out, latency=3)
        schedule.sink(out)

    wanted = cycles(oracle, build, lists=True)
    assert (wanted is None) == (depth < 5)
    assert cycles(Schedule, build, lists=False) == wanted
    assert cycles(mixed, build, lists=False) == wanted


def test_a_slow_ring_is_solved(oracle: Make) -> None:
    """Two beats, one in the slot and one that the fork shows, in a ring of 12 cycles."""

    def build(schedule: Schedule) -> None:
        source = schedule.source("in", 300)
        names = ("a", "b", "b2", "a2", "out")
        a, b, queued, slow, out = (schedule.edge(name, 300) for name in names)
        schedule.fork(source, [a, b])
        schedule.fifo(b, queued, 1)
        schedule.stream("slow", [a], slow, latency=9)
        schedule.stream("add", [slow, queued], out, latency=3)
        schedule.sink(out)

    found = cycles(Schedule, build, lists=False)
    assert found == cycles(oracle, build, lists=True)
    assert found[0].cycles_per_inference == 300 * 12 // 2


def late_network(latency: int, depth: int | None) -> Callable[[Schedule], None]:
    """A fork of two branches, of which one takes ``latency`` cycles, twice."""

    def build(schedule: Schedule) -> None:
        source = schedule.source("in", 6)
        names = ("a", "b", "once", "twice", "queued", "out")
        a, b, once, twice, queued, out = (schedule.edge(name, 6) for name in names)
        schedule.fork(source, [a, b])
        schedule.stream("first", [a], once, latency=latency)
        schedule.stream("second", [once], twice, latency=latency)
        schedule.fifo(b, queued, depth)
        schedule.stream("add", [twice, queued], out, latency=3)
        schedule.sink(out)

    return build


@pytest.mark.parametrize("depth", [None, 3, 6])
@pytest.mark.parametrize(
    "latency",
    [
        *(FAR // 2 - INFERENCES * 6 + k for k in range(0, INFERENCES * 6, 5)),
        *(FAR + k for k in (-14, -13, -1, 0, 1)),
        *(base + k for base in (1 << 30, 1 << 31, 1 << 40) for k in (-9, 0)),
    ],
)
def test_cycles_beyond_what_32_bits_hold(latency: int, depth: int | None, oracle: Make) -> None:
    """V6: whether the first cycle beyond FAR is one of the first tensor or of a later one."""
    build = late_network(latency, depth)
    assert cycles(Schedule, build, lists=False) == cycles(oracle, build, lists=True)


@pytest.mark.parametrize(
    ("latency", "held"), [(100, np.int32), (FAR // 2 - 1, np.int64), (FAR, np.int64)]
)
def test_cycles_are_held_in_32_bits_while_they_fit(latency: int, held: type) -> None:
    schedule = Schedule()
    late_network(latency, None)(schedule)
    schedule.run(2)
    assert {times.cycles.dtype for times in schedule.all_times} == {np.dtype(held)}


@pytest.mark.parametrize("far", [-1, 100, 500])
@pytest.mark.parametrize("seed", range(6))
def test_it_makes_no_difference_when_cycles_get_64_bits(
    seed: int, far: int, random_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6, from the start or at any time, deadlocks included."""
    wanted = cycles(Schedule, random_network(seed), lists=False)
    monkeypatch.setattr(solve, "FAR", far)
    assert cycles(Schedule, random_network(seed), lists=False) == wanted


def test_a_single_slot_is_solved_at_once(oracle: Make) -> None:
    """Beat for beat it takes 2 cycles; the solver must not go round the ring for each of them."""
    updates = 0

    def build(schedule: Schedule) -> None:
        source = schedule.source("in", 3000)
        a, b = schedule.edge("a", 3000), schedule.edge("b", 3000)
        queue = schedule.fifo(source, a, 1)
        update = queue.update

        def counted(n: int) -> Any:
            nonlocal updates
            updates += 1
            return update(n)

        if type(schedule) is Schedule:
            schedule._processes[queue.process].update = counted  # type: ignore[method-assign]
        schedule.stream("next", [a], b, latency=3)
        schedule.sink(b)

    found = cycles(Schedule, build, lists=False)
    assert found == cycles(oracle, build, lists=True)
    assert found[0].cycles_per_inference == 6000
    assert updates < 100


def test_a_process_that_waits_for_too_much() -> None:
    schedule = Schedule()
    edge = schedule.source("in", 2)

    def greedy(inferences: int) -> Any:
        while len(edge.offer) < 3 * inferences:
            yield edge.offer
        edge.take.extend([0, 1] * inferences)

    schedule.add("greedy", greedy, edge.take)
    schedule._sinks.append(edge)
    with pytest.raises(ValueError, match="greedy waits for more than the 2 events of each tensor"):
        schedule.run(1)
