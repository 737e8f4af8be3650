# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The steady state of a network, and the least FIFO depths that keep it.

Rules, cited by tests as B1 to B4:

B1. Sources are paced: each tensor is released an *interval* after the one before. If the network
    then repeats itself, tensor for tensor, it has a schedule of that interval. Hardware whose
    sources are not paced is nowhere later than that schedule, because nothing that happens earlier
    makes anything later; so it keeps the interval for any number of tensors, without a deadlock.
B2. The network repeats itself when as many tensors as are on their way at once each came exactly an
    interval after the one before, in every event: older tensors hold nobody back.
B3. The best interval is that of the slowest component, unless a ring of components is slower. It
    is looked for with the open FIFOs endless, which is the best that depths can do.
B4. A depth is good if a lone tensor takes no longer than with endless FIFOs, and the network has a
    schedule of the interval. Less room never makes a bad depth good, except that no FIFO at all,
    a wire, may be good where a shallow one is bad: it takes no cycle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .components import Queue, Schedule
from .solve import Solver, Stuck

_SETTLING = 32
"""Tensors, apart from those on their way, after which a network that does not repeat itself is held
to be too slow.
"""

_SHALLOW = 4
"""Slots of a FIFO that may be there for its cycle of delay only."""


class Steady:
    """A schedule with paced sources, solved until it repeats itself.

    Parameters
    ----------
    schedule : its open FIFOs endless
    interval : wanted cycles from one tensor to the next; 1 for the best that there is

    Attributes
    ----------
    interval : the wanted one, or the best if that is longer
    last_out : the cycle of a lone tensor's last output beat

    Raises
    ------
    ScheduleDeadlock
        If the network stops whatever the depths are.
    """

    def __init__(self, schedule: Schedule, interval: int) -> None:
        self._schedule = schedule
        self.last_out = schedule.run(1).last_out[0]
        self.interval = max(interval, schedule.solver().own_interval())
        try:
            while not self.solve():
                self.interval += self._growth()
        except Stuck:
            raise schedule.deadlock(self._solver.solved + 1) from None

    def solve(self) -> bool:
        """Solve from the first tensor on; says whether the depths are good (B4)."""
        self._solver: Solver = self._schedule.solver(self.interval)
        self._solver.extend()
        return not self._late() and self._repeats(
            _SETTLING + 2 * (self._latest(0) // self.interval)
        )

    def deepest(self, queue: Queue) -> int:
        """A depth that changes nothing."""
        return queue.o.occupancy(self._solver.solved)

    def reduce(self, queue: Queue, depth: int) -> bool:
        """Give a FIFO that was deeper a depth of at least 1 if that is good (B4)."""
        before, solved = queue.depth, self._solver.solved
        queue.depth = depth
        self._solver.mark()
        try:
            good = self._revise(queue)
        except Stuck:
            good = False
        if not good:
            queue.depth = before
            self._solver.restore(solved)
        return good

    def remove(self, queues: Sequence[Queue]) -> bool:
        """Make FIFOs wires if that is good for all of them at once (B4)."""
        solver = self._solver
        before = [(queue, queue.depth) for queue in queues]
        cycles = [times.cycles for times in solver.times]
        for queue in queues:
            queue.depth = 0
        try:
            good = self.solve()
        except Stuck:
            good = False
        if not good:
            for queue, depth in before:
                queue.depth = depth
            self._solver = solver
            for times, kept in zip(solver.times, cycles, strict=True):
                times.cycles = kept
        return good

    def _revise(self, queue: Queue) -> bool:
        solved = self._solver.solved
        if not self._solver.revise(0, queue.process, self._late):
            return False
        for n in range(1, solved):
            self._solver.revise(n, queue.process)
        return self._repeats(solved + 2 + solved // 2)

    def _late(self) -> bool:
        return self._schedule.last_out(0) > self.last_out

    def _repeats(self, most: int) -> bool:
        """Solve tensors, at most so many, until the network repeats itself (B2)."""
        solver = self._solver
        while True:
            end = solver.solved - 1
            flying = self._latest(end) // self.interval + 1
            if flying < end and all(
                solver.follows(n, self.interval) for n in range(end, end - flying, -1)
            ):
                return True
            if solver.solved >= most:
                return False
            solver.extend()

    def _latest(self, n: int) -> int:
        """Cycles from the release of tensor ``n`` to its last event."""
        latest = max(int(times.of(n)[-1]) for times in self._solver.times if times.each)
        return latest - n * self.interval

    def _growth(self) -> int:
        """Cycles by which each of the last tensors took longer than the one before, at least 1."""
        end = self._solver.solved - 1
        half = end - end // 2
        return max(1, (self._latest(end) - self._latest(end - half)) // half)


def least_depths(schedule: Schedule, bits: Mapping[Queue, int], interval: int) -> Steady:
    """Give every open FIFO the least depth that is good while the others stay as they are (B4).

    Parameters
    ----------
    schedule : the network; its open FIFOs are endless
    bits : the open FIFOs, and how many bits a slot of each has
    interval : wanted cycles from one tensor to the next; 1 for the best that there is
    """
    steady = Steady(schedule, interval)
    # From here on none gets any deeper, so what one FIFO saves is not stored in another.
    depths = {queue: steady.deepest(queue) for queue in bits}
    for queue, depth in depths.items():
        queue.depth = depth
    steady.remove([queue for queue, depth in depths.items() if depth <= _SHALLOW])
    removed = True
    while removed:
        for queue in sorted(bits, key=lambda q: depths[q] * bits[q], reverse=True):
            depths[queue] = _reduce(steady, queue)
        shallow = [queue for queue, depth in depths.items() if 0 < depth <= _SHALLOW]
        removed = sum(steady.remove([queue]) for queue in shallow) > 0
    return steady


def _reduce(steady: Steady, queue: Queue) -> int:
    """The least good depth that is not 0, unless it is a wire already."""
    low, high = 0, queue.depth or 0
    while high - low > 1:
        middle = (low + high) // 2
        if steady.reduce(queue, middle):
            high = middle
        else:
            low = middle
    return high
