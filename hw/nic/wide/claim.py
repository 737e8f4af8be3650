# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Says by a frame's first bytes whether it may be to our address.

Rule, cited by tests as A4:

A4. *May be ours* is whatever rule A1 of :mod:`midwire.hw.nic.classify` calls ours, and little else:
    of A1, all is looked at that has a fixed place behind the VLAN tags. That leaves out the port
    behind IPv4 options, whatever is behind IPv6 extension headers, the port behind IPv6 and two
    tags, and whether the frame is long enough.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Const, Value
from amaranth.lib import data

from ...formats.headers import (
    DESTINATION_OPTIONS,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_SERVICE_VLAN,
    ETHERTYPE_VLAN,
    HOP_BY_HOP,
    IPV6_BYTES,
    MAX_TAGS,
    MIN_IPV4_BYTES,
    PROTOCOL_UDP,
    ROUTING,
)
from ..bus import ipv6_lanes, lanes
from ..classify import FRAGMENT_BITS, TYPE_AT

HEAD_BYTES = 64
"""That are looked at; 62 are needed: IPv6 addresses behind two tags end there."""


def may_be_ours(head: Value, config: data.View) -> Value:
    """Rule A4 on the first ``HEAD_BYTES`` of a frame, as lanes. Bytes that it lacks are anything:
    a frame that A1 calls ours has all that is looked at."""

    def number(at: int, size: int) -> Value:
        return lanes(head[8 * at : 8 * (at + size)])

    def is_tag(at: int) -> Value:
        kind = number(at, 2)
        return (kind == ETHERTYPE_VLAN) | (kind == ETHERTYPE_SERVICE_VLAN)

    def is_port(at: int) -> Value:
        """Whether UDP's destination port, of a header at this byte, is ours or out of sight."""
        return number(at + 2, 2) == config.own_port if at + 4 <= HEAD_BYTES else Const(1)

    def ipv4(at: int) -> Value:
        words = number(at, 1)[:4]
        shortest = MIN_IPV4_BYTES // 4
        return (
            (number(at, 1)[4:] == 4)
            & (words >= shortest)
            & ~(number(at + 6, 2) & Const(FRAGMENT_BITS, 16)).any()
            & (number(at + 9, 1) == PROTOCOL_UDP)
            & ((config.own_ip == 0) | (number(at + 16, 4) == config.own_ip))
            & ((words != shortest) | is_port(at + MIN_IPV4_BYTES))
        )

    own = ipv6_lanes(config, "own")

    def ipv6(at: int) -> Value:
        kind = number(at + 6, 1)
        options = ((kind == k) for k in (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING))
        return (
            (number(at, 1)[4:] == 6)
            & own.any()
            & ipv6_lanes(config, "next").any()
            & (head[8 * (at + 24) : 8 * (at + 40)] == own)
            & (reduce(or_, options) | ((kind == PROTOCOL_UDP) & is_port(at + IPV6_BYTES)))
        )

    found: Any = Const(0)
    tagged: Any = Const(1)  # so many tags are there, at least
    for tags in range(MAX_TAGS + 1):
        at = TYPE_AT + 4 * tags
        kind = number(at, 2)
        inside = ((kind == ETHERTYPE_IPV4) & ipv4(at + 2)) | (
            (kind == ETHERTYPE_IPV6) & ipv6(at + 2)
        )
        found = found | (tagged & inside)
        tagged = tagged & is_tag(at)
    return found & (config.control != 0)
