# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages of several trains leave one train at a time, without anybody sleeping."""

from __future__ import annotations

import socket

import pytest

from midwire.host.wire.outbox import PACE_SECONDS, Outbox
from midwire.host.wire.udp import Datagram, UdpPort


def message(mark: bytes, trains: int) -> list[Datagram]:
    return [[mark, bytes(1000)] for _ in range(64 * trains)]


def arrived(port: UdpPort) -> bytes:
    return b"".join(bytes(data[:1]) for _ in range(70) for data, _ in port.receive(0.0))


def test_trains_leave_when_they_are_due() -> None:
    with UdpPort() as one, UdpPort() as two:
        box: Outbox[int] = Outbox(one, limit=4)
        assert len(box) == 0
        assert box.send(1, message(b"a", 3), two.address, 10.0)
        assert arrived(two) == b"a" * 64
        assert box.due == 10.0 + PACE_SECONDS
        assert box.pump(10.0) == []
        assert arrived(two) == b""
        for step in (1, 2):
            assert box.pump(10.0 + step * PACE_SECONDS) == []
            assert arrived(two) == b"a" * 64
            assert box.due == (10.0 + 2 * PACE_SECONDS if step == 1 else None)
        assert len(box) == 0


def test_what_waits_is_bounded_and_can_be_taken_back() -> None:
    with UdpPort() as one, UdpPort() as two:
        box: Outbox[int] = Outbox(one, limit=2)
        assert box.send(1, message(b"a", 2), two.address, 0.0)
        assert box.send(2, message(b"b", 2), two.address, 0.0)
        assert not box.send(3, message(b"c", 2), two.address, 0.0)
        assert box.send(4, message(b"d", 1), two.address, 0.0)  # has nothing to wait for
        box.send(1, message(b"e", 2), two.address, 0.0)  # sent again: the rest of it gives way
        box.discard(2)
        arrived(two)
        box.pump(1.0)
        assert arrived(two) == b"e" * 64
        assert len(box) == 0


def test_what_cannot_be_sent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with UdpPort() as one, UdpPort() as two:
        box: Outbox[int] = Outbox(one, limit=2)
        box.send(1, message(b"a", 2), two.address, 0.0)

        def broken(*_: object) -> None:
            raise socket.gaierror("down")

        monkeypatch.setattr(one, "send", broken)
        [(key, error)] = box.pump(1.0)
        assert key == 1 and isinstance(error, OSError)
        assert len(box) == 0
