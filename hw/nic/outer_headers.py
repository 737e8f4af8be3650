# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The headers in front of a midwire header: their fields (F1 of :mod:`.prepare`), and the words in
which they are sent."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from ..formats.headers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    MAX_TAGS,
    PROTOCOL_UDP,
)
from .bus import WORD_BITS, lanes, mac_lanes, sum_lanes, swap16

FRONT_WORDS = 8
"""At most, of what is in front of a midwire header, without the frame's first 2 or 6 bytes."""

TTL = 64  # of what we send ourselves
_DO_NOT_FRAGMENT = 0x4000
_UNIT_BITS = 32  # of a place (B4)


class Headers(NamedTuple):
    """Fields as lanes, without checksums; those of IP without addresses. ``target`` is the MAC
    address that a frame goes to."""

    target: Value
    own: Value
    ipv4: Value
    ipv6: Value
    source: Value
    destination: Value
    udp: Value


def headers_of(
    config: data.View[Any], job: data.View[Any], udp_bytes: Value, ipv4_bytes: Value
) -> Headers:
    """Of a job, with so many bytes behind IP's header, and with IPv4's."""
    origin, back = job.origin, job.back
    ttl = Mux(back, TTL, origin.ttl)[:8]
    ipv4 = Cat(
        Const(0x45, 8),
        origin.tos,
        lanes(ipv4_bytes),
        Const(0, 16),
        Const(swap16(_DO_NOT_FRAGMENT), 16),
        ttl,
        Const(PROTOCOL_UDP, 8),
        Const(0, 16),
    )
    ipv6 = Cat(
        # Version, traffic class, flow label.
        lanes(Cat(Const(0, 20), origin.tos, Const(6, 4))),
        lanes(udp_bytes),
        Const(PROTOCOL_UDP, 8),
        ttl,
    )
    udp = Cat(
        Mux(back, lanes(config.own_port), origin.src_port),
        Mux(back, origin.src_port, job.hop.port),
        lanes(udp_bytes),
        Const(0, 16),
    )
    return Headers(
        target=Mux(back, origin.src_mac, job.hop.mac),
        own=mac_lanes(config, "own"),
        ipv4=ipv4,
        ipv6=ipv6,
        source=Mux(back, origin.dst_ip, origin.src_ip),
        destination=Mux(back, origin.src_ip, job.hop.ip),
        udp=udp,
    )


def front_words(
    origin: data.View[Any], parts: Headers, ip_sum: Value, udp_sum: Value
) -> tuple[list[Value], list[Value], list[Value], Value]:
    """The last ``FRONT_WORDS`` in front of the midwire header, of which a frame's may be fewer: the
    first two; those before the last one with IPv4, and with IPv6, by their places; and the last
    one.

    The last one is UDP's. Before it, IPv6's header has five words, and IPv4's two and a half, its
    checksum in the one before the last one; Ethernet's is before them. Where there is none, there
    is anything.
    """
    ethernet = _ethernet_units(origin, parts)
    words4 = [
        Cat(ethernet[4], ethernet[3]),
        Cat(ethernet[2], ethernet[1]),
        Cat(ethernet[0], parts.ipv4[:_UNIT_BITS]),
        Cat(parts.ipv4[_UNIT_BITS:80], ~ip_sum),
        Cat(parts.source[:32], parts.destination[:32]),
    ]
    words6 = [
        parts.ipv6,
        parts.source[:WORD_BITS],
        parts.source[WORD_BITS:],
        parts.destination[:WORD_BITS],
        parts.destination[WORD_BITS:],
    ]
    # Before and behind them, what is there where only the lower bits of the place count.
    return (
        [Cat(ethernet[3], ethernet[2]), Cat(ethernet[1], ethernet[0])],
        [*words4[2:4], *words4, words4[1]],
        [*words6[2:4], *words6, words6[1]],
        Cat(parts.udp[:48], udp_sum),
    )


def _ethernet_units(origin: data.View[Any], parts: Headers) -> list[Value]:
    """What Ethernet's header has of 32 bits behind its first 16, with VLAN tags, from its end on;
    of those that are not there anything."""
    of_ip = Mux(origin.ipv6, swap16(ETHERTYPE_IPV6), swap16(ETHERTYPE_IPV4))[:16]
    by_tags = []
    for count in range(MAX_TAGS + 1):
        header = Cat(parts.target[16:], parts.own, origin.tags[: 32 * count], of_ip)
        units = [header[at : at + _UNIT_BITS] for at in range(0, len(header), _UNIT_BITS)]
        by_tags.append([*reversed(units), *units[: MAX_TAGS - count]])
    choice = [Array(units) for units in zip(*by_tags, strict=True)]
    return [units[origin.tag_count] for units in choice]


def totals_of(
    m: Module, job: data.View[Any], parts: Headers, udp_bytes: Value
) -> tuple[Signal, Signal]:
    """Sums of IPv4's header, and of all that UDP's sum is of but the midwire header; of that, the
    half word before the CRC.

    They are there 5 cycles after the job, from then on: each step adds up a few numbers. What is
    chosen among is added up before it is chosen.
    """

    def total_of(name: str, *values: Value) -> Signal:
        total = Signal(21, name=f"{name}_total")
        m.d.sync += total.eq(sum(values[1:], values[0]))
        return total

    def halves_of(name: str, value: Value) -> Signal:
        half = len(value) // 2
        low = total_of(f"{name}_low", sum_lanes(value[:half]))
        return total_of(name, low, total_of(f"{name}_high", sum_lanes(value[half:])))

    source = halves_of("source", job.origin.src_ip)
    target = halves_of("target", job.origin.dst_ip)
    hop = halves_of("hop", job.hop.ip)
    addresses = total_of("addresses", source, Mux(job.back, target, hop))
    ip_rest = total_of("ip_rest", sum_lanes(parts.ipv4))
    # What IPv4 and IPv6 put in front of UDP's sum comes to the same.
    udp_rest = total_of("udp_rest", sum_lanes(parts.udp))
    pseudo = Cat(job.sum, lanes(udp_bytes), Const(swap16(PROTOCOL_UDP), 16))
    before_crc = total_of("before_crc", sum_lanes(job.origin.header[-WORD_BITS:-32]))
    rest = total_of("rest", udp_rest, before_crc, total_of("pseudo", sum_lanes(pseudo)))
    return total_of("ip", addresses, ip_rest), total_of("udp_front", addresses, rest)
