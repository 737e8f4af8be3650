# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The steady state of a network, and the least FIFO depths that keep it.

Rules, cited by tests as B1 to B4:

B1. Each tensor is released a *period* after the one before. If there are cycles for one tensor with
    which every tensor does the same, a period later each, the network has a schedule of that
    period (V4 finds it, or proves that there is none). Hardware whose sources are not paced is
    nowhere later than that, because nothing that happens earlier makes anything later; so it keeps
    the period for any number of tensors, without a deadlock.
B2. The interval is the least period, but at least the wanted one, for which there is a schedule
    with the open FIFOs endless, which is the best that depths can do: that of the slowest
    component, unless a ring of components is slower.
B3. A depth is good if a lone tensor takes no longer than with endless FIFOs, and the network has a
    schedule of the interval. Less room never makes a bad depth good, except that no FIFO at all,
    a wire, may be good where a shallow one is bad: it takes no cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..jobs import StoppedError
from .components import Queue, Run, Schedule
from .solve import Stuck

_SHALLOW = 4
"""Slots of a FIFO that may be there for its cycle of delay only."""

LONE, ROW = 0, 1
"""Tensors of a solver with a period (V4)."""


class Steady:
    """The schedules of a network: that of a lone tensor, and that of an interval (B1).

    Parameters
    ----------
    schedule : the network, its open FIFOs endless
    interval : wanted cycles from one tensor to the next; 1 for the best that there is
    stopped : asked before each try of depths whether to give up

    Attributes
    ----------
    interval : the wanted one, or the best if that is longer (B2)

    Raises
    ------
    ScheduleDeadlock
        If the network stops whatever the depths are.
    """

    def __init__(
        self, schedule: Schedule, interval: int, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._schedule = schedule
        self._stopped = stopped
        self._solver = schedule.solver()
        self._last_out = schedule.run(1, self._solver).last_out[0]
        self.interval = max(interval, self._solver.own_interval())
        if not self._keeps(self.interval):
            self._lengthen()

    def run(self, inferences: int) -> Run:
        """What the network does with tensors back to back; it cannot be asked for more after that.

        Rule B1 says that it does not stop.
        """
        self._schedule.pace(self._solver, 0, live=True)
        return self._schedule.run(inferences, self._solver)

    def deepest(self, queue: Queue) -> int:
        """A depth that changes nothing."""
        return max(queue.o.occupancy(1), queue.o.steady_occupancy())

    def reduce(self, queue: Queue, depth: int) -> bool:
        """Give a FIFO that was deeper a depth of at least 1 if that is good (B3)."""
        self._go_on()
        before, queue.depth = queue.depth, depth
        self._solver.mark()
        try:
            good = self._solver.revise(LONE, queue.process, self._late)
            if good:
                self._solver.revise(ROW, queue.process)
        except Stuck:
            good = False
        if good:
            self._solver.commit()
        else:
            queue.depth = before
            self._solver.restore()
        return good

    def remove(self, queues: Sequence[Queue]) -> bool:
        """Make FIFOs wires if that is good for all of them at once (B3)."""
        self._go_on()
        before = [(queue, queue.depth) for queue in queues]
        for queue in queues:
            queue.depth = 0
        self._solver.mark()
        changed = [queue.process for queue in queues]
        good = all(self._replaced(tensor, changed) for tensor in (LONE, ROW))
        if good:
            self._solver.commit()
        else:
            self._solver.restore()
            for queue, depth in before:
                queue.depth = depth
        return good

    def _replaced(self, tensor: int, changed: Sequence[int]) -> bool:
        try:
            if not self._solver.replace(tensor, changed):
                self._solver.again(tensor, self._late if tensor == LONE else None)
        except Stuck:
            return False
        return tensor == ROW or not self._late()

    def _late(self) -> bool:
        return self._schedule.last_out(0) > self._last_out

    def _lengthen(self) -> None:
        """From an interval that is too short to the next that is not (B2), by halving."""
        low, step = self.interval, 1
        while not self._keeps(low + step):
            low, step = low + step, 2 * step
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if self._keeps(middle):
                high = middle
            else:
                low = middle
        self._keeps(high)

    def _go_on(self) -> None:
        if self._stopped():
            raise StoppedError

    def _keeps(self, interval: int) -> bool:
        self._go_on()
        self.interval = interval
        self._schedule.pace(self._solver, interval)
        try:
            self._solver.extend()
        except Stuck:
            return False
        return True


def least_depths(
    schedule: Schedule,
    bits: Mapping[Queue, int],
    interval: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Steady:
    """Give every open FIFO the least depth that is good while the others stay as they are (B3).

    Parameters
    ----------
    schedule : the network; its open FIFOs are endless
    bits : the open FIFOs, and how many bits a slot of each has
    interval : wanted cycles from one tensor to the next; 1 for the best that there is
    stopped : asked again and again whether to give up

    Raises
    ------
    StoppedError
        If ``stopped`` said so.
    """
    steady = Steady(schedule, interval, stopped)
    # From here on none gets any deeper, so what one FIFO saves is not stored in another.
    for queue in bits:
        queue.depth = steady.deepest(queue)
    steady.remove([queue for queue in bits if _shallow(queue)])
    removed = True
    while removed:
        for queue in sorted(bits, key=lambda q: (q.depth or 0) * bits[q], reverse=True):
            _reduce(steady, queue)
        shallow = [queue for queue in bits if queue.depth and _shallow(queue)]
        removed = sum(steady.remove([queue]) for queue in shallow) > 0
    return steady


def _reduce(steady: Steady, queue: Queue) -> None:
    """Give it the least good depth that is not 0, unless it is a wire already.

    Mostly that is the depth that it has or one less, so steps are small at first, and each doubles
    what was taken off. A bad depth is the end of that: what is left between it and the least good
    one is divided, a third of it at a time from above, because bad depths take several times as
    long to try as good ones.
    """
    start = good = queue.depth or 0
    bad = 0
    while good - bad > 1:
        step = max((good - bad) // 3 if bad else start - good, 1)
        depth = max(good - step, bad + 1)
        if steady.reduce(queue, depth):
            good = depth
        else:
            bad = depth


def _shallow(queue: Queue) -> bool:
    return (queue.depth or 0) <= _SHALLOW
