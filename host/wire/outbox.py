# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages on their way out: one train of datagrams at a time, paced, bounded, never sleeping.

A receiver's socket holds little more than a train, so a message of several trains is sent over
some milliseconds. The loop that owns the outbox asks when the next one is due, waits that long at
most for whatever else may come, and lets it go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from .udp import Address, Datagram, Train, UdpPort, trains

PACE_SECONDS = 0.004
"""Between two trains of a message: a Python node takes about that long to read one."""


Key = TypeVar("Key", bound=Hashable)
"""What tells messages apart."""


@dataclass
class _Message:
    rest: Iterator[Train]
    following: Train
    to: Address
    due: float


class Outbox(Generic[Key]):
    """What one socket still has to send.

    Parameters
    ----------
    port : the socket
    limit : messages that wait at most
    """

    def __init__(self, port: UdpPort, limit: int) -> None:
        self._port = port
        self._limit = limit
        self._waiting: dict[Key, _Message] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: Key) -> bool:
        """Whether a message has not left whole."""
        return key in self._waiting

    @property
    def due(self) -> float | None:
        """When the next train is to leave, on the caller's clock; None if none waits."""
        return min((message.due for message in self._waiting.values()), default=None)

    def send(self, key: Key, datagrams: Iterable[Datagram], to: Address, now: float) -> bool:
        """Send the first train of a message now; the others follow in :meth:`pump`.

        A message under the same key that has not left whole gives way. False if too many wait.

        Raises
        ------
        OSError
            As the socket's own; nothing waits then.
        """
        self._waiting.pop(key, None)
        rest = trains(datagrams)
        first, following = next(rest, None), next(rest, None)
        if following is not None and len(self._waiting) >= self._limit:
            return False
        if first is not None:
            self._port.send(first, to)
        if following is not None:
            self._waiting[key] = _Message(rest, following, to, now + PACE_SECONDS)
        return True

    def discard(self, key: Key) -> None:
        """Forget what is left of a message."""
        self._waiting.pop(key, None)

    def pump(self, now: float) -> list[tuple[Key, OSError]]:
        """Send what is due; returns the messages that could not be sent on, now forgotten."""
        failed: list[tuple[Key, OSError]] = []
        for key, message in list(self._waiting.items()):
            if message.due > now:
                continue
            try:
                self._port.send(message.following, message.to)
            except OSError as error:
                failed.append((key, error))
                del self._waiting[key]
                continue
            following = next(message.rest, None)
            if following is None:
                del self._waiting[key]
            else:
                message.following, message.due = following, now + PACE_SECONDS
        return failed
