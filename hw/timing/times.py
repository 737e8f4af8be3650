# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the cycle model computes with: cycles of events, and the processes that make them.

A *process* is one component, or half of one. It says in which cycle each of its events happens,
from the cycles of others' events. There are two kinds, for the same network:

A :class:`BatchProcess` makes the cycles of all events of one tensor at a time, as numpy arrays.
Handshakes are recurrences such as ``take[n] = max(offer[n], take[n - 1] + 1)``, and
:func:`spaced` solves them without a loop::

    def update(n: int) -> tuple[Cycles, ...]:
        take = spaced(i.offer.of(n), i.take.last(n) + 1)
        return take, take + latency


    network.add_batch("delay", update, [i.offer], [i.take, o.offer])

``update`` is called again whenever something it reads has changed, with what is known so far: it
must keep no state, and compute the events of tensor ``n`` from what it reads of tensors up to
``n``, and from its own events of tensors before ``n``.

A :class:`ScalarProcess` is a generator that appends one cycle after another and yields times when
it needs an entry that is not there yet. It is run from the first tensor on whenever something has
changed, so it may keep state in local variables, but takes a hundred times longer: it suits rare
components of few beats, and the tests' oracle::

    def process(inferences: int) -> Blocked:
        at = -1
        for n in range(inferences * i.beats):
            while len(i.offer) <= n:
                yield i.offer
            at = max(i.offer[n], at + 1)
            i.take.append(at)
            o.offer.append(at + latency)


    network.add("delay", process, i.take, o.offer)

Both must be monotone, which all handshakes are: something earlier never makes anything later.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Cycles = npt.NDArray[np.signedinteger[Any]]
"""Cycles of consecutive events, never falling; int32 while none is beyond :data:`FAR`."""

FAR = 1 << 28
"""The last cycle that is held in 32 bits (V6)."""

ALWAYS = -(1 << 60)
"""Cycle of an event that nobody has to wait for."""

_NARROW_ALWAYS = -4 * FAR
"""The same in 32 bits."""

NEVER = 1 << 60
"""Cycle of an event that does not happen."""


