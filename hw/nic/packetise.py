# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes frames: Ethernet, IPv4, UDP and midwire headers in front of payload words, to the next hop.

Rules, cited by tests as F1 to F3:

F1. The source address and port are those of the request, so that the next hop can answer its
    sender; type of service and time to live too. The destination is the next hop's. IPv4
    identification is 0 with "do not fragment" set (RFC 6864).
F2. The IPv4 checksum, the UDP checksum (never 0) and the header's CRC are right.
F3. The job's header is sent as it is but for the CRC.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from . import header as hdr
from .bus import (
    BEAT,
    BEAT_BYTES,
    CONFIG,
    JOB,
    LENGTH_BITS,
    WORD_BITS,
    folded,
    lanes,
    sum_lanes,
    swap16,
)
from .classify import ETHERTYPE_IPV4, PROTOCOL_UDP, UDP_AT
from .parser import PAYLOAD_AT

_WORDS = hdr.HEADER_BITS // WORD_BITS
_DO_NOT_FRAGMENT = 0x4000


class Packetiser(wiring.Component):
    """One frame after the other; of two jobs that wait, ``declined`` goes first.

    Members
    -------
    config : In(CONFIG)
    declined, results : In(stream of JOB)
    declined_words, results_words : In(stream of words), ``ceil(bytes / 8)`` for each job taken
    o : Out(stream of BEAT)
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "config": In(CONFIG),
                "declined": In(stream.Signature(JOB)),
                "declined_words": In(stream.Signature(WORD_BITS)),
                "results": In(stream.Signature(JOB)),
                "results_words": In(stream.Signature(WORD_BITS)),
                "o": Out(stream.Signature(BEAT)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        config = self.config
        is_result = Signal()
        job = Signal(JOB)
        words = Signal(range(_WORDS))
        header = Signal(hdr.HEADER_BITS)  # rotates by a word
        header_total, ip_total, udp_total = Signal(32), Signal(32), Signal(32)
        prefix = Signal(8 * PAYLOAD_AT)  # shifts by a beat; its last 2 bytes become the carry
        beats = Signal(range(PAYLOAD_AT // BEAT_BYTES))
        carried = PAYLOAD_AT % BEAT_BYTES
        left = Signal(LENGTH_BITS)
        m.submodules.crc = crc = hdr.HeaderCrc()

        word = Signal(WORD_BITS)
        word_valid, word_ready = Signal(), Signal()
        with m.If(is_result):
            m.d.comb += [
                word.eq(self.results_words.payload),
                word_valid.eq(self.results_words.valid),
                self.results_words.ready.eq(word_ready),
            ]
        with m.Else():
            m.d.comb += [
                word.eq(self.declined_words.payload),
                word_valid.eq(self.declined_words.valid),
                self.declined_words.ready.eq(word_ready),
            ]

        # `bad` stays 0. Driven by itself it would be an `always @*` without a signal, which no
        # simulator ever runs.
        beat = Signal(data.StructLayout({"data": WORD_BITS, "keep": BEAT_BYTES, "last": 1}))
        m.d.comb += [self.o.payload.eq(beat.as_value()), beat.keep.eq(-1)]
        with m.FSM(name="frame") as fsm:
            with m.State("idle"):
                m.d.sync += [words.eq(0), header_total.eq(0), is_result.eq(~self.declined.valid)]
                for source in (self.results, self.declined):  # the later one wins
                    with m.If(source.valid):
                        m.d.sync += [
                            job.eq(source.payload),
                            header.eq(source.payload.origin.header),
                            left.eq(source.payload.bytes),
                        ]
                        m.next = "header sums"
                m.d.comb += [
                    self.declined.ready.eq(1),
                    self.results.ready.eq(~self.declined.valid),
                ]
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
                ip = Cat(
                    Const(0x45, 8),
                    job.origin.tos,
                    lanes((udp_bytes + (UDP_AT - 14))[:16]),
                    Const(0, 16),
                    Const(swap16(_DO_NOT_FRAGMENT), 16),
                    job.origin.ttl,
                    Const(PROTOCOL_UDP, 8),
                    Const(0, 16),
                    job.origin.src_ip,
                    lanes(config.next_ip),
                )
                udp = Cat(
                    job.origin.src_port,
                    lanes(config.next_port),
                    lanes(udp_bytes),
                    Const(0, 16),
                )
                crc_lanes = lanes(crc.crc)
                ethernet = Cat(
                    lanes(config.next_mac_high),
                    lanes(config.next_mac_low),
                    lanes(config.own_mac_high),
                    lanes(config.own_mac_low),
                    Const(swap16(ETHERTYPE_IPV4), 16),
                )
                m.d.sync += [
                    ip_total.eq(sum_lanes(ip)),
                    udp_total.eq(
                        header_total
                        + sum_lanes(Cat(crc_lanes, job.sum, udp))
                        + sum_lanes(Cat(job.origin.src_ip, lanes(config.next_ip)))
                        + sum_lanes(Cat(lanes(udp_bytes), Const(swap16(PROTOCOL_UDP), 16)))
                    ),
                    prefix.eq(Cat(ethernet, ip, udp, header[: hdr.HEADER_BITS - 32], crc_lanes)),
                ]
                m.next = "checksums"
            with m.State("checksums"):
                ip_sum = folded(m, ip_total, "ip_sum")
                udp_sum = folded(m, udp_total, "udp_sum")
                ip_at, udp_at = 8 * (14 + 10), 8 * (UDP_AT + 6)
                m.d.sync += [
                    prefix[ip_at : ip_at + 16].eq(~ip_sum),
                    # A sum of 0 would say that there is none.
                    prefix[udp_at : udp_at + 16].eq(Mux(udp_sum == 0xFFFF, 0xFFFF, ~udp_sum)),
                    beats.eq(0),
                ]
                m.next = "prefix"
            with m.State("prefix"):
                m.d.comb += [beat.data.eq(prefix), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += [prefix.eq(prefix >> WORD_BITS), beats.eq(beats + 1)]
                    with m.If(beats == PAYLOAD_AT // BEAT_BYTES - 1):
                        m.next = "payload"
            with m.State("payload"):
                fits = Signal()  # the rest goes with this beat
                m.d.comb += [
                    fits.eq(left <= BEAT_BYTES - carried),
                    beat.data.eq(Cat(prefix[: 8 * carried], word)),
                    beat.last.eq(fits),
                    self.o.valid.eq(word_valid),
                    word_ready.eq(self.o.ready),
                ]
                with m.If(fits):
                    m.d.comb += beat.keep.eq(Cat(left + carried > lane for lane in range(8)))
                with m.If(word_valid & self.o.ready):
                    m.d.sync += [
                        prefix.eq(word >> WORD_BITS - 8 * carried),
                        left.eq(left - BEAT_BYTES),
                    ]
                    with m.If(fits):
                        m.next = "idle"
                    with m.Elif(left <= BEAT_BYTES):
                        m.d.sync += left.eq(left - (BEAT_BYTES - carried))
                        m.next = "carry"
            with m.State("carry"):
                m.d.comb += [
                    beat.data.eq(prefix[: 8 * carried]),
                    beat.keep.eq(Cat(left > lane for lane in range(8))),
                    beat.last.eq(1),
                    self.o.valid.eq(1),
                ]
                with m.If(self.o.ready):
                    m.next = "idle"
        m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
        return m
