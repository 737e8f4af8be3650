# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Waits of a selector: as short as it is told, and ended by what comes."""

from __future__ import annotations

import select
import selectors
import socket

import pytest

from midwire.host.wire import short_waits
from midwire.host.wire.short_waits import ShortWaits


@pytest.mark.parametrize("timeout", [None, 5.0, 0.0])
@pytest.mark.parametrize("most", [short_waits._MOST_DESCRIPTORS, 0])
def test_what_is_ready_ends_a_wait(
    monkeypatch: pytest.MonkeyPatch, timeout: float | None, most: int
) -> None:
    monkeypatch.setattr(short_waits, "_MOST_DESCRIPTORS", most)
    one, two = socket.socketpair()
    with one, two, ShortWaits() as selector:
        key = selector.register(one, selectors.EVENT_READ, "here")
        two.send(b"!")
        assert selector.select(timeout) == [(key, selectors.EVENT_READ)]


def test_a_wait_is_no_whole_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(select, "select", lambda *arguments: waits.append(arguments[-1]))
    with ShortWaits() as selector:
        for timeout in (1e-4, 0.0, -1.0):
            assert selector.select(timeout) == []
    assert waits == [1e-4]  # and no time at all where there is none
