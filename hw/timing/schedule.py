# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A network of streams and timing processes, and when its tensors come and go.

How to write a process is in :mod:`midwire.hw.timing.times`; those of components are in
:mod:`midwire.hw.timing.components`, and so are the rules, T1 to T6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .solve import Solver, Stuck
from .times import NEVER, BatchProcess, Blocked, Cycles, Process, ScalarProcess, Times, spaced


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
        self.offer = Times(beats)
        self.take = Times(beats)

    def __repr__(self) -> str:
        return f"Edge({self.name!r}, beats={self.beats})"

    def occupancy(self, inferences: int) -> int:
        """Slots in use at once by the first tensors: a FIFO so deep never held its writer back.

        A slot is in use from the cycle in which its beat is written to the one in which it leaves.
        """
        count = inferences * self.beats
        return _slots(self.offer.cycles[:count], self.take.cycles[:count])

    def steady_occupancy(self) -> int:
        """The same with tensors that repeat themselves (:class:`~.solve.Solver`)."""
        offer, take, period = self.offer.of(1), self.take.of(1), self.take.period
        # Of tensors before these, all beats are gone when the first one of this is written.
        tensors = max(0, int(take[-1] - offer[0]) + 1) // period + 1
        earlier = np.arange(tensors, -1, -1, dtype=np.int64)[:, None] * period
        return _slots((offer - earlier).ravel(), (take - earlier).ravel())


def _slots(offer: Cycles, take: Cycles) -> int:
    gone = np.searchsorted(take, offer - 1, side="left")
    return int((np.arange(1, len(offer) + 1) - gone).max())


