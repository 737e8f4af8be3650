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
V6. Cycles are held in 32 bits while none is beyond FAR, and from then on all of them in 64. A
    process compares what it reads and adds to it, so what it makes is no more than its *reach*
    behind the last of that: what it makes if it reads cycle 0 everywhere. While no reach, no period
    and no cycle is beyond FAR, nothing that a process computes leaves 32 bits: it is at most 2 FAR,
    and 2 FAR more on the way there. Nor does it where it comes from an event that nobody waits for,
    4 FAR before cycle 0; that stays before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from .alone import Alone, alone
from .surroundings import surroundings
from .times import FAR, NEVER, BatchProcess, Cycles, Process, Times

_HOPE = 8
"""Sweeps from a guess that may be too late somewhere: where it is, a ring of events may hold on to
it for long.
"""

_FIRST_LOOK = 4
"""Sweeps after which it is first asked whether cycles grow for ever (V3), and then every time that
there have been as many again.
"""

_LOOK_BEHIND_LATE = 32
"""The same where something is late if cycles grow for ever: that mostly shows sooner, and costs
nothing to see.
"""

_LOOK_NEARBY = 2
"""The same for what is around one process: one way through it and back."""

_WIDE = 32
"""Processes before and behind those that are solved next."""


class Stuck(Exception):
    """There are no cycles for a tensor: a deadlock, or a period that is too short."""


