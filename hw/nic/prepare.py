# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes what goes in front of a payload: Ethernet, IP, UDP and midwire headers, to the next hop.

Rules, cited by tests as F1 to F3:

F1. The source address and port are those of the request, so that the next hop can answer its
    sender; VLAN tags, IP version, type of service (IPv6: traffic class) and time to live (hop
    limit) too. The destination is the next hop's. A frame that goes back has the destination of
    what it answers as its source, and its source as destination, down to the MAC address, and a
    time to live of 64. IPv4 has no options, identification 0 and "do not fragment" set (RFC 6864);
    IPv6 has no extension headers, and flow label 0: the label is the sender's name for packets to
    *its* destination (RFC 6437), and ours go elsewhere.
F2. The IPv4 checksum, the UDP checksum (never 0) and the header's CRC are right.
F3. The job's header is sent as it is but for the CRC.
"""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.headers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    IPV6_BYTES,
    MAX_TAGS,
    MIN_IPV4_BYTES,
    PROTOCOL_UDP,
)
from ..formats.wire import HEADER_BYTES
from . import header as hdr
from .bus import (
    CONFIG,
    ETHERNET_PLACE,
    JOB,
    LENGTH_BITS,
    PLACE_BITS,
    WORD_BITS,
    folded,
    folds_to_ones,
    lanes,
    mac_lanes,
    sum_lanes,
    swap16,
)
from .classify import UDP_BYTES

FRONT_BYTES = 14 + 4 * MAX_TAGS + IPV6_BYTES + UDP_BYTES
"""Most that goes in front of a midwire header."""

PREFIX = data.StructLayout(
    {
        "front": 8 * FRONT_BYTES,
        "place": PLACE_BITS,
        "header": hdr.HEADER_BITS,
        "bytes": LENGTH_BITS,
    }
)
"""What goes in front of a payload, as lanes: ``front``, as far as to the ``place`` (B4) at which
the midwire ``header`` begins. ``bytes`` are the payload's."""

_WORDS = hdr.HEADER_BITS // WORD_BITS
_MAC_BITS = 96  # of both addresses
_DO_NOT_FRAGMENT = 0x4000
TTL = 64  # of what we send ourselves


class _Headers(NamedTuple):
    """Headers as lanes, without checksums; those of IP without addresses."""

    macs: Value
    ipv4: Value
    ipv6: Value
    source: Value
    destination: Value
    udp: Value


