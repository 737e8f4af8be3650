# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads frames to our address as they go into the store, and says what each one is.

Rules, cited by tests as P1 to P5. The first that applies decides;
:class:`midwire.hw.formats.csr.FrameOutcome` names the counters.

P1. A frame longer than ``MAX_FRAME_BYTES`` passes. One with the bad-frame bit is dropped.
P2. What is not to our address (:mod:`.classify`) passes, bit for bit, and never comes here.
P3. To our address, but not provably midwire's (IPv4 checksum, lengths of frame, IP and UDP, magic,
    version, CRC, or not a tensor): passes, bit for bit, under a counter of its own.
P4. The CRC is right, so the frame is ours: it is dropped if the UDP checksum is wrong (0 is none),
    if its lengths contradict each other (W2), or if its hop limit is 0.
P5. What is left is a good tensor fragment for us.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import FrameOutcome
from ..formats.wire import HEADER_BYTES, MAGIC, TAG_BYTES, VERSION, MessageType
from . import header as hdr
from .bus import (
    BEAT,
    BEAT_BYTES,
    FRAME,
    LENGTH_BITS,
    MAX_FRAME_BYTES,
    VERDICT_DROP,
    VERDICT_OURS,
    VERDICT_PASS,
    folded,
    lanes,
    sum_lanes,
    swap16,
)
from .classify import HEADER_AT, IP_AT, PROTOCOL_UDP, UDP_AT

PAYLOAD_AT = HEADER_AT + HEADER_BYTES

_MAX_BEATS = MAX_FRAME_BYTES // BEAT_BYTES


