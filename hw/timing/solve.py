# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Solver of the cycle model: the one set of cycles that satisfies every process.

Tensors are solved one after another, because no event of a tensor waits for one of a later tensor.
Within a tensor every process is updated, forwards and backwards through the network, until nothing
changes any more. Three facts make that exact:

V1. Without a deadlock, events wait for each other in no circle, so there is one solution, and any
    first guess ends in it. A good guess (the tensor before, shifted) ends soon.
V2. Processes are monotone, so from a guess that is nowhere too late, cycles only grow and are never
    too late on the way.
V3. From the guess that nothing ever happens, an event gets its cycle as soon as all that it waits
    for have theirs, and keeps it. What has none in the end is in a deadlock. This takes many more
    sweeps, so it is done only where another guess does not end soon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .times import NEVER, Cycles, Process, Times

_HOPE = 4
"""Sweeps from a guess that may be too late somewhere: where it is, a ring of events may hold on to
it for long.
"""

_PATIENCE = 256
"""Sweeps from a guess that is nowhere too late, after which a deadlock is looked for (V3)."""

_LONG_PATIENCE = 1024
"""The same where it ends anyway, because cycles grow until they are too late."""


class Stuck(Exception):
    """A deadlock: some events of a tensor are in cycle :data:`~midwire.hw.timing.times.NEVER`."""


class Solver:
    """Solves tensor after tensor.

    Parameters
    ----------
    processes : roughly in the order of the streams; that only makes it faster
    pace : cycles from one tensor's release at the sources to the next
    """

    def __init__(self, processes: Sequence[Process], times: Sequence[Times], pace: int) -> None:
        self._processes = processes
        self._forwards = range(len(processes))
        self.times = times
        self.pace = pace
        self.solved = 0
        self.changed: set[Times] = set()
        self._undo: dict[tuple[Times, int], Cycles] | None = None
        self._follows: dict[int, bool] = {}
        for t in times:
            t.cycles = t.cycles[:0]
            t.readers.clear()
        for index, process in enumerate(processes):
            process.watch(index)

    def extend(self) -> None:
        """Solve one more tensor.

        Raises
        ------
        Stuck
            If the network stops.
        """
        n = self.solved
        for times in self.times:
            times.allot(n + 1)
        dirty = set(self._forwards)
        # Maybe this tensor follows the last one as that did the one before.
        if n > 1:
            for times in self.times:
                times.of(n)[:] = 2 * times.of(n - 1) - times.of(n - 2)
            self._sweeps(n, dirty, _HOPE)
        if dirty:
            for times in self.times:
                self._write(times, n, times.of(n - 1) + self.pace if n else times.of(0) * 0)
            dirty.update(self._forwards)
            self._solve(n, dirty, None)
        self.solved += 1

    def revise(self, n: int, process: int, late: Callable[[], bool] | None = None) -> bool:
        """Solve tensor ``n`` again, after a change that made events of a process later.

        Tensors before ``n`` have been revised.

        Returns
        -------
        False as soon as ``late`` says so of the cycles so far, which are never too late (V2).

        Raises
        ------
        Stuck
            If the network stops.
        """
        dirty = {process}.union(*(times.readers for times in self.changed))
        return self._solve(n, dirty, late)

    def follows(self, n: int, interval: int) -> bool:
        """Whether everything of tensor ``n`` came just that much after tensor ``n - 1``."""
        if n not in self._follows:
            self._follows[n] = all(
                (times.of(n) - times.of(n - 1) == interval).all() for times in self.times
            )
        return self._follows[n]

    def mark(self) -> None:
        """Remember everything, for :meth:`restore`."""
        self._undo = {}
        self.changed = set()
        self._follows = {}

    def restore(self, solved: int) -> None:
        """Go back to the mark, when ``solved`` tensors were solved."""
        for (times, n), cycles in (self._undo or {}).items():
            times.of(n)[:] = cycles
        self._follows = {}
        self.solved = solved

    def _solve(self, n: int, dirty: set[int], late: Callable[[], bool] | None) -> bool:
        self._sweeps(n, dirty, _LONG_PATIENCE if late else _PATIENCE, late)
        if late is not None and late():
            return False
        if not dirty:
            return True
        for times in self.times:
            self._write(times, n, np.full(times.each or 0, NEVER, np.int64))
        dirty.update(range(len(self._processes)))
        while dirty:
            self._sweep(n, dirty)
        if any((times.of(n) == NEVER).any() for times in self.times):
            raise Stuck
        return late is None or not late()

    def _sweeps(
        self, n: int, dirty: set[int], most: int, late: Callable[[], bool] | None = None
    ) -> None:
        """Sweep until nothing is dirty, or it is late."""
        for _ in range(most):
            self._sweep(n, dirty)
            if not dirty or (late is not None and late()):
                return

    def _sweep(self, n: int, dirty: set[int]) -> None:
        """Update what is dirty, forwards and backwards."""
        for index in (*self._forwards, *reversed(self._forwards)):
            if index not in dirty:
                continue
            dirty.discard(index)
            process = self._processes[index]
            for times, cycles in zip(process.writes, process.update(n), strict=True):
                cycles = np.minimum(cycles, NEVER)
                if not np.array_equal(cycles, times.of(n)):
                    self._write(times, n, cycles)
                    dirty |= times.readers

    def _write(self, times: Times, n: int, cycles: Cycles) -> None:
        if self._undo is not None and (times, n) not in self._undo:
            self._undo[times, n] = times.of(n).copy()
        times.of(n)[:] = cycles
        self.changed.add(times)

    def own_interval(self) -> int:
        """Cycles from tensor to tensor of the slowest process, when it waits for nobody."""
        first, second = self._alone(0), self._alone(1)
        return max(int((b - a).max()) for a, b in zip(first, second, strict=True))

    def _alone(self, n: int) -> list[Cycles]:
        """What every process makes of tensor ``n`` when it waits for nobody."""
        kept = [times.cycles for times in self.times]
        for times in self.times:
            times.cycles = np.zeros((n + 1) * (times.each or 0), np.int64)
        made: list[Cycles] = []
        for process in self._processes:
            for m in range(n + 1):
                for times, cycles in zip(process.writes, process.update(m), strict=True):
                    times.of(m)[:] = cycles
            for times in process.writes:
                made.append(times.of(n).copy())
                times.cycles[:] = 0
        for times, cycles in zip(self.times, kept, strict=True):
            times.cycles = cycles
        return made
