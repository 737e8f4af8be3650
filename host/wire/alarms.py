# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Times at which something is to be done about each of many things, the earliest first.

An alarm that is put off again and again, as by every fragment that comes, costs a look-up each
time; it moves in the queue only when its old time has come.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
"""What tells alarms apart."""


class Alarms(Generic[Key]):
    """One alarm at most for each key, on the caller's clock."""

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._queued: dict[Key, float] = {}  # the time under which a key stands in the queue
        self._queue: list[tuple[float, int, Key]] = []
        self._order = itertools.count()  # so that keys are never compared

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: Key, at: float) -> None:
        """Set the key's alarm, in place of the one that it may have."""
        self._at[key] = at
        queued = self._queued.get(key)
        if queued is None or at < queued:
            self._push(key, at)

    def discard(self, key: Key) -> None:
        """Forget the key's alarm, if it has one."""
        self._at.pop(key, None)
        self._queued.pop(key, None)

    @property
    def due(self) -> float | None:
        """When to look next, never later than the first alarm; None if there is none."""
        while self._queue and self._is_stale(*self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def rung(self, now: float) -> list[Key]:
        """Keys whose time has come; their alarms are gone."""
        found = []
        while self._queue and self._queue[0][0] <= now:
            time, order, key = heapq.heappop(self._queue)
            if self._is_stale(time, order, key):
                continue
            del self._queued[key]
            if self._at[key] <= now:
                del self._at[key]
                found.append(key)
            else:
                self._push(key, self._at[key])
        return found

    def _push(self, key: Key, at: float) -> None:
        self._queued[key] = at
        heapq.heappush(self._queue, (at, next(self._order), key))

    def _is_stale(self, time: float, order: int, key: Key) -> bool:
        del order
        return self._queued.get(key) != time
