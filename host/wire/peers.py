# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may send requests to a NIC: networks, each with one port or any.

Datagrams carry no proof of who sent them. What is left is what the network itself vouches for, and
only whoever runs the NIC knows that. So an address that other machines reach needs peers to be
named. Loopback does not: only this machine gets there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import StartError
from .udp import Address, format_address, is_ipv6

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peer(NamedTuple):
    """A network of IP addresses that may send, and the port that they send from (0: any)."""

    network: Network
    port: int = 0

    def __str__(self) -> str:
        return f"{self.network}:{self.port}"


ANYBODY = Peer(ipaddress.IPv4Network("0.0.0.0/0"))
ANYBODY6 = Peer(ipaddress.IPv6Network("::/0"))


def parse_network(text: str, what: str = "--peer") -> Peer:
    """Read ``ADDRESS``, ``ADDRESS/BITS``, or one of these and ``:PORT``; with a port, those of IPv6
    stand in brackets.

    Raises
    ------
    StartError
        If it is none of them.
    """
    bare = text.count(":") > 1 and "]" not in text
    network, colon, port = (text, "", "") if bare else text.partition("]:" if "]" in text else ":")
    try:
        number = int(port) if port.isascii() and port.isdecimal() else 0
        if colon and not 1 <= number <= 0xFFFF:
            raise ValueError(f"{port!r} as the port")
        if bare or text.startswith("["):
            return Peer(ipaddress.IPv6Network(network.strip("[]")), number)
        return Peer(ipaddress.IPv4Network(network), number)
    except ValueError as error:
        raise StartError(
            f"not a usable {what}",
            where=repr(text),
            expected="a network and perhaps a port, as in 10.0.0.0/24, 10.0.0.7:4000, "
            "2001:db8::/32 or [2001:db8::7]:4000",
            found=str(error),
            remedy="0.0.0.0/0 is anybody, and ::/0 in IPv6",
            usage=True,
        ) from error


def peers_of(listen: Address, named: Sequence[Peer]) -> Sequence[Peer]:
    """Who may send to ``listen``: those named, and where none is, anybody on loopback.

    Those of the other IP version never do.

    Raises
    ------
    StartError
        If none is named and other machines reach the address.
    """
    anybody = ANYBODY6 if is_ipv6(listen) else ANYBODY
    if named or ipaddress.ip_address(listen[0]).is_loopback:
        return named or (anybody,)
    raise StartError(
        "who may send requests is not said, and datagrams do not prove who sent them",
        where="--peer",
        expected=f"networks that may send: other machines reach {format_address(listen)}",
        found="none",
        remedy=f"Give the clients' network, as in --peer {_own_network(listen)}; --peer "
        f"{anybody.network} is anybody",
        usage=True,
    )


def _own_network(listen: Address) -> Network:
    return ipaddress.ip_network((listen[0], 64 if is_ipv6(listen) else 24), strict=False)
