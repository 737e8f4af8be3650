# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may send requests to a NIC, as users name them."""

from __future__ import annotations

import pytest

from midwire.host.errors import StartError
from midwire.host.wire.peers import ANYBODY, ANYBODY6, parse_network, peers_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.0/24", "10.0.0.0/24:0"),
        ("10.0.0.7", "10.0.0.7/32:0"),
        ("10.0.0.7:4000", "10.0.0.7/32:4000"),
        ("10.0.0.0/255.255.0.0:1", "10.0.0.0/16:1"),
        ("0.0.0.0/0", "0.0.0.0/0:0"),
        ("::/0", "::/0:0"),
        ("2001:db8::7", "2001:db8::7/128:0"),
        ("[2001:db8::]", "2001:db8::/128:0"),
        ("[2001:db8::7]:4000", "2001:db8::7/128:4000"),
        ("[2001:db8::/32]:1", "2001:db8::/32:1"),
    ],
)
def test_a_network_and_perhaps_a_port(text: str, words: str) -> None:
    assert str(parse_network(text)) == words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.7/24", "10.0.0.7/24 has host bits set"),
        ("10.0.0.0/33", "'33' is not a valid netmask"),
        ("10.0.0", "Expected 4 octets in '10.0.0'"),
        ("10.0.0.7:0", "'0' as the port"),
        ("10.0.0.7:", "'' as the port"),
        ("10.0.0.7:65536", "'65536' as the port"),
        ("10.0.0.7:http", "'http' as the port"),
        ("", "Address cannot be empty"),
        ("2001:db8::1/32", "2001:db8::1/32 has host bits set"),
        ("[2001:db8::7]:0", "'0' as the port"),
        ("[10.0.0.7]:1", "At least 3 parts expected in '10.0.0.7'"),
    ],
)
def test_what_is_none_is_said(text: str, found: str) -> None:
    with pytest.raises(StartError) as caught:
        parse_network(text)
    assert str(caught.value) == (
        f"{text!r}: not a usable --peer; expected a network and perhaps a port, as in 10.0.0.0/24, "
        f"10.0.0.7:4000, 2001:db8::/32 or [2001:db8::7]:4000; found {found}. 0.0.0.0/0 is anybody, "
        "and ::/0 in IPv6."
    )


def test_only_loopback_has_a_default() -> None:
    named = [parse_network("10.0.0.0/24")]
    assert peers_of(("127.0.0.1", 0), []) == (ANYBODY,)
    assert peers_of(("127.0.0.1", 0), named) == peers_of(("10.0.0.2", 5210), named) == named
    with pytest.raises(StartError, match=r"as in --peer 10\.0\.0\.0/24; --peer 0\.0\.0\.0/0 is"):
        peers_of(("10.0.0.2", 5210), [])
    assert peers_of(("::1", 0), []) == (ANYBODY6,)
    with pytest.raises(StartError, match=r"as in --peer 2001:db8::/64; --peer ::/0 is anybody"):
        peers_of(("2001:db8::2", 5210), [])
