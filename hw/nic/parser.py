# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads frames to our address as they go into the store, and says what each one is.

Rules, cited by tests as P1 to P5. The first that applies decides;
:class:`midwire.hw.formats.csr.FrameOutcome` names the counters.

P1. A frame longer than ``MAX_FRAME_BYTES`` passes. One with the bad-frame bit is dropped.
P2. What is not to our address (:mod:`.classify`) passes, bit for bit, and never comes here.
P3. To our address, but not provably midwire's (IPv4 checksum, lengths of frame, IP and UDP, magic,
    version, CRC, or not a tensor): passes, bit for bit, under a counter of its own.
P4. The CRC is right, so the frame is ours: it is dropped if the UDP checksum is wrong (0 is none in
    IPv4, and wrong in IPv6), if its lengths contradict each other (W2), or if its hop limit is 0.
P5. What is left is a good tensor fragment for us.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import FrameOutcome
from ..formats.headers import IPV6_BYTES, PROTOCOL_UDP
from ..formats.wire import HEADER_BYTES, MAGIC, TAG_BYTES, VERSION, MessageType
from . import header as hdr
from .bus import (
    BEAT,
    BEAT_BYTES,
    ETHERNET_PLACE,
    FRAME,
    LANE_BITS,
    LENGTH_BITS,
    MAX_FRAME_BYTES,
    ORIGIN,
    PLACE_BITS,
    VERDICT_DROP,
    VERDICT_OURS,
    VERDICT_PASS,
    WHERE,
    WORD_BITS,
    beat_of,
    byte_of,
    folded,
    lanes,
    sum_lanes,
    swap16,
    word_from,
)
from .classify import TYPE_AT, UDP_BYTES

_MAX_BEATS = MAX_FRAME_BYTES // BEAT_BYTES


