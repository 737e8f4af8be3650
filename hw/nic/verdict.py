# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame to our address is, when all of it was seen: rules P1 to P5 of :mod:`.parser`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from ..formats.csr import FrameOutcome
from ..formats.wire import HEADER_BYTES, MAGIC, TAG_BYTES, VERSION, MessageType
from . import header as hdr
from .bus import (
    ETHERNET_PLACE,
    FOUND,
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

_RULING = data.StructLayout({name: FOUND[name].shape for name in ("verdict", "outcome")})

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

    # The first of the rules that apply decides. What the header says is compared in a cycle, and in
    # the next one all is chosen from that is not behind a sum: then three bits are left to see.
    checks = (
        (hdr.get(header, "magic") != MAGIC, FrameOutcome.PASSED_BAD_MAGIC),
        (hdr.get(header, "version") != VERSION, FrameOutcome.PASSED_BAD_VERSION),
        (hdr.get(header, "crc") != datagram.crc, FrameOutcome.PASSED_BAD_CRC),
        (hdr.get(header, "message_type") != MessageType.TENSOR, FrameOutcome.PASSED_OTHER_TYPE),
    )
    wrong, no_hops = Signal(len(checks)), Signal()
    m.d.sync += [
        wrong.eq(Cat(condition for condition, _ in checks)),
        no_hops.eq(hdr.get(header, "hop_limit") == 0),
    ]
    by_frame, by_header, ruling = Signal(_RULING), Signal(_RULING), Signal(_RULING)
    settled, bad_sum, unsound = Signal(), Signal(), Signal()
    m.d.sync += [
        settled.eq(cut_short | bad | ~whole),
        _rule(by_frame, VERDICT_PASS, FrameOutcome.PASSED_MALFORMED),
        bad_sum.eq(wrong_sum & ~wrong.any()),
        unsound.eq(~sound & ~wrong.any()),
        _rule(by_header, VERDICT_OURS, FrameOutcome.COLLECTED),
        parser.found.place.eq(l4 + (UDP_BYTES + HEADER_BYTES) // 4),
        parser.found.bytes.eq(payload),
        parser.found.sum.eq(folded(m, totals.payload, "payload_sum")),
    ]
    with m.If(bad):
        m.d.sync += _rule(by_frame, VERDICT_DROP, FrameOutcome.DROPPED_BAD_FRAME)
    with m.If(cut_short):
        m.d.sync += _rule(by_frame, VERDICT_PASS, FrameOutcome.PASSED)
    with m.If(no_hops):
        m.d.sync += _rule(by_header, VERDICT_DROP, FrameOutcome.DROPPED_HOP_LIMIT)
    for applies, (_, outcome) in reversed(list(zip(wrong, checks, strict=True))):
        with m.If(applies):
            m.d.sync += _rule(by_header, VERDICT_PASS, outcome)
    m.d.comb += [
        ruling.eq(by_header),
        parser.found_valid.eq(since_end[-1]),
        parser.found.verdict.eq(ruling.verdict),
        parser.found.outcome.eq(ruling.outcome),
    ]
    with m.If(settled):
        m.d.comb += ruling.eq(by_frame)
    with m.Elif(bad_sum):
        m.d.comb += _rule(ruling, VERDICT_DROP, FrameOutcome.DROPPED_BAD_CHECKSUM)
    with m.Elif(unsound):
        m.d.comb += _rule(ruling, VERDICT_DROP, FrameOutcome.DROPPED_BAD_LENGTH)


def _rule(ruling: Any, verdict: int, outcome: FrameOutcome) -> list[Any]:
    return [ruling.verdict.eq(verdict), ruling.outcome.eq(outcome)]


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
