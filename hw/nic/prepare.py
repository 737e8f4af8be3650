# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes what goes in front of a payload: Ethernet, IPv4, UDP and midwire headers, to the next hop.

Rules, cited by tests as F1 to F3:

F1. The source address and port are those of the request, so that the next hop can answer its
    sender; type of service and time to live too. The destination is the next hop's. A frame that
    goes back has the destination of what it answers as its source, and its source as destination,
    down to the MAC address, and a time to live of 64. IPv4 identification is 0 with "do not
    fragment" set (RFC 6864).
F2. The IPv4 checksum, the UDP checksum (never 0) and the header's CRC are right.
F3. The job's header is sent as it is but for the CRC.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from . import header as hdr
from .bus import CONFIG, JOB, LENGTH_BITS, WORD_BITS, folded, lanes, sum_lanes, swap16
from .classify import ETHERTYPE_IPV4, IP_AT, IPV4_WITHOUT_OPTIONS, PROTOCOL_UDP, UDP_AT
from .parser import PAYLOAD_AT

PREFIX = data.StructLayout({"prefix": 8 * PAYLOAD_AT, "bytes": LENGTH_BITS})
"""All that goes in front of a payload, as lanes, and the payload's bytes."""

_WORDS = hdr.HEADER_BITS // WORD_BITS
_DO_NOT_FRAGMENT = 0x4000
TTL = 64  # of what we send ourselves


class Preparer(wiring.Component):
    """Headers of one job after the other, in 11 cycles each, while the frame before leaves.

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
        header_total, ip_total, udp_total = Signal(32), Signal(32), Signal(32)
        prefix = Signal(8 * PAYLOAD_AT)
        m.submodules.crc = crc = hdr.HeaderCrc()
        m.d.comb += [self.o.payload.prefix.eq(prefix), self.o.payload.bytes.eq(job.bytes)]
        with m.FSM(name="job") as fsm:
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    words.eq(0),
                    header_total.eq(0),
                    job.eq(self.i.payload),
                    header.eq(self.i.payload.origin.header),
                ]
                with m.If(self.i.valid):
                    m.next = "header sums"
            with m.State("header sums"):
                now = Signal(WORD_BITS)
                m.d.comb += [
                    # The CRC is the second half of the last word.
                    now.eq(header[:WORD_BITS]),
                    crc.start.eq(words == 0),
                    crc.valid.eq(1),
                    crc.data.eq(now),
                ]
                with m.If(words == _WORDS - 1):
                    m.d.comb += now[WORD_BITS // 2 :].eq(0)
                    m.next = "totals"
                m.d.sync += [
                    header_total.eq(header_total + sum_lanes(now)),
                    header.eq(header.rotate_right(WORD_BITS)),
                    words.eq(words + 1),
                ]
            with m.State("totals"):
                udp_bytes = Signal(16)
                m.d.comb += udp_bytes.eq(job.bytes + (PAYLOAD_AT - UDP_AT))
                ethernet, ip, udp = self._headers(job, udp_bytes)
                crc_lanes = lanes(crc.crc)
                pseudo = Cat(ip[8 * 12 :], udp[8 * 4 : 8 * 6], Const(swap16(PROTOCOL_UDP), 16))
                m.d.sync += [
                    ip_total.eq(sum_lanes(ip)),
                    udp_total.eq(
                        header_total + sum_lanes(Cat(crc_lanes, job.sum, udp)) + sum_lanes(pseudo)
                    ),
                    prefix.eq(Cat(ethernet, ip, udp, header[: hdr.HEADER_BITS - 32], crc_lanes)),
                ]
                m.next = "checksums"
            with m.State("checksums"):
                ip_sum = folded(m, ip_total, "ip_sum")
                udp_sum = folded(m, udp_total, "udp_sum")
                ip_at, udp_at = 8 * (IP_AT + 10), 8 * (UDP_AT + 6)
                m.d.sync += [
                    prefix[ip_at : ip_at + 16].eq(~ip_sum),
                    # A sum of 0 would say that there is none.
                    prefix[udp_at : udp_at + 16].eq(Mux(udp_sum == 0xFFFF, 0xFFFF, ~udp_sum)),
                ]
                m.next = "ready"
            with m.State("ready"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "idle"
        m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
        return m

    def _headers(self, job: data.View, udp_bytes: Value) -> tuple[Value, Value, Value]:
        """Ethernet, IPv4 and UDP headers as lanes, without checksums."""
        config, origin, back = self.config, job.origin, job.back
        next_mac = Cat(lanes(config.next_mac_high), lanes(config.next_mac_low))
        ethernet = Cat(
            Mux(back, origin.src_mac, next_mac),
            lanes(config.own_mac_high),
            lanes(config.own_mac_low),
            Const(swap16(ETHERTYPE_IPV4), 16),
        )
        ip = Cat(
            Const(IPV4_WITHOUT_OPTIONS, 8),
            origin.tos,
            lanes((udp_bytes + (UDP_AT - IP_AT))[:16]),
            Const(0, 16),
            Const(swap16(_DO_NOT_FRAGMENT), 16),
            Mux(back, TTL, origin.ttl),
            Const(PROTOCOL_UDP, 8),
            Const(0, 16),
            Mux(back, origin.dst_ip, origin.src_ip),
            Mux(back, origin.src_ip, lanes(config.next_ip)),
        )
        udp = Cat(
            Mux(back, lanes(config.own_port), origin.src_port),
            Mux(back, origin.src_port, lanes(config.next_port)),
            lanes(udp_bytes),
            Const(0, 16),
        )
        return ethernet, ip, udp