class Parser(wiring.Component):
    """Parser of one frame after the other, a beat each cycle, without stalls.

    Members
    -------
    beat : In(BEAT); beat_valid : In(1), the beat goes into the store in this cycle
    where : In(WHERE), where this frame's headers are
    now : In(32), microseconds
    frame : Out(FRAME); frame_valid : Out(1), set for one cycle, the cycle after the last beat
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "beat": In(BEAT),
                "beat_valid": In(1),
                "where": In(WHERE),
                "now": In(32),
                "frame": Out(FRAME),
                "frame_valid": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        # Where we are. Beats behind the longest frame all have the same number.
        at = Signal(range(_MAX_BEATS + 1))
        frame_bytes = Signal(LENGTH_BITS)
        bad = Signal()
        ended = Signal()
        cut_short = Signal()  # the verdict on an overlong frame was given before its end
        overlong = Signal()
        where = Signal(WHERE)  # of the frame whose verdict is given
        before = Signal(WORD_BITS)
        m.d.comb += overlong.eq(self.beat_valid & ~self.beat.last & (at == _MAX_BEATS - 1))
        m.d.sync += ended.eq(0)
        with m.If(self.beat_valid):
            with m.If(self.beat.last):
                m.d.sync += [at.eq(0), ended.eq(at != _MAX_BEATS)]
            with m.Elif(at != _MAX_BEATS):
                m.d.sync += at.eq(at + 1)
            m.d.sync += [
                frame_bytes.eq((at << LANE_BITS) + sum(self.beat.keep)),
                bad.eq(self.beat.last & self.beat.bad),
                cut_short.eq(overlong),
                where.eq(self.where),
                before.eq(self.beat.data),
            ]
            with m.If(overlong):
                m.d.sync += ended.eq(1)

        l3, l4 = Signal(PLACE_BITS), self.where.l4
        m.d.comb += l3.eq(ETHERNET_PLACE + self.where.tags)
        ipv6 = self.where.ipv6
        seen = Signal(ORIGIN)  # but for where it is
        self._ethernet(m, at, seen)

        def words(name: str, place: Value, count: int) -> tuple[Signal, list[Value]]:
            """Words of a header: the one that this beat completes, and which of them it is."""
            word, index = Signal(WORD_BITS, name=f"{name}_word"), Signal(range(count + 1))
            began = Signal(name=f"{name}_began")
            m.d.comb += word.eq(word_from(before, self.beat.data, byte_of(place)))
            with m.If(self.beat_valid):
                with m.If(self.beat.last):
                    m.d.sync += [began.eq(0), index.eq(0)]
                with m.Elif(at == beat_of(byte_of(place))):
                    m.d.sync += began.eq(1)
                with m.Elif(began & (index != count)):
                    m.d.sync += index.eq(index + 1)
            return word, [self.beat_valid & began & (index == k) for k in range(count)]

        # IP. An IPv4 address is the low 32 of 128 bits, so words are taken as they lie in IPv6.
        word, is_word = words("l3", l3, IPV6_BYTES // BEAT_BYTES)
        ip_bytes = Signal(17)
        source, destination = seen.src_ip, seen.dst_ip
        with m.If(is_word[0]):
            traffic_class = Cat(word[12:16], word[:4])
            m.d.sync += [
                seen.tos.eq(Mux(ipv6, traffic_class, word[8:16])),
                ip_bytes.eq(Mux(ipv6, lanes(word[32:48]) + IPV6_BYTES, lanes(word[16:32]))),
            ]
            with m.If(ipv6):
                m.d.sync += seen.ttl.eq(word[56:])
        with m.If(is_word[1]):
            m.d.sync += source[:64].eq(Mux(ipv6, word, word[32:]))
            with m.If(~ipv6):
                m.d.sync += seen.ttl.eq(word[:8])
        with m.If(is_word[2]):
            m.d.sync += [source[64:].eq(word), destination.eq(word[:32])]
        with m.If(is_word[3] & ipv6):
            m.d.sync += destination[:64].eq(word)
        with m.If(is_word[4] & ipv6):
            m.d.sync += destination[64:].eq(word)

        # UDP, and the midwire header behind it.
        header_words = HEADER_BYTES // BEAT_BYTES
        word, is_word = words("l4", l4, 1 + header_words)
        udp_length, udp_check = Signal(16), Signal(16)
        header = seen.header
        m.submodules.crc = crc = hdr.HeaderCrc()
        with m.If(is_word[0]):
            m.d.sync += [
                seen.src_port.eq(word[:16]),
                udp_length.eq(lanes(word[32:48])),
                udp_check.eq(word[48:]),
            ]
        of_header = Signal()
        m.d.comb += [
            of_header.eq(reduce(or_, is_word[1:])),
            crc.start.eq(is_word[1]),
            crc.valid.eq(of_header),
            crc.data.eq(Cat(word[:32], word[32:] & ~is_word[-1].replicate(32))),
        ]
        with m.If(of_header):
            m.d.sync += header.eq(Cat(header[WORD_BITS:], word))

        # Sums. Where the datagram ends is known before its UDP header comes.
        def since(name: str, byte: Value) -> Signal:
            """The lanes of this beat at or behind a byte of the frame."""
            mask, first = Signal(BEAT_BYTES, name=f"since_{name}"), Signal(18, name=f"{name}_at")
            m.d.comb += first.eq(byte)
            with m.If(at > beat_of(first)):
                m.d.comb += mask.eq(-1)
            with m.Elif(at == beat_of(first)):
                m.d.comb += mask.eq(Cat(first[:LANE_BITS] <= k for k in range(BEAT_BYTES)))
            return mask

        def total_of(name: str, inside: Value) -> Signal:
            """Sum over some lanes of each beat of the frame."""
            total, kept = Signal(32, name=name), Signal(WORD_BITS, name=f"{name}_bytes")
            m.d.comb += kept.eq(self.beat.data & Cat(bit.replicate(8) for bit in inside))
            with m.If(self.beat_valid):
                m.d.sync += total.eq(Mux(at == 0, 0, total) + sum_lanes(kept))
            return total

        in_ip = since("ip", byte_of(l3))
        in_addresses = since("source", byte_of(l3 + Mux(ipv6, 2, 3)))
        behind_addresses = since("addresses_end", byte_of(l3 + Mux(ipv6, 10, 5)))
        in_udp = since("udp", byte_of(l4))
        in_payload = since("payload", byte_of(l4 + (UDP_BYTES + HEADER_BYTES) // 4))
        behind = since("end", byte_of(l3) + ip_bytes)
        ip_total = total_of("ip_total", in_ip & ~in_udp)
        udp_total = total_of("udp_total", in_addresses & ~behind_addresses | in_udp & ~behind)
        payload_total = total_of("payload_total", in_payload & ~behind)

        # The verdict, in the cycle after the last beat.
        origin = self.frame.origin
        payload = Signal(17)
        tail = Signal(range(TAG_BYTES + 1))
        ip_end = Signal(18)
        ip_header = Signal(PLACE_BITS)
        high = where.ipv6.replicate(96)
        m.d.comb += [
            origin.eq(seen),
            origin.tag_count.eq(where.tags),
            origin.ipv6.eq(where.ipv6),
            origin.src_ip[32:].eq(source[32:] & high),
            origin.dst_ip[32:].eq(destination[32:] & high),
            tail.eq(Mux(hdr.get(header, "encrypted"), TAG_BYTES, 0)),
            payload.eq(udp_length - (UDP_BYTES + HEADER_BYTES)),
            self.frame.place.eq(where.l4 + (UDP_BYTES + HEADER_BYTES) // 4),
            self.frame.bytes.eq(payload),
            self.frame.sum.eq(folded(m, payload_total, "payload_sum")),
            self.frame_valid.eq(ended),
            ip_header.eq(where.l4 - where.tags - ETHERNET_PLACE),
            ip_end.eq(byte_of(ETHERNET_PLACE + where.tags) + ip_bytes),
        ]
        ip_sum = folded(m, ip_total, "ip_sum")
        pseudo = Signal(32)
        m.d.comb += pseudo.eq(udp_total + swap16(PROTOCOL_UDP) + lanes(udp_length))
        udp_sum = folded(m, pseudo, "udp_sum")
        whole = (
            (where.ipv6 | (ip_sum == 0xFFFF))
            & (ip_bytes == udp_length + 4 * ip_header)
            & (udp_length >= UDP_BYTES + HEADER_BYTES)
            & (frame_bytes >= ip_end)
        )
        rules = (
            (cut_short, VERDICT_PASS, FrameOutcome.PASSED),
            (bad, VERDICT_DROP, FrameOutcome.DROPPED_BAD_FRAME),
            (~whole, VERDICT_PASS, FrameOutcome.PASSED_MALFORMED),
            (hdr.get(header, "magic") != MAGIC, VERDICT_PASS, FrameOutcome.PASSED_BAD_MAGIC),
            (hdr.get(header, "version") != VERSION, VERDICT_PASS, FrameOutcome.PASSED_BAD_VERSION),
            (hdr.get(header, "crc") != crc.crc, VERDICT_PASS, FrameOutcome.PASSED_BAD_CRC),
            (
                hdr.get(header, "message_type") != MessageType.TENSOR,
                VERDICT_PASS,
                FrameOutcome.PASSED_OTHER_TYPE,
            ),
            (
                Mux(udp_check == 0, where.ipv6, udp_sum != 0xFFFF),
                VERDICT_DROP,
                FrameOutcome.DROPPED_BAD_CHECKSUM,
            ),
            (~_sound(header, payload, tail), VERDICT_DROP, FrameOutcome.DROPPED_BAD_LENGTH),
            (hdr.get(header, "hop_limit") == 0, VERDICT_DROP, FrameOutcome.DROPPED_HOP_LIMIT),
        )
        m.d.comb += [
            self.frame.verdict.eq(VERDICT_OURS),
            self.frame.outcome.eq(FrameOutcome.COLLECTED),
        ]
        for condition, verdict, outcome in reversed(rules):
            with m.If(condition):
                m.d.comb += [self.frame.verdict.eq(verdict), self.frame.outcome.eq(outcome)]
        return m

    def _ethernet(self, m: Module, at: Value, seen: data.View) -> None:
        """Keep the time, the source address, and the bytes in which tags are, if there are any."""
        with m.If(self.beat_valid & (at == 0)):
            m.d.sync += seen.stamp.eq(self.now)
        for first, target in ((6, seen.src_mac), (TYPE_AT, seen.tags)):
            for k in range(0, len(target) // 8, 2):
                beat, lane = divmod(first + k, BEAT_BYTES)
                with m.If(self.beat_valid & (at == beat)):
                    m.d.sync += target[8 * k : 8 * k + 16].eq(self.beat.data[8 * lane :])


def _sound(header: Value, payload: Value, tail: Value) -> Value:
    """Whether a fragment's lengths agree with each other (W2, ``fragments.check_fragment``)."""
    index, count = hdr.get(header, "fragment_index"), hdr.get(header, "fragment_count")
    offset, total = hdr.get(header, "offset"), hdr.get(header, "total_bytes")
    last = hdr.get(header, "last")
    size = (payload - tail)[:17]
    end = offset + size
    return (
        (payload > tail)
        & (index < count)
        & (last == (index + 1 == count))
        & ((index == 0) == (offset == 0))
        & (end <= total)
        & (last == (end == total))
        & (last | ~size[:6].any())
    )
