# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choosing among paths: the interface, and the one policy that there is.

Rules, cited by tests as S1 to S4:

S1. A request is given a path once; all its fragments and resends take it while it is alive.
S2. A path is dead when its first hop's machine refuses, or when ``SILENT_ATTEMPTS`` attempts in a
    row had no answer. An answer makes it alive.
S3. A dead path is tried again by a new request after ``REST_SECONDS``.
S4. With nothing alive, the path that has rested longest is used: a request never lacks a path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from .paths import NetworkPath

SILENT_ATTEMPTS = 2
"""Attempts without an answer after which a path counts as dead: one may be a lost datagram."""

REST_SECONDS = 5.0
"""Until a dead path is tried again."""


class Steering(ABC):
    """Chooses a path for each request and hears what came of it.

    Paths are named by their place in the sequence that the client was given; ``now`` is seconds on
    the client's monotonic clock.
    """

    @abstractmethod
    def choose(self, paths: Sequence[NetworkPath], now: float) -> int:
        """The path for a new request."""

    @abstractmethod
    def keep(self, path: int, paths: Sequence[NetworkPath], now: float) -> int:
        """The path for a request that is sent again and had this one."""

    @abstractmethod
    def answered(self, path: int, seconds: float) -> None:
        """A request sent by this path was answered after so many seconds."""

    @abstractmethod
    def unanswered(self, path: int, now: float, *, refused: bool) -> None:
        """An attempt by this path was not answered, or refused by the first hop's machine."""


class InOrder(Steering):
    """The first path that is alive (S1 to S4)."""

    def __init__(self) -> None:
        self._silent: dict[int, int] = {}
        self._dead_since: dict[int, float] = {}

    def choose(self, paths: Sequence[NetworkPath], now: float) -> int:
        """The first path that is alive or has rested; else the one that rests longest."""
        for index in range(len(paths)):
            since = self._dead_since.get(index)
            if since is None:
                return index
            if now - since >= REST_SECONDS:
                self._dead_since[index] = now  # this request tries it, others wait for the outcome
                return index
        return min(range(len(paths)), key=lambda index: self._dead_since[index])

    def keep(self, path: int, paths: Sequence[NetworkPath], now: float) -> int:
        """The same, unless it is dead and another is not."""
        if path not in self._dead_since:
            return path
        alive = (index for index in range(len(paths)) if index not in self._dead_since)
        return next(alive, path)

    def answered(self, path: int, seconds: float) -> None:
        """The path is alive."""
        del seconds
        self._silent.pop(path, None)
        self._dead_since.pop(path, None)

    def unanswered(self, path: int, now: float, *, refused: bool) -> None:
        """The path may be dead."""
        self._silent[path] = self._silent.get(path, 0) + 1
        if refused or self._silent[path] >= SILENT_ATTEMPTS:
            self._dead_since.setdefault(path, now)
