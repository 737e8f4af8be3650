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

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.headers import IPV6_BYTES, MIN_IPV4_BYTES
from ..formats.wire import HEADER_BYTES
from . import header as hdr
from .bus import (
    BEAT_BYTES,
    CONFIG,
    ETHERNET_PLACE,
    JOB,
    LANE_BITS,
    LENGTH_BITS,
    WORD_BITS,
    byte_of,
    folded,
    folds_to_ones,
    lanes,
    sum_lanes,
)
from .classify import UDP_BYTES
from .outer_headers import FRONT_WORDS, front_words, headers_of, totals_of

HEADER_WORDS = HEADER_BYTES // BEAT_BYTES

FIRST = data.StructLayout(
    {"odd": 1, "fits": 1, "tail": LANE_BITS, "back": 1, "unused": 10, "bytes": 48}
)
"""How a frame begins, as a word. All words behind its first bytes, 6 of them if the midwire
header's place is ``odd``, else 2, begin where that header does in a beat (B4): those of the headers
before it, its own, and those of the payload (B2). The first bytes are the last ones of ``bytes``.
Of the frame's last beat, bytes 0 to ``tail`` count; the last word ends there, and begins there,
too, if it ``fits``, else in the beat before."""

PREFIX = data.StructLayout(
    {"first": FIRST, "begin": range(FRONT_WORDS), "buffer": 1, "words": LENGTH_BITS - LANE_BITS + 1}
)
"""What goes in front of a payload of so many ``words``: behind ``first``, words of ``buffer`` from
``begin`` on."""

_RESTS_STEP = 4
"""In which what is summed up apart from the midwire header is there."""

_OFFERS_STEP = 4
"""From which on a prefix may be offered: of the words in front there are 5 at least, and the last
one is there 6 cycles after the cycle behind this step."""


