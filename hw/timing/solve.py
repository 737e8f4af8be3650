# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Solver of the cycle model: the one set of cycles that satisfies every process.

Tensors are solved one after another, because no event of a tensor waits for one of a later tensor.
Within a tensor every process is updated, forwards and backwards through the network, until nothing
changes any more. These facts make that exact:

V1. Without a deadlock, events wait for each other in no circle, so there is one solution, and any
    first guess ends in it. A good guess (the tensor before, shifted) ends soon.
V2. Processes are monotone, so from a guess that is nowhere too late, cycles only grow and are never
    too late on the way.
V3. Where cycles grow for ever there is no solution: a deadlock. They do if a set of events, all
    others left out, makes each of its own events later within some sweeps: then it does so again
    and again, because processes only compare cycles and add to them. The few that do not (the
    release of a tensor, cycle 0, tensors before) have had as many sweeps before, so they are not
    what makes anything later.
V4. Tensors that repeat themselves, a period apart, are one tensor whose events wait for its own
    events, a period earlier. V3 says when the period is too short.
V5. From the guess that nothing ever happens, an event gets its cycle as soon as all that it waits
    for have theirs, and keeps it. What has none in the end is in the deadlock. This takes many
    sweeps, so it is done only to say where a network stops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .times import ALWAYS, NEVER, Cycles, Process, Times

_HOPE = 8
"""Sweeps from a guess that may be too late somewhere: where it is, a ring of events may hold on to
it for long.
"""

_FIRST_LOOK = 4
"""Sweeps after which it is first asked whether cycles grow for ever (V3), and then every time that
there have been as many again.
"""


class Stuck(Exception):
    """There are no cycles for a tensor: a deadlock, or a period that is too short."""


_Change = Callable[[Times, Cycles], Cycles]


def _never() -> bool:
    return False


class Solver:
    """Solves tensor after tensor.

    Parameters
    ----------
    processes : roughly in the order of the streams; that only makes it faster
    period : 0, or the cycles after which tensors repeat themselves (V4). Then tensor 0 is a lone
        one and tensor 1 any of an endless row, and there are no others.
    """

    def __init__(self, processes: Sequence[Process], times: Sequence[Times], period: int) -> None:
        self._processes = processes
        forwards = range(len(processes))
        self._orders = forwards, tuple(reversed(forwards))
        self.times = times
        self._period = period
        self.solved = 0
        self._undo: dict[tuple[Times, int], Cycles] | None = None
        for t in times:
            t.cycles = t.cycles[:0]
            t.period = period
            t.readers.clear()
        for index, process in enumerate(processes):
            process.watch(index)

    def extend(self) -> None:
        """Solve one more tensor.

        Raises
        ------
        Stuck
            If the network stops, or its tensors cannot repeat themselves.
        """
        n = self.solved
        for times in self.times:
            times.allot(n + 1)
        dirty = set(self._orders[0])
        # Maybe this tensor follows the last one as that did the one before.
        if n > 1:
            for times in self.times:
                times.of(n)[:] = 2 * times.of(n - 1) - times.of(n - 2)
            self._sweeps(n, dirty, _HOPE)
        if dirty:
            for times in self.times:
                self._write(times, n, times.of(n - 1) + self._period if n else times.of(0) * 0)
            dirty.update(self._orders[0])
            self._solve(n, dirty, _never)
        self.solved += 1

    def revise(self, n: int, process: int, late: Callable[[], bool] = _never) -> bool:
        """Solve tensor ``n`` again, after a change that made events of a process later.

        Returns
        -------
        False as soon as ``late`` says so of the cycles so far, which are never too late (V2).

        Raises
        ------
        Stuck
            If the network stops, or its tensors cannot repeat themselves.
        """
        return self._solve(n, {process}, late)

    def mark(self) -> None:
        """Remember everything, for :meth:`restore`."""
        self._undo = {}

    def restore(self) -> None:
        """Go back to the mark."""
        for (times, n), cycles in (self._undo or {}).items():
            times.of(n)[:] = cycles

    def stop(self) -> None:
        """After :class:`Stuck`: events that never happen get the cycle NEVER (V5)."""
        n = self.solved
        for times in self.times:
            self._write(times, n, np.full(times.each or 0, NEVER, np.int64))
        dirty = set(self._orders[0])
        while dirty:
            self._sweeps(n, dirty, 2, change=lambda _, cycles: np.minimum(cycles, NEVER))

    def _solve(self, n: int, dirty: set[int], late: Callable[[], bool]) -> bool:
        """From a guess that is nowhere too late (V2, V3)."""
        sweeps = _FIRST_LOOK
        self._sweeps(n, dirty, sweeps, late)
        while dirty and not late():
            before = [times.of(n).copy() for times in self.times]
            self._sweeps(n, dirty, sweeps, late)
            if dirty and not late() and self._grows(n, before, sweeps):
                raise Stuck
            sweeps *= 2
        return not late()

    def _grows(self, n: int, before: Sequence[Cycles], sweeps: int) -> bool:
        """Whether what came later than ``before`` does so by itself, in as many sweeps (V3)."""
        undo, self._undo = self._undo, None
        after = [times.of(n).copy() for times in self.times]
        grown = {t: a > b for t, a, b in zip(self.times, after, before, strict=True)}
        for times, cycles in zip(self.times, before, strict=True):
            times.of(n)[:] = np.where(grown[times], cycles, ALWAYS)
        dirty = set(self._orders[0])
        self._sweeps(n, dirty, sweeps, change=lambda times, c: np.where(grown[times], c, ALWAYS))
        grows = all((t.of(n) > b)[grown[t]].all() for t, b in zip(self.times, before, strict=True))
        for times, cycles in zip(self.times, after, strict=True):
            times.of(n)[:] = cycles
        self._undo = undo
        return grows

    def _sweeps(
        self,
        n: int,
        dirty: set[int],
        most: int,
        late: Callable[[], bool] = _never,
        change: _Change | None = None,
    ) -> None:
        """Sweep, forwards first, until nothing is dirty, or it is late.

        ``most`` is even. What processes make can be changed before it is noted.
        """
        for sweep in range(most):
            self._sweep(n, dirty, self._orders[sweep % 2], change)
            if not dirty or late():
                return

    def _sweep(
        self,
        n: int,
        dirty: set[int],
        order: Sequence[int],
        change: _Change | None,
    ) -> None:
        for index in order:
            if index not in dirty:
                continue
            dirty.discard(index)
            process = self._processes[index]
            for times, cycles in zip(process.writes, process.update(n), strict=True):
                if change is not None:
                    cycles = change(times, cycles)
                if not np.array_equal(cycles, times.of(n)):
                    self._write(times, n, cycles)
                    dirty |= times.readers

    def _write(self, times: Times, n: int, cycles: Cycles) -> None:
        if self._undo is not None and (times, n) not in self._undo:
            self._undo[times, n] = times.of(n).copy()
        times.of(n)[:] = cycles

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
