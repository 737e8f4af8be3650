# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the first bytes of a frame say, those that have a fixed place behind the VLAN tags."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import and_, or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data

from ...formats.headers import (
    DESTINATION_OPTIONS,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_SERVICE_VLAN,
    ETHERTYPE_VLAN,
    HOP_BY_HOP,
    MAX_TAGS,
    MIN_IPV4_BYTES,
    PROTOCOL_UDP,
    ROUTING,
)
from ..bus import ETHERNET_PLACE, ipv6_lanes, lanes
from ..classify import FRAGMENT_BITS, TYPE_AT
from .walk import IPV6_ENDS, STEPS, step_of

HEAD_BYTES = 64
"""That are looked at first; 62 are needed: IPv6 addresses behind two tags end there."""

_VLAN = (ETHERTYPE_VLAN, ETHERTYPE_SERVICE_VLAN)
_SHORTEST = MIN_IPV4_BYTES // 4


class Head:
    """Fields of a frame, compared as its beats come, and held until the next frame's come.

    Parameters
    ----------
    size, beat : of the stream, bytes of a beat, and one
    came : for each of the first beats, whether it is this one

    Attributes
    ----------
    open : whether it may be ours, by the first step of rule A4
    even, begins : as in :data:`.walk.WALK`, where the header behind IP is
    udp, routing : whether that header is UDP, and a routing header
    """

    def __init__(self, m: Module, size: int, beat: Value, came: Value, config: data.View) -> None:
        self._m, self._size, self._beat, self._came = m, size, beat, came
        self._config = config
        own = lanes(ipv6_lanes(config, "own"))
        has_ipv6, any_ipv4, enabled = Signal(), Signal(), Signal()
        m.d.sync += [
            has_ipv6.eq(own.any() & ipv6_lanes(config, "next").any()),
            any_ipv4.eq(config.own_ip == 0),
            enabled.eq(config.control != 0),
        ]
        found: Any = Const(0)
        even: Any = Const(0)
        begins: Any = Const(0, STEPS)
        udp: Any = Const(0)
        routing: Any = Const(0)
        tagged: Any = Const(1)  # so many tags are there, at least
        for tags in range(MAX_TAGS + 1):
            at = TYPE_AT + 4 * tags
            ipv4 = tagged & self._held(at, 4, lambda number: enabled & _is_ipv4(number))
            ipv6 = tagged & self._held(at, 4, lambda number: enabled & has_ipv6 & _is_ipv6(number))
            is_udp, is_routing, is_options = (
                self._held(at + 8, 1, partial(_any_of, kinds))
                for kinds in ((PROTOCOL_UDP,), (ROUTING,), (HOP_BY_HOP, DESTINATION_OPTIONS))
            )
            follows = is_routing | is_options | (is_udp & self._is_port(IPV6_ENDS + tags))
            found = found | (ipv4 & self._ipv4(at + 2, any_ipv4))
            found = found | (ipv6 & self._equal(at + 26, own) & follows)
            steps = self._held(at + 2, 1, partial(_steps, ETHERNET_PLACE + tags))
            parity = self._held(at + 2, 1, partial(_is_even, ETHERNET_PLACE + tags))
            behind_ipv6 = IPV6_ENDS + tags
            begins = begins | (steps & ipv4.replicate(STEPS))
            begins = begins | (Const(1 << step_of(behind_ipv6)) & ipv6.replicate(STEPS))
            even = even | (ipv4 & parity) | (ipv6 & (behind_ipv6 % 2 == 0))
            udp = udp | ipv4 | (ipv6 & is_udp)
            routing = routing | (ipv6 & is_routing)
            tagged = tagged & self._held(at, 2, partial(_any_of, _VLAN))
        self.open, self.even, self.begins = found, even, begins
        self.udp, self.routing = udp, routing

    def _held(self, at: int, size: int, said: Callable[[Value], Value]) -> Signal:
        """What is said of some bytes, in network order, all of which are in one beat."""
        beat, lane = divmod(at, self._size)
        value = said(lanes(self._beat[8 * lane : 8 * (lane + size)]))
        held = Signal(len(value), name=f"bytes_{at}")
        with self._m.If(self._came[beat]):
            self._m.d.sync += held.eq(value)
        return held

    def _equal(self, at: int, address: Value, or_else: Value | int = 0) -> Value:
        """Whether an address is at a byte: 4 bytes at a time, or as many as are in one beat."""
        parts = []
        bits = len(address)
        while bits:
            size = min(4, bits // 8, self._size - at % self._size)
            is_wanted = partial(_is, address[bits - 8 * size : bits], or_else)
            parts.append(self._held(at, size, is_wanted))
            at, bits = at + size, bits - 8 * size
        return reduce(and_, parts)

    def _is_port(self, place: int) -> Value:
        """Whether UDP's destination port, of a header at this place, is ours or out of sight."""
        at = 4 * place + 2
        return self._equal(at + 2, self._config.own_port) if at + 4 <= HEAD_BYTES else Const(1)

    def _ipv4(self, at: int, any_ipv4: Value) -> Value:
        options = self._held(at, 1, lambda number: number[:4] != _SHORTEST)
        return (
            self._held(at + 6, 4, _is_whole_udp)
            & self._equal(at + 16, self._config.own_ip, or_else=any_ipv4)
            & (options | self._is_port((at - 2 + MIN_IPV4_BYTES) // 4))
        )


def _is(wanted: Value, or_else: Value | int, number: Value) -> Value:
    return (number == wanted) | or_else


def _any_of(kinds: tuple[int, ...], number: Value) -> Value:
    return reduce(or_, (number == kind for kind in kinds))


def _is_ipv4(number: Value) -> Value:
    """Type and the beginning of what follows."""
    version, words = number[12:16], number[8:12]
    return (number[16:] == ETHERTYPE_IPV4) & (version == 4) & (words >= _SHORTEST)


def _is_ipv6(number: Value) -> Value:
    return (number[16:] == ETHERTYPE_IPV6) & (number[12:16] == 6)


def _is_whole_udp(number: Value) -> Value:
    """Fragment and protocol of an IPv4 header."""
    whole = ~(number[16:] & Const(FRAGMENT_BITS, 16)).any()
    return whole & (number[:8] == PROTOCOL_UDP)


def _steps(place: int, number: Value) -> Value:
    """For each step whether the header behind IPv4 begins in it; IPv4 is at a place."""
    words = number[:4]
    return Cat(
        reduce(
            or_,
            (words == count for count in range(_SHORTEST, 16) if step_of(place + count) == step),
            Const(0),
        )
        for step in range(STEPS)
    )


def _is_even(place: int, number: Value) -> Value:
    """Whether the place of that header is."""
    return number[0] if place % 2 else ~number[0]
