# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame to our address is, when all of it was seen: rules P1 to P5 of :mod:`.parser`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from ..formats.csr import FrameOutcome
from ..formats.wire import HEADER_BYTES, MAGIC, TAG_BYTES, VERSION, MessageType
from . import header as hdr
from .bus import (
    ETHERNET_PLACE,
    LENGTH_BITS,
    MAX_FRAME_BYTES,
    PLACE_BITS,
    VERDICT_DROP,
    VERDICT_OURS,
    VERDICT_PASS,
    folded,
    folds_to_ones,
)
from .classify import UDP_BYTES

TOTAL_BITS = (0xFFFF * (MAX_FRAME_BYTES // 2 + 2)).bit_length()
"""Of a sum of lanes over the longest frame, with a pseudo header."""

if TYPE_CHECKING:
    from .parser import Parser


class Frame(NamedTuple):
    """A frame whose last beat came in the cycle before, if ``ended``."""

    ended: Value
    cut_short: Value
    bad: Value
    frame_bytes: Value
    where: Any
    ip_bytes: Value
    ip_stop: Value


class Datagram(NamedTuple):
    """UDP, and the midwire header in it, with the CRC that it should have."""

    udp_length: Value
    udp_check: Value
    header: Value
    crc: Value


class Totals(NamedTuple):
    """Sums of lanes, unfolded, that of UDP with its pseudo header."""

    ip: Value
    udp: Value
    payload: Value


def judge(m: Module, parser: Parser, frame: Frame, datagram: Datagram, totals: Totals) -> None:
    """The verdict, 3 cycles after the frame has ended.

    Totals are whole 2 cycles after that. The UDP header and the one behind it stay until the
    verdict; what may change with the next frame's first beats is kept in the first cycle.
    """
    header, udp_length = datagram.header, datagram.udp_length
    since_end = Signal(3)
    m.d.sync += since_end.eq(Cat(frame.ended, since_end))

    # Of the frame as it ended.
    cut_short, bad, ipv6 = Signal(), Signal(), Signal()
    frame_bytes, l4 = Signal(LENGTH_BITS), Signal(PLACE_BITS)
    ip_bytes, ip_header, ip_end = Signal(17), Signal(PLACE_BITS), Signal(18)
    with m.If(frame.ended):
        m.d.sync += [
            cut_short.eq(frame.cut_short),
            bad.eq(frame.bad),
            ipv6.eq(frame.where.ipv6),
            frame_bytes.eq(frame.frame_bytes),
            l4.eq(frame.where.l4),
            ip_bytes.eq(frame.ip_bytes),
            ip_end.eq(frame.ip_stop),
        ]
    # All of the frame's beats have it; this is of the one before the last.
    m.d.sync += ip_header.eq(frame.where.l4 - frame.where.tags - ETHERNET_PLACE)

    # Lengths, each compared in the cycle after it is known.
    payload = Signal(17)
    udp_end = Signal(18)
    fits, agrees, long_enough, whole = Signal(), Signal(), Signal(), Signal()
    m.d.sync += [
        payload.eq(udp_length - (UDP_BYTES + HEADER_BYTES)),
        udp_end.eq(udp_length + 4 * ip_header),
        agrees.eq(ip_bytes == udp_end),
        long_enough.eq(udp_length >= UDP_BYTES + HEADER_BYTES),
        fits.eq(frame_bytes >= ip_end),
    ]
    sound = _sound(m, header, payload)

    wrong_sum = Mux(datagram.udp_check == 0, ipv6, ~folds_to_ones(totals.udp))
    m.d.comb += whole.eq((ipv6 | folds_to_ones(totals.ip)) & agrees & long_enough & fits)
    rules = (
        (cut_short, VERDICT_PASS, FrameOutcome.PASSED),
        (bad, VERDICT_DROP, FrameOutcome.DROPPED_BAD_FRAME),
        (~whole, VERDICT_PASS, FrameOutcome.PASSED_MALFORMED),
        (hdr.get(header, "magic") != MAGIC, VERDICT_PASS, FrameOutcome.PASSED_BAD_MAGIC),
        (hdr.get(header, "version") != VERSION, VERDICT_PASS, FrameOutcome.PASSED_BAD_VERSION),
        (hdr.get(header, "crc") != datagram.crc, VERDICT_PASS, FrameOutcome.PASSED_BAD_CRC),
        (
            hdr.get(header, "message_type") != MessageType.TENSOR,
            VERDICT_PASS,
            FrameOutcome.PASSED_OTHER_TYPE,
        ),
        (wrong_sum, VERDICT_DROP, FrameOutcome.DROPPED_BAD_CHECKSUM),
        (~sound, VERDICT_DROP, FrameOutcome.DROPPED_BAD_LENGTH),
        (hdr.get(header, "hop_limit") == 0, VERDICT_DROP, FrameOutcome.DROPPED_HOP_LIMIT),
    )
    # Which rules apply is kept; the first of them decides in the next cycle.
    apply = Signal(len(rules))
    m.d.sync += [
        apply.eq(Cat(condition for condition, _, _ in rules)),
        parser.found.place.eq(l4 + (UDP_BYTES + HEADER_BYTES) // 4),
        parser.found.bytes.eq(payload),
        parser.found.sum.eq(folded(m, totals.payload, "payload_sum")),
    ]
    m.d.comb += [
        parser.found_valid.eq(since_end[-1]),
        parser.found.verdict.eq(VERDICT_OURS),
        parser.found.outcome.eq(FrameOutcome.COLLECTED),
    ]
    for applies, (_, verdict, outcome) in reversed(list(zip(apply, rules, strict=True))):
        with m.If(applies):
            m.d.comb += [parser.found.verdict.eq(verdict), parser.found.outcome.eq(outcome)]


def _sound(m: Module, header: Value, payload: Value) -> Value:
    """Whether a fragment's lengths agree with each other (W2, ``fragments.check_fragment``), two
    cycles after its header is there, which may be its last beat; its payload's length is before."""
    tail = Mux(hdr.get(header, "encrypted"), TAG_BYTES, 0)
    index, count = hdr.get(header, "fragment_index"), hdr.get(header, "fragment_count")
    offset, total = hdr.get(header, "offset"), hdr.get(header, "total_bytes")
    last = hdr.get(header, "last")
    size, end, next_index = Signal(17), Signal(33), Signal(17)
    some, counts, more = Signal(), Signal(), Signal()
    m.d.sync += [
        # First.
        size.eq(payload - tail),
        some.eq(payload > tail),
        next_index.eq(index + 1),
        # Second.
        end.eq(offset + size),
        more.eq(size[:6].any()),
        counts.eq(
            some
            & (index < count)
            & (last == (next_index == count))
            & ((index == 0) == (offset == 0))
        ),
    ]
    return counts & (end <= total) & (last == (end == total)) & (last | ~more)
