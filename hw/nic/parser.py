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
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.headers import IPV6_BYTES, PROTOCOL_UDP
from ..formats.wire import HEADER_BYTES
from . import header as hdr
from .bus import (
    BEAT,
    BEAT_BYTES,
    ETHERNET_PLACE,
    FOUND,
    LANE_BITS,
    MAX_FRAME_BYTES,
    PLACE_BITS,
    WHERE,
    WORD_BITS,
    beat_of,
    byte_of,
    lanes,
    sum_lanes,
    swap16,
    word_from,
)
from .classify import TYPE_AT, UDP_BYTES
from .origins import ARRIVAL, IP, IP_WORDS, L3_WORD, L4_WORDS, MAC, TAGS
from .verdict import TOTAL_BITS, Datagram, Frame, Totals, judge

TO_ORIGINS = ("l3", "l3_valid", "l4", "l4_valid", "ended")
"""What :class:`.origins.Origins` is told of frames."""

_MAX_BEATS = MAX_FRAME_BYTES // BEAT_BYTES


class Parser(wiring.Component):
    """Parser of one frame after the other, a beat each cycle, without stalls.

    Sums and the verdict take several cycles, each as long as two numbers are added: longer than a
    frame's end is from the next one's UDP header, which comes 6 cycles later at the earliest.

    Members
    -------
    beat : In(BEAT); beat_valid : In(1), the beat goes into the store in this cycle; all of a cycle
        are registers: much is compared with them
    where : In(WHERE), where this frame's headers are
    now : In(32), microseconds
    l3, l3_valid, l4, l4_valid : Out, what :class:`.origins.Origins` keeps of it, a cycle later
    ended : Out(1), set for one cycle, behind the last beat
    found : Out(FOUND); found_valid : Out(1), set for one cycle, some after that
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "beat": In(BEAT),
                "beat_valid": In(1),
                "where": In(WHERE),
                "now": In(32),
                "l3": Out(L3_WORD),
                "l3_valid": Out(1),
                "l4": Out(WORD_BITS),
                "l4_valid": Out(1),
                "ended": Out(1),
                "found": Out(FOUND),
                "found_valid": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        beat, beat_valid, at_place = self.beat, self.beat_valid, self.where
        # Where we are. Beats behind the longest frame all have the same number.
        at = Signal(range(_MAX_BEATS + 1))
        early = Signal(3, init=1)  # it is the first one, the second or the third
        beats, bytes_ = Signal.like(at), Signal(LANE_BITS + 1)  # in front of this beat, and in it
        bad = Signal()
        ended = self.ended
        cut_short = Signal()  # the verdict on an overlong frame was given before its end
        overlong = Signal()
        where = Signal(WHERE)  # of the frame whose verdict is given
        before = Signal(WORD_BITS)
        m.d.comb += overlong.eq(beat_valid & ~beat.last & (at == _MAX_BEATS - 1))
        m.d.sync += ended.eq(0)
        with m.If(beat_valid):
            with m.If(beat.last):
                m.d.sync += [at.eq(0), early.eq(1), ended.eq(at != _MAX_BEATS)]
            with m.Else():
                m.d.sync += early.eq(early << 1)
                with m.If(at != _MAX_BEATS):
                    m.d.sync += at.eq(at + 1)
            m.d.sync += [
                beats.eq(at),
                bytes_.eq(sum(beat.keep)),
                bad.eq(beat.last & beat.bad),
                cut_short.eq(overlong),
                where.eq(at_place),
                before.eq(beat.data),
            ]
            with m.If(overlong):
                m.d.sync += ended.eq(1)

        l3, l4 = Signal(PLACE_BITS), at_place.l4
        m.d.comb += l3.eq(ETHERNET_PLACE + at_place.tags)
        ipv6 = at_place.ipv6

        def words(name: str, place: Value, count: int) -> tuple[Signal, Signal, Signal]:
            """Words of a header: which one is due with this beat, a bit for each; whether any is;
            and the place, from a register: no place is in a frame's first beat."""
            due, is_due = Signal(count, name=f"{name}_due"), Signal(name=f"{name}_is_due")
            its_place = Signal(PLACE_BITS, name=f"{name}_place", init=ETHERNET_PLACE)
            with m.If(beat_valid):
                m.d.sync += its_place.eq(place)
                m.d.sync += [due.eq(due << 1), is_due.eq(is_due & ~due[-1])]
                with m.If(at == beat_of(byte_of(its_place))):
                    m.d.sync += [due.eq(1), is_due.eq(1)]
                with m.If(beat.last):
                    m.d.sync += [due.eq(0), is_due.eq(0)]
            return due, is_due, its_place

        # IP. The second beat's word is the source address, which begins where IP does without tags.
        due, is_due, place = words("l3", l3, IP_WORDS)
        word = Signal(WORD_BITS, name="l3_word")
        place_there = Cat(place[0] | early[1], place[1:])
        m.d.comb += word.eq(word_from(before, beat.data, byte_of(place_there)))
        ip_bytes, ip_stop = Signal(17), Signal(18)  # and the byte of the frame behind them
        ip_base = Signal(PLACE_BITS + 3)
        m.d.sync += ip_base.eq(byte_of(l3) + Mux(ipv6, IPV6_BYTES, 0))
        with m.If(beat_valid & due[0]):
            m.d.sync += [
                ip_bytes.eq(Mux(ipv6, lanes(word[32:48]) + IPV6_BYTES, lanes(word[16:32]))),
                ip_stop.eq(lanes(Mux(ipv6, word[32:48], word[16:32])) + ip_base),
            ]
        self._keep_front(m, early, word, due, is_due, before)

        # UDP, and the midwire header behind it.
        due, is_due, place = words("l4", l4, L4_WORDS)
        word = word_from(before, beat.data, byte_of(place))
        udp_length, udp_check = Signal(16), Signal(16)
        with m.If(beat_valid & due[0]):
            m.d.sync += [udp_length.eq(lanes(word[32:48])), udp_check.eq(word[48:])]
        # A cycle later: the verdict needs it two behind the header.
        m.submodules.crc = crc = hdr.HeaderCrc()
        taken, is_number = Signal(WORD_BITS), Signal(L4_WORDS)
        m.d.comb += self.l4.eq(taken)
        m.d.sync += [
            taken.eq(word),
            self.l4_valid.eq(beat_valid & is_due),
            is_number.eq(due & beat_valid.replicate(L4_WORDS)),
            crc.start.eq(beat_valid & due[0]),
            crc.valid.eq(beat_valid & is_due & ~due[0]),
            crc.data.eq(Cat(word[:32], word[32:] & ~due[-1].replicate(32))),
        ]
        header = Signal(8 * HEADER_BYTES)
        for k in range(1, L4_WORDS):
            with m.If(is_number[k]):
                m.d.sync += header.word_select(k - 1, WORD_BITS).eq(taken)

        # Sums. Where the datagram ends is known before its UDP header comes. A beat's lanes are
        # chosen in its cycle, added up in the next one, and to the total in the third.
        chosen = Signal(WORD_BITS)
        steps = Signal(2)  # a beat is in each of these
        firsts = Signal(2)  # and it is a frame's first one
        m.d.sync += [
            chosen.eq(beat.data),
            steps.eq(Cat(beat_valid, steps)),
            firsts.eq(Cat(early[0], firsts)),
        ]

        def since(name: str, first: Value) -> Signal:
            """The lanes of this beat at or behind a byte of the frame."""
            mask = Signal(BEAT_BYTES, name=f"since_{name}")
            with m.If(at > beat_of(first)):
                m.d.comb += mask.eq(-1)
            with m.Elif(at == beat_of(first)):
                m.d.comb += mask.eq(Cat(first[:LANE_BITS] <= k for k in range(BEAT_BYTES)))
            return mask

        def since_place(name: str, place: Value) -> Signal:
            """The same for a place, from a register, too."""
            first = Signal(PLACE_BITS + 2, name=f"{name}_at")
            with m.If(beat_valid):
                m.d.sync += first.eq(byte_of(place))
            return since(name, first)

        def total_of(name: str, inside: Value, more: Value | None = None) -> Signal:
            """Sum over some lanes of each beat of the frame, and of something ``more``."""
            total, kept = Signal(TOTAL_BITS, name=name), Signal(WORD_BITS, name=f"{name}_bytes")
            with_more = Signal.like(total, name=f"{name}_with_more")
            lanes_in, part = (
                Signal(BEAT_BYTES, name=f"{name}_lanes"),
                Signal(18, name=f"{name}_part"),
            )
            m.d.comb += kept.eq(chosen & Cat(bit.replicate(8) for bit in lanes_in))
            m.d.sync += [lanes_in.eq(inside), part.eq(sum_lanes(kept))]
            so_far = Mux(firsts[1], 0, total)
            with m.If(steps[1]):
                m.d.sync += total.eq(so_far + part)
                if more is not None:
                    m.d.sync += with_more.eq(so_far + (part + more))
            return total if more is None else with_more

        in_ip = since_place("ip", l3)
        in_addresses = since_place("source", l3 + Mux(ipv6, 2, 3))
        behind_addresses = since_place("addresses_end", l3 + Mux(ipv6, 10, 5))
        in_udp = since_place("udp", l4)
        in_payload = since_place("payload", l4 + (UDP_BYTES + HEADER_BYTES) // 4)
        behind = since("end", ip_stop)
        ip_total = total_of("ip_total", in_ip & ~in_udp)
        # What IPv4 and IPv6 put in front of UDP's sum comes to the same.
        pseudo = Signal(17)
        m.d.sync += pseudo.eq(swap16(PROTOCOL_UDP) + lanes(udp_length))
        in_sum = in_addresses & ~behind_addresses | in_udp & ~behind
        udp_total = total_of("udp_total", in_sum, pseudo)
        payload_total = total_of("payload_total", in_payload & ~behind)

        judge(
            m,
            self,
            Frame(ended, cut_short, bad, (beats << LANE_BITS) + bytes_, where, ip_bytes, ip_stop),
            Datagram(udp_length, udp_check, header, crc.crc),
            Totals(ip_total, udp_total, payload_total),
        )
        return m

    def _keep_front(
        self, m: Module, early: Value, word: Value, due: Value, is_due: Value, before: Value
    ) -> None:
        """Words in front of UDP. IP's first one comes in the third beat, if there are no tags."""
        tagged, has_tags = Signal(), Signal()
        m.d.comb += has_tags.eq(early[2] & tagged)
        m.d.sync += [
            tagged.eq(self.where.tags != 0),
            self.l3_valid.eq(self.beat_valid & (is_due | early[0] | early[1] | has_tags)),
            self.l3.number.eq(reduce(or_, (Mux(bit, IP + k, 0) for k, bit in enumerate(due)))),
            self.l3.word.eq(word),
        ]
        arrived = Cat(self.now, self.where.tags, self.where.ipv6)
        with m.If(early[0]):
            m.d.sync += [self.l3.number.eq(ARRIVAL), self.l3.word.eq(arrived)]
        with m.If(early[1]):
            m.d.sync += self.l3.number.eq(MAC)
        with m.If(has_tags):
            m.d.sync += [
                self.l3.number.eq(TAGS),
                self.l3.word.eq(Cat(before[8 * (TYPE_AT % BEAT_BYTES) :], self.beat.data)),
            ]