@dataclass(frozen=True)
class Run:
    """What a network does with back-to-back tensors.

    Attributes
    ----------
    first_in, last_out : for each inference, the cycle of the first input beat taken (of the input
        that comes first) and of the last output beat transferred (of the output that comes last)
    """

    first_in: tuple[int, ...]
    last_out: tuple[int, ...]

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
        self._processes: list[Process] = []
        self._extra: list[Times] = []
        self._sources: list[Edge] = []
        self._sinks: list[Edge] = []
        self._period = 0
        self._latest: Solver | None = None

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, in the order of creation."""
        return tuple(self._edges.values())

    @property
    def sources(self) -> tuple[Edge, ...]:
        """Those of the inputs."""
        return tuple(self._sources)

    @property
    def sinks(self) -> tuple[Edge, ...]:
        """Those of the outputs."""
        return tuple(self._sinks)

    @property
    def processes(self) -> tuple[Process, ...]:
        """All processes, in the order in which they are solved."""
        return tuple(self._processes)

    @property
    def all_times(self) -> tuple[Times, ...]:
        """Those of edges, and those inside of components."""
        return (*(t for edge in self.edges for t in (edge.offer, edge.take)), *self._extra)

    def edge(self, name: str, beats: int) -> Edge:
        """A new edge with ``beats`` beats for each tensor."""
        if name in self._edges:
            raise ValueError(f"there is an edge {name!r} already; names must differ")
        self._edges[name] = Edge(name, beats)
        return self._edges[name]

    def add(self, name: str, make: Callable[[int], Blocked], *writes: Times) -> int:
        """Add a :class:`~midwire.hw.timing.times.ScalarProcess`; returns its index.

        Parameters
        ----------
        name : for messages
        make : from the number of inferences to the process
        writes : the times that only this process appends to
        """
        self._processes.append(ScalarProcess(name, make, writes))
        return len(self._processes) - 1

    def add_batch(
        self,
        name: str,
        update: Callable[[int], Sequence[Cycles]],
        reads: Sequence[Times],
        writes: Sequence[Times],
    ) -> int:
        """Add a :class:`~midwire.hw.timing.times.BatchProcess`; returns its index.

        Processes are solved in the order in which they were added, and back: that of the streams
        is the fastest.

        Parameters
        ----------
        name : for messages
        update : from the number of a tensor to the cycles of its events, for each of ``writes``
        reads : the times of others that it waits for
        writes : the times that only this process makes
        """
        self._processes.append(BatchProcess(name, update, reads, writes))
        return len(self._processes) - 1

    def times(self, each: int | None = None) -> Times:
        """Events inside a component, ``each`` for a tensor, for two of its processes to share.

        A scalar process need not say how many it makes.
        """
        self._extra.append(Times(each))
        return self._extra[-1]

    def source(self, name: str, beats: int) -> Edge:
        """An input of the network, with a beat in every cycle (T6)."""
        edge = self.edge(name, beats)

        def update(n: int) -> tuple[Cycles]:
            return (np.full(beats, n * self._period, np.int64),)

        self.add_batch(name, update, [], [edge.offer])
        self._sources.append(edge)
        return edge

    def sink(self, edge: Edge) -> None:
        """An output of the network, taken in every cycle (T6)."""
        offer, take = edge.offer, edge.take

        def update(n: int) -> tuple[Cycles]:
            return (spaced(offer.of(n), take.last(n) + 1),)

        self.add_batch(f"sink of {edge.name}", update, [offer], [take])
        self._sinks.append(edge)

    def run(self, inferences: int = 3, solver: Solver | None = None) -> Run:
        """Times of ``inferences`` tensors, back to back, from sources to sinks.

        Parameters
        ----------
        inferences : how many
        solver : one of this network, unpaced; what it has solved is not solved again

        Raises
        ------
        ScheduleDeadlock
            If the network stops; the message names every edge on which somebody waits.
        """
        if inferences < 1:
            raise ValueError(f"inferences must be at least 1, not {inferences!r}")
        solver = solver or self.solver()
        try:
            while solver.solved < inferences:
                solver.extend()
        except Stuck:
            solver.stop()
            raise self._deadlock(solver.solved + 1) from None
        return Run(
            first_in=tuple(
                min(int(edge.take.of(n)[0]) for edge in self._sources) for n in range(inferences)
            ),
            last_out=tuple(self.last_out(n) for n in range(inferences)),
        )

    def solver(self, period: int = 0) -> Solver:
        """A solver that has solved no tensor yet.

        Only the last one made of a network may be used. With a ``period`` there are two tensors:
        see :class:`~midwire.hw.timing.solve.Solver`.
        """
        if not self._sources or not self._sinks:
            raise ValueError("a schedule needs at least one source and one sink")
        self._period = period
        made = {id(times) for process in self._processes for times in process.writes}
        for edge in self.edges:
            ends = [id(times) in made for times in (edge.offer, edge.take)]
            if ends[0] != ends[1]:
                verb = "offers" if ends[1] else "takes"
                raise ValueError(f"nothing {verb} the beats of edge {edge.name!r}")
        self._latest = Solver(self._processes, self.all_times, period)
        return self._latest

    def pace(self, solver: Solver, period: int, *, live: bool = False) -> None:
        """Give the last solver made of a network another period
        (:meth:`~midwire.hw.timing.solve.Solver.restart`).

        Raises
        ------
        ValueError
            If it is not the last: the cycles are those of the last.
        """
        if solver is not self._latest:
            raise ValueError("another solver was made of the network since; begin with that")
        self._period = period
        solver.restart(period, live=live)

    def last_out(self, n: int) -> int:
        """The cycle of the last output beat of tensor ``n``, which is being solved."""
        return max(int(edge.take.of(n)[-1]) for edge in self._sinks)

    def _deadlock(self, inferences: int) -> ScheduleDeadlock:
        """What to raise when the last of so many tensors is stuck."""
        makers = {id(times): p.name for p in self._processes for times in p.writes}
        reasons = []
        for edge in self.edges:
            beats = inferences * edge.beats
            offered = int(np.searchsorted(edge.offer.cycles[:beats], NEVER))
            taken = int(np.searchsorted(edge.take.cycles[:beats], NEVER))
            if offered > taken:
                reasons.append(
                    f"{makers[id(edge.offer)]} waits for room on {edge.name!r} "
                    f"({offered - taken} beats are not taken)"
                )
            elif offered < beats:
                reasons.append(
                    f"{makers[id(edge.take)]} waits for a beat on {edge.name!r} (after {offered})"
                )
        return ScheduleDeadlock(
            f"the network deadlocks: {'; '.join(reasons)}. Deepen the FIFO on the edge without "
            "room that lies on the shorter branch of a fork"
        )