class Preparer(wiring.Component):
    """Headers of one job after the other, in 11 cycles each, while the frame before leaves.

    In each of 8 steps, a word of the midwire header is written, and two cycles later one of those
    in front. What comes last is the checksum of UDP, in the last word in front, and the CRC, in the
    last one of all. A prefix is offered before that: who takes it reads its first word in the next
    cycle, and one each cycle at most, so none is read before it is whole.

    Members
    -------
    config : In(CONFIG)
    i : In(stream of JOB); rests : Out(1), one is taken in the next cycle, unless one is in this one
    o : Out(stream of PREFIX)
    buffer, at : In, of a word; word : Out(WORD_BITS), in the same cycle: ``FRONT_WORDS``, then
        ``HEADER_WORDS``. They stay until the next prefix is taken
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "config": In(CONFIG),
                "i": In(stream.Signature(JOB)),
                "rests": Out(1),
                "o": Out(stream.Signature(PREFIX)),
                "buffer": In(1),
                "at": In(range(FRONT_WORDS + HEADER_WORDS)),
                "word": Out(WORD_BITS),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        job = Signal(JOB)
        # In states idle and "words", as registers: what they say, they say to many.
        idles, sums, fresh = Signal(init=1), Signal(), Signal()
        writes, offers, buffer = Signal(), Signal(), Signal()
        step = Signal(range(HEADER_WORDS))
        # What the state machine asks of it, by registers: the step chooses words, which are far
        # away.
        at_offer, at_last = Signal(), Signal()
        m.d.sync += [
            at_offer.eq(~idles & (step == _OFFERS_STEP - 1)),
            at_last.eq(~idles & (step >= HEADER_WORDS - 2)),
        ]
        with m.If(idles):
            m.d.sync += [job.eq(self.i.payload), step.eq(0)]
        with m.Elif(~at_last):
            m.d.sync += step.eq(step + 1)
        udp_bytes, ipv4_bytes = Signal(16), Signal(16)
        m.d.sync += [
            fresh.eq(idles),
            idles.eq(self.rests & ~self.i.valid),
            udp_bytes.eq(job.bytes + (UDP_BYTES + HEADER_BYTES)),
            ipv4_bytes.eq(job.bytes + (MIN_IPV4_BYTES + UDP_BYTES + HEADER_BYTES)),
        ]
        parts = headers_of(self.config, job, udp_bytes, ipv4_bytes)
        ip_total, rest_total = totals_of(m, job, parts, udp_bytes)

        # The header's words, one after the other, and the last one from then on: each is summed up
        # in the cycle before it goes to the total. The CRC, at the end of the last one, is that of
        # a header with 0 there.
        comes = Cat(self.i.payload.origin.header[:-32], Const(0, 32))
        word, behind = Signal(WORD_BITS), Signal(len(comes) - WORD_BITS)
        both = Cat(word, behind)
        m.d.sync += both.eq(Mux(idles, comes, Cat(behind, behind[-WORD_BITS:])))
        m.submodules.crc = crc = hdr.HeaderCrc()
        m.d.comb += [crc.start.eq(~writes), crc.valid.eq(sums), crc.data.eq(word)]
        found = lanes(crc.crc)
        lane_total, rest = Signal(18), Signal.like(rest_total)
        header_total, udp_total = Signal(22), Signal(22)
        ip_sum = Signal(16)
        m.d.sync += [
            lane_total.eq(sum_lanes(word)),
            # Not the last word: its CRC comes later, and its rest is summed up elsewhere.
            header_total.eq(Mux(fresh, 0, header_total + lane_total + rest)),
            rest.eq(Mux(step == _RESTS_STEP, rest_total, 0)),
            ip_sum.eq(folded(m, ip_total, "ip_sum_now")),
        ]
        gone = ~offers | self.o.ready
        with m.If(gone):
            m.d.sync += offers.eq(0)
        with m.FSM(name="job"):
            with m.State("idle"):
                m.d.comb += self.rests.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [sums.eq(1), writes.eq(1)]
                    m.next = "words"
            with m.State("words"):
                with m.If(at_offer):
                    m.d.sync += offers.eq(1)
                with m.If(at_last):
                    m.d.sync += sums.eq(0)
                    m.next = "totals"
            with m.State("totals"):
                m.d.sync += udp_total.eq(header_total + sum_lanes(found))
                m.next = "checksum"
            with m.State("checksum"):
                m.d.sync += writes.eq(0)
                m.d.comb += self.rests.eq(gone)
                m.next = "taken"
                with m.If(gone):
                    m.d.sync += buffer.eq(~buffer)
                    m.next = "idle"
            with m.State("taken"), m.If(gone):
                m.d.comb += self.rests.eq(1)
                m.d.sync += buffer.eq(~buffer)
                m.next = "idle"

        udp_sum = folded(m, udp_total, "udp_sum")
        # A sum of 0 would say that there is none.
        udp_sent = Mux(folds_to_ones(udp_total), 0xFFFF, ~udp_sum)[:16]
        first_words, ipv4_words, ipv6_words, last_one = front_words(
            job.origin, parts, ip_sum, udp_sent
        )
        # Written two cycles later: the step's, then the version's, then from a register; but the
        # last one, which is written from then on.
        front, place, place_before = Signal(WORD_BITS), Signal.like(step), Signal.like(step)
        first, ipv4_word, ipv6_word = Signal(WORD_BITS), Signal(WORD_BITS), Signal(WORD_BITS)
        m.d.sync += [
            first.eq(Mux(step[0], first_words[1], first_words[0])),
            ipv4_word.eq(Array(ipv4_words)[step]),
            ipv6_word.eq(Array(ipv6_words)[step]),
            front.eq(Mux(job.origin.ipv6, ipv6_word, ipv4_word)),
            place_before.eq(step),
            place.eq(place_before),
        ]
        with m.If(place_before < len(first_words)):
            m.d.sync += front.eq(first)
        front_now = Mux(place == FRONT_WORDS - 1, last_one, front)
        crc_at = WORD_BITS - len(found)
        here = Cat(word[:crc_at], Mux(sums, word[crc_at:], found))
        self._keep(m, writes, (Cat(place, buffer), front_now), (Cat(step, buffer), here))
        self._describe(m, job, parts.target, buffer)
        m.d.comb += [self.i.ready.eq(idles), self.o.valid.eq(offers), self.busy.eq(~idles)]
        return m

    def _keep(self, m: Module, writes: Value, *words: tuple[Value, Value]) -> None:
        """The words of two frames: those in front and the header's, each with its place."""
        found = []
        for name, (place, word) in zip(("front", "header"), words, strict=True):
            m.submodules[name] = memory = Memory(shape=WORD_BITS, depth=1 << len(place), init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(place),
                write.data.eq(word),
                write.en.eq(writes),
                read.addr.eq(Cat(self.at[:-1], self.buffer)),
            ]
            found.append(read.data)
        m.d.comb += self.word.eq(Mux(self.at[-1], found[1], found[0]))

    def _describe(self, m: Module, job: data.View, target: Value, buffer: Value) -> None:
        """What is offered, in registers: the job is there some cycles before."""
        prefix, ready = self.o.payload, Signal(PREFIX)
        place = Signal(range(2 * FRONT_WORDS + 1))
        of_ip = Mux(job.origin.ipv6, IPV6_BYTES, MIN_IPV4_BYTES)
        end = Signal(LANE_BITS + 1)  # of the last word, in the beat in which it begins
        m.d.comb += [
            place.eq(ETHERNET_PLACE + job.origin.tag_count + (of_ip >> 2) + UDP_BYTES // 4),
            end.eq(byte_of(place)[:LANE_BITS] + (job.bytes - 1)[:LANE_BITS]),
            prefix.eq(ready),
            prefix.buffer.eq(buffer),
        ]
        m.d.sync += [
            ready.first.odd.eq(place[0]),
            ready.first.fits.eq(~end[LANE_BITS]),
            ready.first.tail.eq(end),
            ready.first.back.eq(job.back),
            ready.first.bytes.eq(Cat(target[:32], Mux(place[0], target[32:], target[:16]))),
            ready.begin.eq(FRONT_WORDS - (place >> 1)),
            ready.words.eq((job.bytes + (BEAT_BYTES - 1)) >> LANE_BITS),
        ]
