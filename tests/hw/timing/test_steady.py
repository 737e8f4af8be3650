# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The least depths that keep an interval (B1 to B3)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from midwire.hw.jobs import StoppedError
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.timing import solve
from midwire.hw.timing.components import Edge, Queue, Run, Schedule, ScheduleDeadlock
from midwire.hw.timing.solve import Stuck
from midwire.hw.timing.steady import Steady, least_depths

SQUARE = Geometry((8, 8), (3, 3), pads=(1, 1, 1, 1))
PIXELS = 64


def conv(schedule: Schedule, name: str, i: Edge, steps: int) -> Edge:
    """A 3 x 3 window."""
    out = schedule.edge(name, PIXELS)
    schedule.window(name, i, out, geometry=SQUARE, folds=1, passes=1, steps=steps, latency=8)
    return out


class Joined(Schedule):
    """[before ->] fork -> (branches) -> add [-> after], each a window of so many steps."""

    def __init__(
        self, *, before: int | None = None, branch: int | None, after: int | None = None
    ) -> None:
        super().__init__()
        edge = self.source("in", PIXELS)
        if before:
            edge = conv(self, "before", edge, before)
        long, short = self.edge("long", PIXELS), self.edge("short", PIXELS)
        self.fork(edge, [long, short])
        if branch:
            long = conv(self, "branch", long, branch)
        else:
            cheap = self.edge("cheap", PIXELS)
            self.stream("cheap", [long], cheap, latency=3)
            long = cheap
        ends = self.edge("a", PIXELS), self.edge("b", PIXELS)
        self.queues = [self.fifo(long, ends[0], None), self.fifo(short, ends[1], None)]
        edge = self.edge("sum", PIXELS)
        self.stream("add", ends, edge, latency=3)
        if after:
            edge = conv(self, "after", edge, after)
        self.sink(edge)


def choose(schedule: Any, interval: int = 1) -> tuple[Steady, list[int | None]]:
    steady = least_depths(schedule, dict.fromkeys(schedule.queues, 8), interval)
    return steady, [queue.depth for queue in schedule.queues]


def keeps(run: Run, interval: int, latency: int) -> bool:
    """On average over the last six, too."""
    return (
        run.latency <= latency
        and run.cycles_per_inference <= interval
        and run.last_out[-1] - run.last_out[-7] <= 6 * interval
    )


def test_a_slow_stage_behind_the_join_makes_no_memory_larger() -> None:
    """Cheap, add, heavy: endless FIFOs grow with every inference, the chosen depths do not."""
    schedule = Joined(branch=None, after=40)
    grown = []
    for inferences in (2, 4, 8, 16):
        endless = schedule.run(inferences)
        grown.append(schedule.queues[1].o.occupancy(inferences))
    assert grown == sorted(set(grown))
    latency = endless.latency
    steady, depths = choose(schedule)
    assert steady.interval == PIXELS * 40
    # The cycles by which the branches differ, so that the first window is filled without a pause.
    assert depths == [0, 4]
    for inferences in (8, 16):
        run = schedule.run(inferences)
        assert keeps(run, PIXELS * 40, latency)
        assert run.cycles_per_inference == endless.cycles_per_inference


@pytest.mark.parametrize("slow", [9, 20, 40, 200])
def test_depths_do_not_depend_on_the_bottleneck(slow: int) -> None:
    """However slow a stage before or behind a residual block is, its FIFO is no deeper."""
    quick = choose(Joined(branch=9))[1]
    for schedule in (Joined(before=slow, branch=9), Joined(branch=9, after=slow)):
        steady, depths = choose(schedule)
        assert steady.interval == PIXELS * max(slow, 9)
        assert all((new or 0) <= (old or 0) for new, old in zip(depths, quick, strict=True))


def check_least(schedule: Any, interval: int, latency: int) -> None:
    """One slot less anywhere, and it is slower, or the network stops."""
    for queue in schedule.queues:
        if queue.depth:
            queue.depth -= 1
            try:
                good = keeps(schedule.run(24), interval, latency)
            except ScheduleDeadlock:
                good = False
            assert not good, queue.i.name
            queue.depth += 1


NETWORKS: dict[str, Callable[[], Joined]] = {
    "cheap": lambda: Joined(branch=None),
    "cheap, heavy": lambda: Joined(branch=None, after=20),
    "residual": lambda: Joined(branch=9),
    "residual, heavy": lambda: Joined(branch=9, after=20),
    "heavy, residual": lambda: Joined(before=20, branch=9),
    "all": lambda: Joined(before=9, branch=8, after=10),
}


@pytest.mark.parametrize("wanted", [1, 1000, 5000])
@pytest.mark.parametrize("name", NETWORKS)
def test_depths_are_the_least(name: str, wanted: int) -> None:
    schedule = NETWORKS[name]()
    latency = schedule.run(1).latency
    steady, _ = choose(schedule, wanted)
    assert keeps(schedule.run(12), steady.interval, latency)
    check_least(schedule, steady.interval, latency)


def test_a_wanted_interval_that_is_slow_needs_less() -> None:
    """A stage that is quicker than wanted is not fed as fast as it could be."""
    best, depths = choose(Joined(before=20, branch=9, after=19))
    slow, fewer = choose(Joined(before=20, branch=9, after=19), 2 * best.interval)
    assert slow.interval == 2 * best.interval
    assert sum(d or 0 for d in fewer) <= sum(d or 0 for d in depths)