_Old = dict[tuple[Times, int], Cycles]
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
        self._all = range(len(processes))
        self.times = times
        self.solved = 0
        self._marks: list[_Old] = []
        self._known: dict[int, list[int]] = {}
        for t in times:
            t.cycles = np.zeros(0, np.int64)
            t.period = 0
            t.readers.clear()
        for index, process in enumerate(processes):
            process.watch(index)
        # What scalar processes read shows only when they run.
        batch = all(isinstance(process, BatchProcess) for process in processes)
        self._narrow = batch and all(each.reach <= FAR for each in self._alone)
        for t in times:
            t.cycles = np.zeros(0, np.int32 if self._narrow else np.int64)
        self.restart(period)

    def restart(self, period: int, *, live: bool = False) -> None:
        """Forget all tensors but the lone first, which does not depend on the period.

        ``live``: it is known that the network does not stop, so nothing asks for it.
        """
        self._period = period
        self._live = live
        self.solved = min(self.solved, 1)
        self._marks.clear()
        for times in self.times:
            times.period = period
        if self._narrow and period > FAR:
            self._widen()

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
        # Maybe this tensor follows the last one as that did the one before; but the first is alone.
        found = False
        if n > 2:
            self._begin(n, lambda times: 2 * times.of(n - 1) - times.of(n - 2))
            found = self._hope(n, set(self._all))
        if not found:
            self.again(n)
        self.solved += 1

    def again(self, n: int, late: Callable[[], bool] | None = None) -> bool:
        """Solve tensor ``n`` from the start; the rest is that of :meth:`revise`."""
        self._begin(n, lambda times: self._first_guess(times, n))
        return self._solve(n, set(self._all), late or _never, self._all)

    def revise(self, n: int, process: int, late: Callable[[], bool] | None = None) -> bool:
        """Solve tensor ``n`` again, after a change that made events of a process later.

        What there is no solution for shows first in what is ``late``. If nothing can be, it mostly
        shows between the fork and the join around the process, so that is solved first.

        Returns
        -------
        False as soon as ``late`` says so of the cycles so far, which are never too late (V2).

        Raises
        ------
        Stuck
            If the network stops, or its tensors cannot repeat themselves.
        """
        dirty = {process}
        if late is not None:
            return self._solve(n, dirty, late, self._all)
        near = self._near(process)
        wide = self._all[max(0, near[0] - _WIDE) : near[-1] + _WIDE + 1]
        return all(self._solve(n, dirty, _never, order) for order in (near, wide, self._all))

    def replace(self, n: int, changed: Iterable[int]) -> bool:
        """Solve tensor ``n`` again, after any change of some processes.

        It is hoped that little else changes, from the cycles so far.

        Returns
        -------
        False if that did not find cycles; then they are as before.
        """
        self.mark()
        found = self._hope(n, set(changed))
        if found:
            self.commit()
        else:
            self.restore()
        return found

    def _begin(self, n: int, guess: Callable[[Times], Cycles]) -> None:
        """Write down guesses of all cycles."""
        for times in self.times:
            cycles = guess(times)
            self._widened([cycles])
            self._write(times, n, cycles)

    def _hope(self, n: int, dirty: set[int]) -> bool:
        """Sweep from any guess; says whether that ended."""
        self._sweeps(n, dirty, _HOPE, self._all)
        return not dirty

    def _first_guess(self, times: Times, n: int) -> Cycles:
        """Cycles that are nowhere too late."""
        return times.of(n - 1) + self._period if n else np.zeros(times.each or 0, np.int64)

    def mark(self) -> None:
        """Remember everything, for :meth:`restore`; marks nest."""
        self._marks.append({})

    def restore(self) -> None:
        """Go back to the last mark, and forget it."""
        for (times, n), cycles in self._marks.pop().items():
            times.of(n)[:] = cycles

    def commit(self) -> None:
        """Forget the last mark, but not those before it."""
        last = self._marks.pop()
        if self._marks:
            self._marks[-1] = last | self._marks[-1]

    def stop(self) -> None:
        """After :class:`Stuck`: events that never happen get the cycle NEVER (V5)."""
        n = self.solved
        self._begin(n, lambda times: np.full(times.each or 0, NEVER, np.int64))
        dirty = set(self._all)
        while dirty:
            self._sweeps(n, dirty, 2, self._all, change=lambda _, cycles: np.minimum(cycles, NEVER))

    def _solve(
        self, n: int, dirty: set[int], late: Callable[[], bool], order: Sequence[int]
    ) -> bool:
        """From a guess that is nowhere too late (V2, V3).

        Where these are not all processes, some of them may be left dirty: a ring that is slow by
        itself may be pushed by others.
        """
        whole = len(order) == len(self._all)
        first = _FIRST_LOOK if late is _never else _LOOK_BEHIND_LATE
        sweeps = first if whole else _LOOK_NEARBY
        self._sweeps(n, dirty, sweeps, order, late)
        while not dirty.isdisjoint(order) and not late():
            before = self._changed(n, dirty, sweeps, order, late)
            still = not dirty.isdisjoint(order) and not late() and not self._live
            if still and self._grows(n, before, order, sweeps):
                raise Stuck
            if not whole and sweeps >= _FIRST_LOOK:
                break
            sweeps *= 2
        return not late()

    def _near(self, process: int) -> list[int]:
        """The processes that are solved first when one changes."""
        if process not in self._known:
            self._known[process] = surroundings(self._neighbours, process)
        return self._known[process]

    @cached_property
    def _neighbours(self) -> list[set[int]]:
        """For each process those that read what it makes, or make what it reads."""
        found: list[set[int]] = [set() for _ in self._all]
        for index in self._all:
            for times in self._processes[index].writes:
                for reader in times.readers - {index}:
                    found[index].add(reader)
                    found[reader].add(index)
        return found

    def _changed(
        self, n: int, dirty: set[int], most: int, order: Sequence[int], late: Callable[[], bool]
    ) -> dict[Times, Cycles]:
        """Sweep; gives what changed, as it was before."""
        self.mark()
        self._sweeps(n, dirty, most, order, late)
        before = self._marks[-1]
        self.commit()
        return {times: cycles for (times, _), cycles in before.items()}

    def _grows(
        self, n: int, before: Mapping[Times, Cycles], order: Iterable[int], sweeps: int
    ) -> bool:
        """Whether what came later than ``before`` does so by itself, in at most as many sweeps
        (V3).
        """
        grown = {t: later for t, cycles in before.items() if (later := t.of(n) > cycles).any()}
        # Whoever makes none of it has no part in it.
        growing = [i for i in order if any(t in grown for t in self._processes[i].writes)]
        touched = {
            t for i in growing for t in (*self._processes[i].reads, *self._processes[i].writes)
        }
        after = {times: times.of(n).copy() for times in touched}
        for times in touched:
            times.of(n)[:] = times.always
            if times in grown:
                np.copyto(times.of(n), before[times], where=grown[times])

        def change(times: Times, cycles: Cycles) -> Cycles:
            found = np.full_like(times.of(n), times.always)
            if times in grown:
                # What came from ALWAYS stays there, or it would be a little later each sweep.
                np.copyto(found, cycles, where=grown[times] & (cycles > times.always // 2))
            return found

        def grew() -> bool:
            return all((t.of(n) > before[t])[later].all() for t, later in grown.items())

        marks, self._marks = self._marks, []
        self._sweeps(n, set(growing), sweeps, growing, grew, change)
        grows = grew()
        self._marks = marks
        for times, cycles in after.items():
            times.of(n)[:] = cycles
        return grows

    def _sweeps(
        self,
        n: int,
        dirty: set[int],
        most: int,
        order: Sequence[int],
        late: Callable[[], bool] = _never,
        change: _Change | None = None,
    ) -> None:
        """Sweep through some processes, forwards first, until none of them is dirty, or it is late.

        ``most`` is even. What processes make can be changed before it is noted.
        """
        backwards = order[::-1]
        for sweep in range(most):
            self._sweep(n, dirty, backwards if sweep % 2 else order, change)
            if dirty.isdisjoint(order) or late():
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
            made = process.update(n)
            if self._widened(made):
                made = process.update(n)
            for times, cycles in zip(process.writes, made, strict=True):
                if change is not None:
                    cycles = change(times, cycles)
                if (cycles != times.of(n)).any():
                    self._write(times, n, cycles)
                    dirty |= times.readers

    def _write(self, times: Times, n: int, cycles: Cycles) -> None:
        if self._marks and (times, n) not in self._marks[-1]:
            self._marks[-1][times, n] = times.of(n).copy()
        times.of(n)[:] = cycles

    def _widened(self, made: Iterable[Cycles]) -> bool:
        """Whether these cycles are the first that are too late for 32 bits (V6)."""
        far = self._narrow and any(cycles.max() > FAR for cycles in made)
        if far:
            self._widen()
        return far

    def _widen(self) -> None:
        self._narrow = False
        for times in self.times:
            times.widen()

    def own_interval(self) -> int:
        """Cycles from tensor to tensor of the slowest process, when it waits for nobody."""
        return max(each.interval for each in self._alone)

    @cached_property
    def _alone(self) -> list[Alone]:
        return [alone(process) for process in self._processes]
