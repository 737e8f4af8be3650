# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A hop between clients and a cloud or a NIC, which loses, doubles, swaps and holds datagrams.

What becomes of each is decided by its number or its bytes, never by the clock, so that a test that
fails fails again. ``bench/recovery.py`` measures with it too.
"""

from __future__ import annotations

import itertools
import random
import selectors
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from midwire.host.wire.udp import Address, UdpPort, trains

Fate = Callable[[bytes], list[bytes]]
"""What goes on, and in which order, when a datagram has come."""

Fates = Callable[[], Fate]

HELD_SECONDS = 0.0001
"""With nothing coming, until what is held goes on: what nothing overtakes is not reordered, and is
not to be late for it. Paths side by side, which reorder, differ by less."""


def unharmed(datagram: bytes) -> list[bytes]:
    """Goes on as it came."""
    return [datagram]


class Disorder:
    """Random fates in shares of the datagrams, the same for the same seed.

    Parameters
    ----------
    seed : of the schedule
    lose, double, swap : shares; who is swapped goes on behind the next few
    """

    def __init__(
        self, seed: int, *, lose: float = 0.0, double: float = 0.0, swap: float = 0.0
    ) -> None:
        self._rng = random.Random(seed)
        self._shares = lose, double, swap
        self._held: list[tuple[int, bytes]] = []  # how many still pass it

    def __call__(self, datagram: bytes) -> list[bytes]:
        lose, double, swap = self._shares
        self._held = [(left - 1, held) for left, held in self._held]
        free = [held for left, held in self._held if left <= 0]
        self._held = [(left, held) for left, held in self._held if left > 0]
        draw = self._rng.random()
        if draw < lose:
            return free
        if draw < lose + double:
            return [datagram, datagram, *free]
        if draw < lose + double + swap:
            self._held.append((self._rng.randint(1, 3), datagram))
            return free
        return [datagram, *free]

    def release(self) -> list[bytes]:
        """What is held, when nothing comes."""
        held = [datagram for _, datagram in self._held]
        self._held.clear()
        return held


def released(fate: Fate) -> list[bytes]:
    """What a fate has held."""
    return fate.release() if isinstance(fate, Disorder) else []


class Flow:
    """One client: its socket beyond the hop, and the fates of its datagrams both ways."""

    def __init__(self, client: Address, onward: Fate, back: Fate) -> None:
        self.client = client
        self.port = UdpPort()
        self.onward, self.back = onward, back


class Hop:
    """Works in a thread, until the end of a ``with``.

    Each client has a socket of its own towards ``beyond``, as behind a NIC, and fates of its own.

    Parameters
    ----------
    beyond : where datagrams of clients go
    onward, back : make what decides on the datagrams of a client, and on those for it
    """

    def __init__(
        self, beyond: Address, onward: Fates = lambda: unharmed, back: Fates = lambda: unharmed
    ) -> None:
        self._beyond = beyond
        self._onward, self._back = onward, back
        self._front = UdpPort()
        self._flows: dict[Address, Flow] = {}
        self._selector = selectors.SelectSelector()  # epoll waits for whole milliseconds
        self._selector.register(self._front, selectors.EVENT_READ)
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._running = True
        self._thread = threading.Thread(target=self._work)
        self.address: Address = self._front.address

    def __enter__(self) -> Hop:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running = False
        self._waker.send(b"!")
        self._thread.join()
        self._selector.close()
        for end in (self._front, self._wake, self._waker):
            end.close()
        for flow in self._flows.values():
            flow.port.close()

    def _work(self) -> None:
        quiet = False
        while self._running:
            ready = self._selector.select(None if quiet else HELD_SECONDS)
            for key, _ in ready:
                if key.fileobj is self._front:
                    self._take_onward()
                elif key.data is not None:
                    self._take_back(key.data)
            quiet = not ready
            if quiet:
                for flow in self._flows.values():
                    self._send_onward(flow, released(flow.onward))
                    self._send_back(flow, released(flow.back))

    def _take_onward(self) -> None:
        for source, group in itertools.groupby(self._front.take(), key=lambda each: each[1]):
            flow = self._flows.get(source)
            if flow is None:
                flow = self._flows[source] = Flow(source, self._onward(), self._back())
                self._selector.register(flow.port, selectors.EVENT_READ, flow)
            self._send_onward(flow, [d for data, _ in group for d in flow.onward(bytes(data))])

    def _take_back(self, flow: Flow) -> None:
        sent = [d for data, _ in flow.port.take() for d in flow.back(bytes(data))]
        self._send_back(flow, sent)

    def _send_onward(self, flow: Flow, datagrams: list[bytes]) -> None:
        for train in trains([datagram] for datagram in datagrams):
            flow.port.send(train, self._beyond)

    def _send_back(self, flow: Flow, datagrams: list[bytes]) -> None:
        for train in trains([datagram] for datagram in datagrams):
            self._front.send(train, flow.client)