class Open(Schedule):
    """A random network as a compiler makes it: open FIFOs before joins, components as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: list[Queue] = []

    def window(self, *args: Any, rows: Any = None, depth: Any = None, **options: Any) -> None:
        super().window(*args, **options)

    def stream(
        self, name: str, inputs: Any, o: Edge, *, latency: int, depth: int | None = None
    ) -> None:
        behind = []
        for edge in inputs:
            behind.append(self.edge(f"{edge.name} (FIFO)", edge.beats))
            self.queues.append(self.fifo(edge, behind[-1], None))
        super().stream(name, behind, o, latency=latency)


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed: int, random_network: Any) -> None:
    """The least depths, and the best interval, for any number of inferences."""
    schedule = Open()
    random_network(seed)(schedule)
    endless = schedule.run(24)
    steady, _ = choose(schedule)
    known = steady.run(4)
    assert known == schedule.run(4)
    assert 6 * steady.interval == endless.last_out[-1] - endless.last_out[-7]
    assert keeps(schedule.run(24), steady.interval, endless.latency)
    assert schedule.run(4).cycles_per_inference == steady.interval
    check_least(schedule, steady.interval, endless.latency)


@pytest.mark.parametrize("seed", range(24))
def test_a_schedule_repeats_itself(seed: int, random_network: Any) -> None:
    """B1: what paced tensors settle to is the cycles found for one; none has a shorter period."""
    schedule = Open()
    random_network(seed)(schedule)
    interval = choose(schedule)[0].interval
    solver = schedule.solver(interval)
    solver.extend()
    solver.extend()
    found = [times.of(1) - interval for times in solver.times]
    settled = schedule.solver()
    schedule._period = interval
    for _ in range(24):
        settled.extend()
    for times, cycles in zip(settled.times, found, strict=True):
        assert np.array_equal(times.of(23) - 23 * interval, cycles)
    if interval > 1:
        shorter = schedule.solver(interval - 1)
        shorter.extend()
        with pytest.raises(Stuck):
            shorter.extend()


@pytest.mark.parametrize("far", [-1, 100, 500])
@pytest.mark.parametrize("seed", range(6))
def test_depths_do_not_depend_on_the_bits_of_cycles(
    seed: int, far: int, random_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6, in a search, which goes back and forth: 64 bits from the start, or from some time on."""

    def found() -> Any:
        schedule = Open()
        random_network(seed)(schedule)
        steady, depths = choose(schedule)
        return depths, steady.interval, steady.run(4)

    wanted = found()
    monkeypatch.setattr(solve, "FAR", far)
    assert found() == wanted


@pytest.mark.parametrize("slow", [(1 << 22) - 70, 1 << 22, (1 << 25) - 1, 1 << 25, 1 << 26])
def test_the_least_depth_of_slow_tensors(slow: int) -> None:
    """Of 2 ** 28 cycles and more: those that follow, or a period, no longer fit into 32 bits."""
    quick, depths = choose(Joined(branch=9, after=1000))
    steady, found = choose(Joined(branch=9, after=slow))
    assert (steady.interval, found) == (PIXELS * slow, depths)
    assert steady.interval // slow == quick.interval // 1000


def test_the_search_keeps_few_bytes_of_an_event() -> None:
    """Two tensors of 4 bytes an event, as much again of what a try may have to go back to, and what
    one process computes; then some tensors back to back.
    """
    height = width = 160
    geometry = Geometry((height, width), (3, 3), pads=(1, 1, 1, 1))
    schedule = Schedule()
    beats = geometry.pixels
    edge, queues = schedule.source("in", beats), []
    for k in range(6):
        names = ("long", "short", "made", "late", "sum")
        long, short, made, late, out = (schedule.edge(f"{name}{k}", beats) for name in names)
        schedule.fork(edge, [long, short])
        sizes = {"folds": 1, "passes": 1, "steps": 2, "latency": 8}
        schedule.window(f"conv{k}", long, made, geometry=geometry, **sizes)
        queues.append(schedule.fifo(short, late, None))
        schedule.stream(f"add{k}", [made, late], out, latency=3)
        edge = out
    schedule.sink(edge)
    tracemalloc.start()
    try:
        least_depths(schedule, dict.fromkeys(queues, 8), 1).run(4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    events = sum(times.each or 0 for times in schedule.all_times)
    assert peak < 24 * events, f"{peak / events:.1f} bytes an event"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_bad_depth_leaves_no_trace(name: str) -> None:
    schedule = NETWORKS[name]()
    steady, _ = choose(schedule)
    before = [times.cycles.copy() for times in steady._solver.times]
    for queue in schedule.queues:
        for depth in range(1, queue.depth or 0):
            assert not steady.reduce(queue, depth)
            for times, cycles in zip(steady._solver.times, before, strict=True):
                assert np.array_equal(times.cycles, cycles)


def test_a_search_that_nobody_wants_any_more_is_given_up() -> None:
    asked = iter([False] * 5)
    with pytest.raises(StoppedError):
        schedule = Joined(branch=4)
        least_depths(schedule, dict.fromkeys(schedule.queues, 8), 1, lambda: next(asked, True))
    assert next(asked, None) is None


def test_only_the_last_solver_may_be_used() -> None:
    """Another one has the network's cycles."""
    schedule = Joined(branch=9)
    steady, _ = choose(schedule)
    schedule.run(1)
    with pytest.raises(ValueError, match="another solver was made of the network since"):
        steady.run(4)


def test_a_network_that_stops_anyway() -> None:
    schedule = Joined(branch=9)
    schedule.queues[1].depth = 3
    with pytest.raises(ScheduleDeadlock, match=r"waits for room on 'b' \(3 beats are not taken"):
        least_depths(schedule, {schedule.queues[0]: 8}, 1)