class Preparer(wiring.Component):
    """Headers of one job after the other, in 12 cycles each and one more for each tag, while the
    frame before leaves.

    Members
    -------
    config : In(CONFIG)
    i : In(stream of JOB)
    o : Out(stream of PREFIX)
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "config": In(CONFIG),
                "i": In(stream.Signature(JOB)),
                "o": Out(stream.Signature(PREFIX)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        job = Signal(JOB)
        words = Signal(range(_WORDS))
        header = Signal(hdr.HEADER_BITS)  # rotates by a word
        header_total, udp_total = Signal(24), Signal(24)
        front = Signal(8 * FRONT_BYTES)
        crc_lanes = Signal(32)
        tags_left = Signal(range(MAX_TAGS + 1))
        udp_bytes = Signal(16)
        m.submodules.crc = crc = hdr.HeaderCrc()
        of_ip = Mux(job.origin.ipv6, IPV6_BYTES, MIN_IPV4_BYTES)
        m.d.sync += udp_bytes.eq(job.bytes + (UDP_BYTES + HEADER_BYTES))
        # Of a header's words but the first, which is summed up elsewhere: one is added up in the
        # cycle before it goes to the total.
        lane_total = Signal(18)
        # In states idle, "header sums", and either, as registers: what they say, they say to many.
        idles, sums, turns = Signal(init=1), Signal(), Signal(init=1)
        with m.If(idles):
            m.d.sync += job.eq(self.i.payload)
        with m.If(turns):
            # The CRC, the last half word, is that of a header with 0 there.
            its = self.i.payload.origin.header[: hdr.HEADER_BITS - 32]
            m.d.sync += header.eq(Mux(idles, its, header.rotate_right(WORD_BITS)))
        m.d.comb += [
            self.o.payload.front.eq(front),
            self.o.payload.place.eq(
                ETHERNET_PLACE + job.origin.tag_count + (of_ip >> 2) + UDP_BYTES // 4
            ),
            self.o.payload.header.eq(Cat(header[: hdr.HEADER_BITS - 32], crc_lanes)),
            self.o.payload.bytes.eq(job.bytes),
            crc.start.eq(~sums),
            crc.valid.eq(sums),
            crc.data.eq(header[:WORD_BITS]),
        ]
        parts = self._headers(job, udp_bytes)
        ip_total, rest_total = self._totals(m, job, parts, udp_bytes)
        with m.FSM(name="job") as fsm:
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [words.eq(0), header_total.eq(0), lane_total.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += [idles.eq(0), sums.eq(1)]
                    m.next = "header sums"
            with m.State("header sums"):
                with m.If(words == _WORDS - 1):
                    m.d.sync += [sums.eq(0), turns.eq(0)]
                    m.next = "totals"
                m.d.sync += [
                    lane_total.eq(sum_lanes(header[WORD_BITS : 2 * WORD_BITS])),
                    header_total.eq(header_total + lane_total),
                    words.eq(words + 1),
                ]
            with m.State("totals"):
                found = lanes(crc.crc)
                m.d.sync += [
                    crc_lanes.eq(found),
                    udp_total.eq(header_total + rest_total + sum_lanes(found)),
                ]
                m.next = "front"
            with m.State("front"):
                ip_sum = folded(m, ip_total, "ip_sum")
                udp_sum = folded(m, udp_total, "udp_sum")
                # A sum of 0 would say that there is none.
                is_ones = folds_to_ones(udp_total)
                udp = Cat(parts.udp[:48], Mux(is_ones, 0xFFFF, ~udp_sum)[:16])
                addresses4 = Cat(parts.source[:32], parts.destination[:32])
                m.d.sync += [
                    tags_left.eq(job.origin.tag_count),
                    front.eq(
                        Cat(
                            parts.macs,
                            Mux(
                                job.origin.ipv6,
                                Cat(
                                    Const(swap16(ETHERTYPE_IPV6), 16),
                                    parts.ipv6,
                                    parts.source,
                                    parts.destination,
                                    udp,
                                ),
                                Cat(
                                    Const(swap16(ETHERTYPE_IPV4), 16),
                                    parts.ipv4[:80],
                                    ~ip_sum,
                                    addresses4,
                                    udp,
                                ),
                            ),
                        )
                    ),
                ]
                m.next = "tags"
                with m.If(job.origin.tag_count == 0):
                    m.next = "ready"
            with m.State("tags"):
                # One goes in behind the MAC addresses, the inner one first.
                tag = Mux(tags_left == 1, job.origin.tags[:32], job.origin.tags[32:])
                m.d.sync += [
                    front.eq(Cat(front[:_MAC_BITS], tag, front[_MAC_BITS:])),
                    tags_left.eq(tags_left - 1),
                ]
                with m.If(tags_left == 1):
                    m.next = "ready"
            with m.State("ready"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [idles.eq(1), turns.eq(1)]
                    m.next = "idle"
        m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
        return m

    def _totals(
        self, m: Module, job: data.View, parts: _Headers, udp_bytes: Value
    ) -> tuple[Signal, Signal]:
        """Sums of IPv4's header, and of all that UDP's sum is of but the midwire header behind its
        first word.

        They are there 5 cycles after the job, from then on: each step adds up a few numbers. What
        is chosen among is added up before it is chosen.
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
        first_word = total_of("first_word", sum_lanes(job.origin.header[:WORD_BITS]))
        rest = total_of("rest", udp_rest, first_word, total_of("pseudo", sum_lanes(pseudo)))
        return total_of("ip", addresses, ip_rest), total_of("udp_front", addresses, rest)

    def _headers(self, job: data.View, udp_bytes: Value) -> _Headers:
        config, origin, back = self.config, job.origin, job.back
        macs = Cat(Mux(back, origin.src_mac, job.hop.mac), mac_lanes(config, "own"))
        ttl = Mux(back, TTL, origin.ttl)[:8]
        ipv4 = Cat(
            Const(0x45, 8),
            origin.tos,
            lanes((udp_bytes + MIN_IPV4_BYTES)[:16]),
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
        return _Headers(
            macs,
            ipv4,
            ipv6,
            source=Mux(back, origin.dst_ip, origin.src_ip),
            destination=Mux(back, origin.src_ip, job.hop.ip),
            udp=udp,
        )
