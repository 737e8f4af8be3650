# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""When datagrams came in, whenever they are read."""

from __future__ import annotations

import select
import sys
import time

import pytest

from midwire.host.wire.udp import Train, UdpPort, trains


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a datagram came")
@pytest.mark.parametrize("count", [1, 40])
def test_a_port_says_when_what_it_gave_had_come(count: int) -> None:
    with UdpPort() as one, UdpPort() as two:
        for _ in range(3):
            before = time.monotonic()
            for train in trains([bytes(100)] for _ in range(count)):
                one.send(train, two.address)
            assert select.select([two], [], [], 5.0)[0]
            came = time.monotonic()
            select.select([], [], [], 0.02)  # it waits to be read
            assert len(list(two.take())) == count
            # Both clocks are read one after the other, some microseconds apart.
            assert before - 1e-3 <= two.arrived <= came + 1e-3 < time.monotonic()


def test_before_anything_has_come_it_is_when_the_port_was_opened() -> None:
    before = time.monotonic()
    with UdpPort() as port:
        assert before <= port.arrived <= time.monotonic()
        assert list(port.take()) == []


def test_a_train_of_one() -> None:
    assert Train.of(b"abc") == Train(3, [[b"abc"]])