class Times(list[int]):
    """Cycles of one kind of event, made by one process and read by others.

    Attributes
    ----------
    each : events of one tensor, None until the process that makes them has run
    cycles : those of all tensors so far
    period : if not 0, tensor 1 stands for any of an endless row: each tensor before it did the same
        so many cycles earlier

    As a list it holds what a :class:`ScalarProcess` works on, while that runs.
    """

    __slots__ = ("cycles", "each", "period", "readers")

    def __init__(self, each: int | None = None) -> None:
        super().__init__()
        self.each = each
        self.cycles: Cycles = np.zeros(0, np.int64)
        self.period = 0
        self.readers: set[int] = set()

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def always(self) -> int:
        """Cycle of an event that nobody has to wait for, among these."""
        return _NARROW_ALWAYS if self.cycles.dtype == np.int32 else ALWAYS

    def widen(self) -> None:
        """Hold cycles in 64 bits."""
        wide = self.cycles.astype(np.int64)
        wide[self.cycles == self.always] = ALWAYS
        self.cycles = wide

    def of(self, n: int) -> Cycles:
        """The events of tensor ``n``, a view."""
        each = self.each or 0
        return self.cycles[n * each : (n + 1) * each]

    def before(self, n: int, lag: int) -> Cycles:
        """For each event of tensor ``n``, the one ``lag`` events earlier, or :attr:`always`."""
        each = self.each or 0
        if n and self.period:
            tensors, events = divmod(lag, each)
            here = self.of(n)
            if (tensors + 1) * self.period > FAR:
                here = here.astype(np.int64)
            found = np.empty_like(here)
            np.subtract(here[each - events :], (tensors + 1) * self.period, out=found[:events])
            np.subtract(here[: each - events], tensors * self.period, out=found[events:])
            return found
        start = n * each - lag
        if start >= 0:
            return self.cycles[start : start + each]
        found = np.full(each, self.always, self.cycles.dtype)
        if start + each > 0:
            found[-start:] = self.cycles[: start + each]
        return found

    def last(self, n: int) -> int:
        """The last event before tensor ``n``; -1 if there is none."""
        each = self.each or 0
        if n and self.period:
            return int(self.cycles[(n + 1) * each - 1]) - self.period
        return int(self.cycles[n * each - 1]) if n * each else -1

    def allot(self, inferences: int) -> None:
        """Make room for tensors; new events are in cycle 0."""
        known, wanted = len(self.cycles), inferences * (self.each or 0)
        if wanted > known:
            # Half as much again, so that tensors can be added one by one; what is not written yet
            # takes no memory.
            cycles = np.zeros(wanted + known // 2, self.cycles.dtype)
            cycles[:known] = self.cycles
            self.cycles = cycles


@lru_cache(maxsize=256)
def _ramp(count: int, step: int, dtype: np.dtype[Any]) -> Cycles:
    ramp: Cycles = np.arange(count, dtype=dtype) * step
    ramp.setflags(write=False)
    return ramp


def spaced(ready: Cycles, first: int, step: int = 1) -> Cycles:
    """Cycles of events that are each not before it is ready, and ``step`` cycles apart or more.

    ``first`` is the earliest cycle of the first. This is ``at[n] = max(ready[n], at[n - 1] +
    step)``, a cumulative maximum once the slope is taken out.
    """
    ramp = _ramp(len(ready), step, ready.dtype)
    at = ready - ramp
    if (at[1:] < at[:-1]).any():  # accumulating takes ten times as long as this look
        np.maximum.accumulate(at, out=at)
    np.maximum(at, first, out=at)
    at += ramp
    return at


def evenly(places: Cycles) -> slice | Cycles:
    """The same events of a tensor as a slice, which is many times faster, if they are as far apart
    everywhere.
    """
    if len(places) < 2:
        return places
    step = int(places[1] - places[0])
    if step < 1 or (np.diff(places) != step).any():
        return places
    return slice(int(places[0]), int(places[-1]) + 1, step)


class Process(Protocol):
    """What the solver needs of a process.

    ``reads`` is complete once it was updated: a :class:`ScalarProcess` shows what it reads.
    """

    name: str
    writes: Sequence[Times]

    @property
    def reads(self) -> Sequence[Times]:
        """The times of others that it waits for."""
        ...

    @property
    def rule(self) -> Callable[[int], object]:
        """The function that it is, with all that it holds (:mod:`.describe`)."""
        ...

    def watch(self, index: int) -> None:
        """Register as reader ``index`` of what it reads, as far as that is known."""
        ...

    def update(self, n: int) -> Sequence[Cycles]:
        """The events of tensor ``n``, for each of ``writes``."""
        ...


class BatchProcess:
    """A process that makes the events of one tensor at a time."""

    def __init__(
        self,
        name: str,
        update: Callable[[int], Sequence[Cycles]],
        reads: Sequence[Times],
        writes: Sequence[Times],
    ) -> None:
        self.name = name
        self.writes = writes
        self.update = self.rule = update
        self.reads = reads

    def watch(self, index: int) -> None:
        """Register as reader ``index``."""
        for times in self.reads:
            times.readers.add(index)


Blocked = Generator[Times, None, None]
"""A scalar process: yields the times that it waits for."""


class ScalarProcess:
    """A process that makes one event after another; what it reads shows when it waits."""

    def __init__(self, name: str, make: Callable[[int], Blocked], writes: Sequence[Times]) -> None:
        self.name = name
        self.writes = writes
        self.rule = make
        self.reads: list[Times] = []
        self._index = -1

    def watch(self, index: int) -> None:
        """Register as reader ``index``."""
        self._index = index
        for times in self.reads:
            times.readers.add(index)

    def update(self, n: int) -> Sequence[Cycles]:
        """Run it for the tensors up to ``n``."""
        for times in self.rule(n + 1):
            self._supply(times, n)
        for times in self.writes:
            if times.each is None:
                times.each = len(times) // (n + 1)
                times.allot(n + 1)
        made = [np.array(times[n * (times.each or 0) :], np.int64) for times in self.writes]
        # Lists are empty between updates, so that a process waits for whatever it reads.
        for times in (*self.reads, *self.writes):
            times.clear()
        return made

    def _supply(self, times: Times, n: int) -> None:
        if times not in self.reads:
            self.reads.append(times)
            times.readers.add(self._index)
        if times.each is None:
            times.append(0)
        elif len(times) < (n + 1) * times.each:
            times[:] = times.cycles[: (n + 1) * times.each].tolist()
        else:
            raise ValueError(
                f"{self.name} waits for more than the {times.each} events of each tensor"
            )
