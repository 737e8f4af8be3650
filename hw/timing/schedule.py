# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Engine of the cycle model: timing processes that wait for each other's cycles.

A process is a generator that appends to some lists of cycles and yields a list when it needs an
entry that is not there yet. Processes run in turn until all are done, or until none can go on: then
the hardware would hang as well. What the processes of components do is in
:mod:`midwire.hw.timing.components`, and so are the rules, T1 to T6.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np


class Times(list[int]):
    """Cycles of one kind of event, appended by one process; others wait for it to grow."""

    __slots__ = ("seen", "waiting")

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[_Process] = []
        self.seen = 0

    def reset(self) -> None:
        """Forget everything, before a run."""
        self.clear()
        self.waiting.clear()
        self.seen = 0


Blocked = Generator[Times, None, None]
"""A timing process: yields the times that it waits for."""


class Edge:
    """One stream between two components.

    Attributes
    ----------
    name : str
    beats : int
        Beats of one tensor.
    offer, take : Times
        See T1.
    """

    def __init__(self, name: str, beats: int) -> None:
        if beats < 1:
            raise ValueError(f"edge {name!r} needs at least 1 beat for each tensor, not {beats!r}")
        self.name = name
        self.beats = beats
        self.offer = Times()
        self.take = Times()

    def __repr__(self) -> str:
        return f"Edge({self.name!r}, beats={self.beats})"

    @property
    def occupancy(self) -> int:
        """Slots that were in use at once, after a run: a FIFO so deep never held its writer back.

        A slot is in use from the cycle in which its beat is written to the one in which it leaves.
        """
        count = len(self.take)
        if not count:
            return 0
        written = np.array(self.offer[:count]) - 1
        gone = np.searchsorted(np.array(self.take), written, side="left")
        return int((np.arange(1, count + 1) - gone).max())


@dataclass(frozen=True, eq=False)
class _Process:
    name: str
    make: Callable[[int], Blocked]
    writes: tuple[Times, ...]


@dataclass(frozen=True)
class Run:
    """What a network does with back-to-back tensors.

    Attributes
    ----------
    first_in, last_out : for each inference, the cycle of the first input beat taken (of the input
        that comes first) and of the last output beat transferred (of the output that comes last)
    occupancy : for each edge but the sources, :attr:`Edge.occupancy`
    """

    first_in: tuple[int, ...]
    last_out: tuple[int, ...]
    occupancy: dict[str, int] = field(repr=False)

    @property
    def latency(self) -> int:
        """Cycles of the first inference, counting both its first and its last cycle."""
        return self.last_out[0] - self.first_in[0] + 1

    @property
    def cycles_per_inference(self) -> int:
        """Cycles between the last output beats of the last two inferences."""
        if len(self.last_out) < 2:
            raise ValueError("cycles_per_inference needs a run of at least 2 inferences")
        return self.last_out[-1] - self.last_out[-2]


class ScheduleDeadlock(ValueError):
    """The network stops before all tensors are through."""


class Network:
    """Edges and processes. Add them, then :meth:`run` it."""

    def __init__(self) -> None:
        self._edges: dict[str, Edge] = {}
        self._processes: list[_Process] = []
        self._extra: list[Times] = []
        self._sources: list[Edge] = []
        self._sinks: list[Edge] = []

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, in the order of creation."""
        return tuple(self._edges.values())

    def edge(self, name: str, beats: int) -> Edge:
        """A new edge with ``beats`` beats for each tensor."""
        if name in self._edges:
            raise ValueError(f"there is an edge {name!r} already; names must differ")
        self._edges[name] = Edge(name, beats)
        return self._edges[name]

    def add(self, name: str, make: Callable[[int], Blocked], *writes: Times) -> None:
        """Add a process.

        Parameters
        ----------
        name : for messages
        make : from the number of inferences to the process
        writes : the times that only this process appends to
        """
        self._processes.append(_Process(name, make, writes))

    def times(self) -> Times:
        """Events inside a component, for two of its processes to share."""
        self._extra.append(Times())
        return self._extra[-1]

    def source(self, name: str, beats: int) -> Edge:
        """An input of the network, with a beat in every cycle (T6)."""
        edge = self.edge(name, beats)

        def process(inferences: int) -> Blocked:
            edge.offer.extend([0] * (inferences * edge.beats))
            yield from ()

        self.add(name, process, edge.offer)
        self._sources.append(edge)
        return edge

    def sink(self, edge: Edge) -> None:
        """An output of the network, taken in every cycle (T6)."""
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

    def run(self, inferences: int = 3) -> Run:
        """Times of ``inferences`` tensors, back to back, from sources to sinks.

        Raises
        ------
        ScheduleDeadlock
            If the network stops; the message names every edge on which somebody waits.
        """
        if inferences < 1:
            raise ValueError(f"inferences must be at least 1, not {inferences!r}")
        if not self._sources or not self._sinks:
            raise ValueError("a schedule needs at least one source and one sink")
        for edge in self._edges.values():
            edge.offer.reset()
            edge.take.reset()
        for times in self._extra:
            times.reset()
        running = {p: p.make(inferences) for p in self._processes}
        queue = deque(self._processes)
        waits: dict[_Process, Times] = {}
        while queue:
            process = queue.popleft()
            try:
                times = next(running[process])
            except StopIteration:
                del running[process]
            else:
                times.waiting.append(process)
                waits[process] = times
            for times in process.writes:
                if len(times) != times.seen:
                    times.seen = len(times)
                    queue.extend(times.waiting)
                    times.waiting.clear()
        if running:
            raise ScheduleDeadlock(self._stuck([p for p in self._processes if p in running], waits))
        return Run(
            first_in=tuple(
                min(edge.take[n * edge.beats] for edge in self._sources) for n in range(inferences)
            ),
            last_out=tuple(
                max(edge.take[(n + 1) * edge.beats - 1] for edge in self._sinks)
                for n in range(inferences)
            ),
            occupancy={
                edge.name: edge.occupancy
                for edge in self._edges.values()
                if edge not in self._sources
            },
        )

    def _stuck(self, processes: list[_Process], waits: dict[_Process, Times]) -> str:
        names: dict[int, str] = {}
        for edge in self._edges.values():
            waiting = len(edge.offer) - len(edge.take)
            names[id(edge.offer)] = f"a beat on {edge.name!r} (after {len(edge.offer)})"
            names[id(edge.take)] = f"room on {edge.name!r} ({waiting} beats are not taken)"
        reasons = [
            f"{p.name} waits for {names[id(waits[p])]}" for p in processes if id(waits[p]) in names
        ]
        return (
            f"the network deadlocks: {'; '.join(reasons)}. Deepen the FIFO on the edge without "
            "room that lies on the shorter branch of a fork"
        )
