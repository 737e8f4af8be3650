# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cycle model once more, as plain as can be: what the solver and its arrays must agree with.

Every component is a generator that follows its handshakes beat by beat; :class:`Oracle` runs them
in turn until all are done or none can go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import pytest

from midwire.hw.kernels.geometry import Geometry
from midwire.hw.timing.components import (
    Edge,
    Queue,
    Run,
    Schedule,
    ScheduleDeadlock,
    outlet_depth,
    window_lines,
)
from midwire.hw.timing.solve import Solver
from midwire.hw.timing.times import Blocked, Times


class Scalars(Schedule):
    """A schedule of scalar processes."""

    def source(self, name: str, beats: int) -> Edge:
        edge = self.edge(name, beats)

        def process(inferences: int) -> Blocked:
            for n in range(inferences):
                edge.offer.extend([n * self._period] * edge.beats)
            yield from ()

        self.add(name, process, edge.offer)
        self._sources.append(edge)
        return edge

    def sink(self, edge: Edge) -> None:
        offer, take = edge.offer, edge.take

        def process(inferences: int) -> Blocked:
            at = -1
            for i in range(inferences * edge.beats):
                while len(offer) <= i:
                    yield offer
                ready = offer[i]
                at = ready if ready > at else at + 1
                take.append(at)

        self.add(f"sink of {edge.name}", process, take)
        self._sinks.append(edge)

    def fifo(self, i: Edge, o: Edge, depth: int | None) -> Queue:
        offer, take, later, free = i.offer, i.take, o.offer, o.take

        def wire(inferences: int) -> Blocked:
            for n in range(inferences * i.beats):
                while len(offer) <= n:
                    yield offer
                later.append(offer[n])
                while len(free) <= n:
                    yield free
                take.append(free[n])

        def process(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * i.beats):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                if depth is not None and n >= depth:
                    while len(free) <= n - depth:
                        yield free
                    if free[n - depth] >= at:
                        at = free[n - depth] + 1
                take.append(at)
                later.append(at + 1)

        self.add(f"FIFO {i.name} -> {o.name}", wire if depth == 0 else process, take, later)
        return Queue(i, o, depth)

    def fork(self, i: Edge, outputs: Sequence[Edge]) -> None:
        offer, take = i.offer, i.take
        offers, takes = [o.offer for o in outputs], [o.take for o in outputs]

        def process(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * i.beats):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                for branch in offers:
                    branch.append(at)
                for taken in takes:
                    while len(taken) <= n:
                        yield taken
                    if taken[n] > at:
                        at = taken[n]
                take.append(at)

        self.add(f"fork of {i.name}", process, take, *offers)

    def widen(self, i: Edge, o: Edge, parts: Sequence[int] = ()) -> None:
        parts = parts or (i.beats // o.beats,)
        offer, take, later, free = i.offer, i.take, o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            n = 0
            for group in range(inferences * o.beats):
                for part in range(parts[group % len(parts)]):
                    while len(offer) <= n:
                        yield offer
                    ready = offer[n]
                    at = ready if ready > at else at + 1
                    if part == 0 and group:
                        while len(free) < group:
                            yield free
                        # The full register empties and fills in one cycle.
                        if free[group - 1] > at:
                            at = free[group - 1]
                    take.append(at)
                    n += 1
                later.append(at + 1)

        self.add(f"widen {i.name} -> {o.name}", process, take, later)

    def narrow(self, i: Edge, o: Edge, parts: Sequence[int] = ()) -> None:
        parts = parts or (o.beats // i.beats,)
        offer, take, later, free = i.offer, i.take, o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            end = 0
            for n in range(inferences * i.beats):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                count = parts[n % len(parts)]
                later.extend([at] * count)
                end += count
                while len(free) < end:
                    yield free
                at = free[end - 1]
                take.append(at)

        self.add(f"narrow {i.name} -> {o.name}", process, take, later)

    def window(
        self,
        name: str,
        i: Edge,
        o: Edge,
        *,
        geometry: Geometry,
        folds: int,
        passes: int,
        steps: int,
        latency: int,
        lines: int | None = None,
        depth: int | None = None,
    ) -> None:
        lines = window_lines(geometry) if lines is None else lines
        depth = outlet_depth(steps, latency) if depth is None else depth
        g = geometry
        offer, take, later, free = i.offer, i.take, o.offer, o.take
        freed = self.times()
        line_beats = g.width * folds

        def begin(out: tuple[int, ...], axis: int) -> int:
            return out[axis] * g.stride[axis] - g.pads[axis]

        # Beats of the image that the windows of each output line wait for.
        needs: list[list[int]] = []
        # The first line that each output line keeps.
        firsts: list[int] = []
        for out in np.ndindex(*g.out_size):
            pixel = line = 0
            for axis, n in enumerate(g.size):
                pixel = pixel * n + min(max(begin(out, axis) + g.reach[axis], 0), n - 1)
            for axis, n in enumerate(g.size[:-1]):
                at = min(max(begin(out, axis), 0), n)
                line += at * prod(g.size[axis + 1 : -1])
                if not -g.stride[axis] < begin(out, axis) < n:
                    break
            if out[-1] == 0:
                needs.append([])
                firsts.append(line)
            needs[-1].append((pixel + 1) * folds - 1)
        # Lines given up when an output line ends.
        gone = [after - line for line, after in pairwise([*firsts, g.lines])]

        def writer(inferences: int) -> Blocked:
            at = -1
            for line in range(inferences * g.lines):
                if line >= lines:
                    while len(freed) <= line - lines:
                        yield freed
                    if freed[line - lines] > at:
                        at = freed[line - lines] - 1
                for n in range(line * line_beats, (line + 1) * line_beats):
                    while len(offer) <= n:
                        yield offer
                    ready = offer[n]
                    at = ready if ready > at else at + 1
                    take.append(at)

        def reader(inferences: int) -> Blocked:
            at = 0
            j = -depth
            written = steps + latency
            for image in range(inferences):
                base = image * g.lines * line_beats
                for needed, count in zip(needs, gone, strict=True):
                    for last in needed:
                        need = base + last
                        while len(take) <= need:
                            yield take
                        if take[need] >= at:
                            at = take[need] + 1
                        for _ in range(passes):
                            if j >= 0:
                                while len(free) <= j:
                                    yield free
                                if free[j] >= at:
                                    at = free[j] + 1
                            later.append(at + written)
                            at += steps
                            j += 1
                    freed.extend([at] * count)

        self.add(f"{name} (writer)", writer, take)
        self.add(f"{name} (reader)", reader, later, freed)

    def stream(
        self, name: str, inputs: Sequence[Edge], o: Edge, *, latency: int, depth: int | None = None
    ) -> None:
        depth = outlet_depth(1, latency) if depth is None else depth
        offers, takes = [i.offer for i in inputs], [i.take for i in inputs]
        later, free = o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * o.beats):
                at += 1
                for offer in offers:
                    while len(offer) <= n:
                        yield offer
                    if offer[n] > at:
                        at = offer[n]
                if n >= depth:
                    while len(free) <= n - depth:
                        yield free
                    if free[n - depth] >= at:
                        at = free[n - depth] + 1
                for take in takes:
                    take.append(at)
                later.append(at + latency + 1)

        self.add(name, process, later, *takes)


class Oracle(Scalars):
    """Scalar processes in turn, without the solver."""

    def __init__(self) -> None:
        super().__init__()
        self._scalars: list[tuple[Callable[[int], Blocked], tuple[Times, ...]]] = []

    def add(self, name: str, make: Callable[[int], Blocked], *writes: Times) -> int:
        self._scalars.append((make, writes))
        return super().add(name, make, *writes)

    def run(self, inferences: int = 3, solver: Solver | None = None) -> Run:
        for _, writes in self._scalars:
            for times in writes:
                times.clear()
        running = [make(inferences) for make, _ in self._scalars]
        queue = deque(range(len(running)))
        waiting: dict[int, list[int]] = {}
        seen: dict[int, int] = {}
        left = len(running)
        while queue:
            index = queue.popleft()
            try:
                waiting.setdefault(id(next(running[index])), []).append(index)
            except StopIteration:
                left -= 1
            for times in self._scalars[index][1]:
                if len(times) != seen.get(id(times), 0):
                    seen[id(times)] = len(times)
                    queue.extend(waiting.pop(id(times), []))
        if left:
            raise ScheduleDeadlock("the network deadlocks")
        return Run(
            tuple(min(e.take[n * e.beats] for e in self._sources) for n in range(inferences)),
            tuple(
                max(e.take[(n + 1) * e.beats - 1] for e in self._sinks) for n in range(inferences)
            ),
        )


class Mixed(Scalars):
    """Scalar and batch processes side by side, in the solver."""

    def __init__(self) -> None:
        super().__init__()
        self._rng = np.random.default_rng(0)

    def __getattribute__(self, name: str) -> Any:
        if name in ("source", "sink", "fifo", "fork", "widen", "narrow", "window", "stream"):
            kind = Schedule if self._rng.random() < 0.7 else Scalars
            return getattr(kind, name).__get__(self)
        return super().__getattribute__(name)


@pytest.fixture
def oracle() -> type[Oracle]:
    """The plain model."""
    return Oracle


@pytest.fixture
def mixed() -> type[Mixed]:
    """Plain processes beside others."""
    return Mixed