class Parser(wiring.Component):
    """Parser of one frame after the other, a beat each cycle, without stalls.

    Members
    -------
    beat : In(BEAT); beat_valid : In(1), the beat goes into the store in this cycle
    now : In(32), microseconds
    frame : Out(FRAME); frame_valid : Out(1), set for one cycle, the cycle after the last beat
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "beat": In(BEAT),
                "beat_valid": In(1),
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
        m.d.comb += overlong.eq(self.beat_valid & ~self.beat.last & (at == _MAX_BEATS - 1))
        m.d.sync += ended.eq(0)
        with m.If(self.beat_valid):
            with m.If(self.beat.last):
                m.d.sync += [at.eq(0), ended.eq(at != _MAX_BEATS)]
            with m.Elif(at != _MAX_BEATS):
                m.d.sync += at.eq(at + 1)
            m.d.sync += [
                frame_bytes.eq((at << 3) + sum(self.beat.keep)),
                bad.eq(self.beat.last & self.beat.bad),
                cut_short.eq(overlong),
            ]
            with m.If(overlong):
                m.d.sync += ended.eq(1)

        # Fields of IPv4 and UDP: (beat, first lane, lane behind, where to).
        total, udp_length = Signal(16), Signal(16)
        tos, ttl = Signal(8), Signal(8)
        source = Signal(32)  # as lanes
        source_mac, destination = Signal(48), Signal(32)  # as lanes
        source_port, udp_check = Signal(16), Signal(16)  # as lanes
        stamp = Signal(32)
        captures = (
            (0, 6, 8, source_mac[:16]),
            (1, 0, 4, source_mac[16:]),
            (1, 7, 8, tos),
            (2, 0, 2, total),
            (2, 6, 7, ttl),
            (3, 2, 6, source),
            (3, 6, 8, destination[:16]),
            (4, 0, 2, destination[16:]),
            (4, 2, 4, source_port),
            (4, 6, 8, udp_length),
            (5, 0, 2, udp_check),
        )
        for index, start, stop, target in captures:
            part = self.beat.data[8 * start : 8 * stop]
            is_number = target is total or target is udp_length
            with m.If(self.beat_valid & (at == index)):
                m.d.sync += target.eq(lanes(part) if is_number else part)
        with m.If(self.beat_valid & (at == 0)):
            m.d.sync += stamp.eq(self.now)

        # Which bytes of this beat belong to the datagram; `end` is known from beat 3 on.
        end = Signal(17)
        m.d.comb += end.eq(total + IP_AT)
        inside = Signal(BEAT_BYTES)
        with m.If(at < end[3:]):
            m.d.comb += inside.eq(-1)
        with m.Elif(at == end[3:]):
            m.d.comb += inside.eq(Cat(end[:3] > lane for lane in range(BEAT_BYTES)))

        def total_of(name: str, first: int, stop: int | None = None) -> Signal:
            """Sum over bytes ``first`` to ``stop`` of the frame, or to the datagram's end."""
            kept, sum_so_far = Signal(64, name=f"{name}_bytes"), Signal(32, name=name)
            for lane in range(BEAT_BYTES):
                since = at >= -(-(first - lane) // BEAT_BYTES)
                until = inside[lane] if stop is None else at < -(-(stop - lane) // BEAT_BYTES)
                m.d.comb += kept[8 * lane : 8 * lane + 8].eq(
                    self.beat.data[8 * lane : 8 * lane + 8] & (since & until).replicate(8)
                )
            with m.If(self.beat_valid):
                m.d.sync += sum_so_far.eq(Mux(at == 0, 0, sum_so_far) + sum_lanes(kept))
            return sum_so_far

        ip_total = total_of("ip_total", IP_AT, UDP_AT)
        udp_total = total_of("udp_total", UDP_AT - 8)  # from the IPv4 addresses on: pseudo header
        payload_total = total_of("payload_total", PAYLOAD_AT)

        # The midwire header: stored as it comes, its CRC taken a word behind.
        first, last = HEADER_AT // BEAT_BYTES, (PAYLOAD_AT - 1) // BEAT_BYTES
        raw = [Signal(64, name=f"raw{index}") for index in range(last - first + 1)]
        shift = 8 * (HEADER_AT % BEAT_BYTES)
        m.submodules.crc = crc = hdr.HeaderCrc()
        with m.If(self.beat_valid):
            for index, register in enumerate(raw):
                with m.If(at == first + index):
                    m.d.sync += register.eq(self.beat.data)
                    if index:
                        word = Cat(raw[index - 1], self.beat.data)[shift : shift + 64]
                        is_last = index == len(raw) - 1
                        m.d.comb += [
                            crc.start.eq(index == 1),
                            crc.valid.eq(1),
                            crc.data.eq(Cat(word[:32], Const(0, 32)) if is_last else word),
                        ]
        header = Signal(hdr.HEADER_BITS)
        m.d.comb += [
            header.eq(Cat(raw)[shift : shift + hdr.HEADER_BITS]),
            self.frame.origin.header.eq(header),
            self.frame.origin.src_mac.eq(source_mac),
            self.frame.origin.src_ip.eq(source),
            self.frame.origin.dst_ip.eq(destination),
            self.frame.origin.src_port.eq(source_port),
            self.frame.origin.tos.eq(tos),
            self.frame.origin.ttl.eq(ttl),
            self.frame.origin.stamp.eq(stamp),
        ]

        # The verdict, in the cycle after the last beat.
        payload = Signal(17)
        tail = Signal(range(TAG_BYTES + 1))
        m.d.comb += [
            tail.eq(Mux(hdr.get(header, "encrypted"), TAG_BYTES, 0)),
            payload.eq(udp_length - (8 + HEADER_BYTES)),
            self.frame.bytes.eq(payload),
            self.frame.sum.eq(folded(m, payload_total, "payload_sum")),
            self.frame_valid.eq(ended),
        ]
        ip_sum = folded(m, ip_total, "ip_sum")
        pseudo = Signal(32)
        m.d.comb += pseudo.eq(udp_total + swap16(PROTOCOL_UDP) + lanes(udp_length))
        udp_sum = folded(m, pseudo, "udp_sum")
        whole = (
            (ip_sum == 0xFFFF)
            & (total == udp_length + 20)
            & (udp_length >= 8 + HEADER_BYTES)
            & (frame_bytes >= end)
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
                (udp_check != 0) & (udp_sum != 0xFFFF),
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
