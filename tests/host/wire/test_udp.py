# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Addresses of both IP versions; when datagrams came in, whenever they are read."""

from __future__ import annotations

import re
import select
import sys
import time
from functools import partial

import pytest

from midwire.host.errors import StartError
from midwire.host.wire.udp import (
    Address,
    Train,
    UdpPort,
    format_address,
    is_ipv6,
    parse_address,
    trains,
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a datagram came")
@pytest.mark.parametrize("count", [1, 40])
def test_a_port_says_when_what_it_gave_had_come(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    with UdpPort() as one, UdpPort() as two:

        def exchange() -> tuple[int, int, int]:
            """When it was sent, when it says that it had come, and when it had come at the latest:
            nanoseconds on the system's clock."""
            before = time.time_ns()
            for train in trains([bytes(100)] for _ in range(count)):
                one.send(train, two.address)
            assert select.select([two], [], [], 5.0)[0]
            came = time.time_ns()
            # Both clocks stand still at a moment of each: nothing comes between reading them.
            now = came + 20_000_000  # it waits to be read
            with monkeypatch.context() as clocks:
                clocks.setattr(time, "time_ns", partial(int, now))
                clocks.setattr(time, "monotonic", lambda: 100.0)
                assert len(list(two.take())) == count
            return before, now - round((100.0 - two.arrived) * 1e9), came

        begun = time.monotonic()
        while (first := exchange())[1] > first[2] + 1000:  # it begins some time after it is told to
            assert time.monotonic() < begun + 60
        for _ in range(3):
            before, arrived, came = exchange()
            assert before - 1000 <= arrived <= came + 1000  # seconds in a float are no nanoseconds


def test_before_anything_has_come_it_is_when_the_port_was_opened() -> None:
    before = time.monotonic()
    with UdpPort() as port:
        assert before <= port.arrived <= time.monotonic()
        assert list(port.take()) == []


def test_a_train_of_one() -> None:
    assert Train.of(b"abc") == Train(3, [[b"abc"]])


@pytest.mark.parametrize(
    ("text", "address", "again"),
    [
        (":5210", ("127.0.0.1", 5210), "127.0.0.1:5210"),
        ("localhost:1", ("127.0.0.1", 1), "127.0.0.1:1"),
        ("10.0.0.1:0", ("10.0.0.1", 0), "10.0.0.1:0"),
        ("[::1]:0", ("::1", 0), "[::1]:0"),
        ("[2001:DB8:0::0:7]:5220", ("2001:db8::7", 5220), "[2001:db8::7]:5220"),
        ("[::10.0.0.1]:1", ("::10.0.0.1", 1), "[::10.0.0.1]:1"),
    ],
)
def test_addresses_of_both_ip_versions(text: str, address: Address, again: str) -> None:
    assert parse_address(text) == address
    assert format_address(address) == again
    assert is_ipv6(address) == text.startswith("[")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("::1:5210", "::1, which is in no brackets"),
        ("[::1]", "which is no port number"),
        ("[fe80::1%lo]:1", "which needs a zone"),
        ("[fe80::1]:1", "which needs a zone"),
        ("[::ffff:10.0.0.1]:1", "an IPv4 address"),
        ("[10.0.0.1]:1", "At least 3 parts"),
    ],
)
def test_addresses_that_are_none(text: str, found: str) -> None:
    with pytest.raises(StartError) as caught:
        parse_address(text)
    assert re.search(found, str(caught.value)), caught.value
    assert "an IPv6 address in brackets" in str(caught.value)


def test_ports_of_ipv6() -> None:
    with UdpPort(("::1", 0)) as one, UdpPort(peer=one.address) as two:
        assert (two.address[0], one.address[0]) == ("::1", "::1")
        train = Train(100, [[bytes([n]) * 100] for n in range(40)])
        two.send(train, one.address)
        found: list[bytes] = []
        while len(found) < 40:
            for data, source in one.receive(5):
                assert source == two.address
                found.append(bytes(data))
        assert found == [bytes([n]) * 100 for n in range(40)]
        one.send(Train.of(b"back"), two.address)
        assert [bytes(data) for data, _ in two.receive(5)] == [b"back"]
