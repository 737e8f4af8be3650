# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Says of each frame, as early as its bytes allow, whether it is to our address, and where UDP is.

Rules, cited by tests as A1 to A3:

A1. *To our address* is, while we are enabled: Ethernet II with no more than two VLAN tags (IEEE
    802.1Q or 802.1ad), in it

    - IPv4, with options or without, that is not a fragment, to our IPv4 address (or any, if that is
      0), or
    - IPv6 to our IPv6 address, if we have one and the next hop has one. Extension headers may be:
      hop-by-hop options (first, if at all), destination options, and routing headers with no
      segments left,

    and directly in that UDP, to our port, with all of its header there, in the first
    ``HEADERS_WITHIN`` bytes of the frame (:mod:`midwire.hw.formats.headers`).
A2. A frame is decided ``DECISION_CYCLES`` cycles after the first beat that contradicts A1, or after
    the one with the end of the UDP header, or after its last beat: whichever comes first.
A3. ``unread`` counts what would have to be read further than that to know: an IPv6 header, or an
    extension header, agrees with A1, but what follows it would end too late.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.headers import (
    DESTINATION_OPTIONS,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_SERVICE_VLAN,
    ETHERTYPE_VLAN,
    HOP_BY_HOP,
    IPV6_BYTES,
    MAX_TAGS,
    MIN_IPV4_BYTES,
    PROTOCOL_UDP,
    ROUTING,
)
from .bus import (
    BEAT,
    BEAT_BYTES,
    CONFIG,
    ETHERNET_PLACE,
    PLACE_BITS,
    WHERE,
    ipv6_lanes,
    lanes,
)

TYPE_AT = 12
UDP_BYTES = 8
FRAGMENT_BITS = 0x3FFF
"""More fragments, and where this one belongs; not "do not fragment"."""

DECISION_CYCLES = 1
"""A beat is looked at when it comes, and what it says is put together in the next cycle."""

_UNKNOWN, _UDP, _OPTIONS, _ROUTING = range(4)  # what the next header is


class Classifier(wiring.Component):
    """Rules A1 to A3. Takes a beat each cycle, and never stalls.

    Parameters
    ----------
    beats : of a frame that it may look at; all is decided by then

    Members
    -------
    beat : In(BEAT); beat_valid : In(1), the beat is taken in this cycle
    config : In(CONFIG)
    decided : Out(1), for one cycle of each frame; to_us : Out(1), what was decided
    where : Out(WHERE), of a frame to us, with ``decided``
    unread : Out(1), with ``decided``
    """

    def __init__(self, beats: int) -> None:
        self._beats = beats
        super().__init__(
            {
                "beat": In(BEAT),
                "beat_valid": In(1),
                "config": In(CONFIG),
                "decided": Out(1),
                "to_us": Out(1),
                "where": Out(WHERE),
                "unread": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        self._beat, beat, beat_valid = self.beat, self.beat, self.beat_valid
        at = Signal(range(self._beats))  # all beats behind those have the last number
        self._is_beat = Signal(self._beats - 1, init=1)  # it is that one, if not the last number
        known = Signal()  # this frame was decided
        wrong: list[Value] = []  # whatever says so
        too_deep, misrouted = Signal(), Signal()
        state: list[Signal] = []  # of this frame; zero at its first beat

        def kept(shape: Any, name: str) -> tuple[Signal, Signal]:
            """A value as it is known by this beat, and as it was known before it."""
            now, before = Signal(shape, name=name), Signal(shape, name=f"{name}_before")
            m.d.comb += now.eq(before)
            with m.If(beat_valid):
                m.d.sync += before.eq(now)
            state.append(before)
            return now, before

        # Ethernet: tags, and what is in it. IP's first two bytes come with its type, so all that
        # these four say is found for each number of tags, and then chosen: that number is known
        # last.
        is_tag = []
        tags, tags_before = kept(range(MAX_TAGS + 1), "tags")
        for k in range(MAX_TAGS):
            here, number = self._fixed(TYPE_AT + 4 * k)
            vlan = (number == ETHERTYPE_VLAN) | (number == ETHERTYPE_SERVICE_VLAN)
            is_tag.append(here & (tags_before == k) & vlan)
            with m.If(is_tag[k]):
                m.d.comb += tags.eq(k + 1)
        # The second tag comes in a later beat than the first one, with what follows it.
        assert TYPE_AT // BEAT_BYTES < (TYPE_AT + 4) // BEAT_BYTES == (TYPE_AT + 8) // BEAT_BYTES
        none, one, two = (tags_before == 0) & ~is_tag[0], (tags_before == 1) & ~is_tag[1], is_tag[1]

        def field(offset: int) -> tuple[Signal, Signal]:
            """The 16 bits at a byte of the IP header behind its first beat: whether they are here,
            and their number."""
            byte = TYPE_AT + 2 + offset
            here, number = Signal(name=f"has_{byte}"), Signal(16, name=f"number_{byte}")
            with m.Switch(tags_before):
                for k in range(MAX_TAGS + 1):
                    with m.Case(k):
                        its_here, its_number = self._fixed(byte + 4 * k)
                        m.d.comb += [here.eq(its_here), number.eq(its_number)]
            return here, number

        def agree(here: Value, agrees: Value) -> None:
            wrong.append(here & ~agrees)

        ipv4_now, ipv4 = kept(1, "ipv4")
        ipv6_now, ipv6 = kept(1, "ipv6")
        own_ip6 = lanes(ipv6_lanes(self.config, "own"))
        any_ipv4, has_ipv6 = Signal(), Signal()
        m.d.sync += [
            any_ipv4.eq(self.config.own_ip == 0),
            has_ipv6.eq(own_ip6.any() & ipv6_lanes(self.config, "next").any()),
        ]

        # IP: what follows it, and where.
        kind, kind_before = kept(range(4), "kind")
        place, place_before = kept(PLACE_BITS, "place")
        for k, are_tags in enumerate((none, one, two)):
            its_here, type_ = self._fixed(TYPE_AT + 4 * k)
            _, number = self._fixed(TYPE_AT + 2 + 4 * k)
            words, version = number[8:12], number[12:]
            is_ipv4 = (type_ == ETHERTYPE_IPV4) & (version == 4) & (words >= MIN_IPV4_BYTES // 4)
            is_ipv6 = (type_ == ETHERTYPE_IPV6) & (version == 6)
            with m.If(its_here & are_tags):
                m.d.comb += [ipv4_now.eq(is_ipv4), ipv6_now.eq(is_ipv6)]
                # Not a sum, nor compared: both take a carry chain.
                first = ETHERNET_PLACE + k
                with m.Switch(Cat(words, is_ipv6)):
                    for count in range(1 << len(words)):
                        with m.Case(count):
                            m.d.comb += self._behind(place, too_deep, first + count)
                    with m.Default():
                        m.d.comb += self._behind(place, too_deep, first + IPV6_BYTES // 4)
            agree(its_here & are_tags, is_ipv4 | is_ipv6)

        here, number = field(6)
        agree(here & ipv4, ~(number & Const(FRAGMENT_BITS, 16)).any())
        with m.If(here & ipv6):
            m.d.comb += kind.eq(_kind(number[8:], first=True))
        agree(here & ipv6, _kind(number[8:], first=True) != _UNKNOWN)
        here, number = field(8)
        with m.If(here & ipv4):
            m.d.comb += kind.eq(_UDP)
        agree(here & ipv4, number[:8] == PROTOCOL_UDP)
        for offset, wanted in _halves(16, self.config.own_ip):
            here, number = field(offset)
            agree(here & ipv4, any_ipv4 | (number == wanted))
        for offset, wanted in _halves(24, own_ip6):
            here, number = field(offset)
            agree(here & ipv6, number == wanted)

        # What begins at a place: in this beat or in the one before, in its first half or its
        # second. Without an adder: a place is half a beat, and begins 2 bytes behind the half.
        assert BEAT_BYTES == 8
        at_before = Signal.like(at, init=self._beats - 1)  # no place is as far
        half, beat_of_place = place_before[0], place_before[1:]
        begins, began = Signal(), Signal()
        m.d.comb += [begins.eq(at == beat_of_place), began.eq(at_before == beat_of_place)]
        first_half = self._number(2), self._number(4)
        second_half = self._number(6), self._number(0)
        at_place, behind_place = (
            Mux(half, later, early) for early, later in zip(first_half, second_half, strict=True)
        )
        behind_here = Mux(half, began, begins)

        # Extension headers. Each has 8 bytes or more, so no beat has the beginnings of two.
        number = at_place
        extension = begins & ((kind_before == _OPTIONS) | (kind_before == _ROUTING))
        fits = Array(len(range(at, self._last_place() - 1, 2)) for at in range(1 << PLACE_BITS))
        with m.If(extension):
            with m.If(Mux(half, beat.keep[7], beat.keep[3])):
                m.d.comb += [
                    place.eq(place_before + 2 + 2 * number[:8]),
                    too_deep.eq(number[:8] >= fits[place_before]),
                ]
            m.d.comb += kind.eq(_kind(number[8:], first=False))
        agree(extension, _kind(number[8:], first=False) != _UNKNOWN)
        # Segments left are 2 bytes behind that, perhaps in the next beat.
        segments_later, was_later = kept(1, "segments_later")
        routing = extension & (kind_before == _ROUTING)
        m.d.comb += [
            segments_later.eq(routing & half),
            misrouted.eq(routing & ~half & behind_place[:8].any()),
        ]
        agree(was_later, ~self._number(0)[:8].any())

        # UDP, whose last 2 bytes are a beat behind the half that its place is in.
        udp = kind_before == _UDP
        agree(udp & behind_here, behind_place == self.config.own_port)
        ends = began & Mux(half, beat.keep[5], beat.keep[1])
        agree(self.config.control == 0, Const(0))

        # What the beat says is put together a cycle later.
        looked, last = Signal(), Signal()
        was_wrong, was_deep, was_misrouted = Signal(-(-len(wrong) // 4)), Signal(), Signal()
        was_ipv6, contradicts, is_end = Signal(), Signal(), Signal()
        is_wrong = was_wrong.any() | (was_ipv6 & ~has_ipv6)
        m.d.comb += [
            contradicts.eq(is_wrong | was_deep | was_misrouted),
            self.decided.eq(looked & ~known & (contradicts | is_end | last)),
            self.to_us.eq(is_end & ~contradicts),
            self.unread.eq(self.decided & was_deep & ~is_wrong),
        ]
        with m.If(looked):
            m.d.sync += known.eq((known | contradicts | is_end) & ~last)
        m.d.sync += [
            looked.eq(beat_valid),
            last.eq(beat.last),
            *(was_wrong[k].eq(Cat(wrong[4 * k : 4 * k + 4]).any()) for k in range(len(was_wrong))),
            was_ipv6.eq(ipv6_now),
            was_deep.eq(too_deep),
            was_misrouted.eq(misrouted),
            is_end.eq(udp & ends),
            self.where.tags.eq(tags),
            self.where.ipv6.eq(ipv6),
            self.where.l4.eq(place_before),
        ]
        with m.If(beat_valid):
            with m.If(at != self._beats - 1):
                m.d.sync += [
                    at.eq(at + 1),
                    at_before.eq(at),
                    self._is_beat.eq(self._is_beat << 1),
                ]
            with m.If(beat.last):
                m.d.sync += [at.eq(0), at_before.eq(self._beats - 1), self._is_beat.eq(1)]
                m.d.sync += [before.eq(0) for before in state]
        return m

    def _last_place(self) -> int:
        """Of a UDP header that ends in the beats that are looked at."""
        return (self._beats * BEAT_BYTES - UDP_BYTES - 2) // 4

    def _behind(self, place: Signal, too_deep: Signal, number: int) -> list[Any]:
        """What is behind IP begins at a place."""
        return [place.eq(number), too_deep.eq(int(number > self._last_place()))]

    def _number(self, lane: int) -> Value:
        """The 16 bits at a lane of this beat, in network order."""
        return lanes(self._beat.data[8 * lane : 8 * lane + 16])

    def _fixed(self, byte: int) -> tuple[Value, Value]:
        """Whether a byte of the frame, with the next one, is in this beat, and their number."""
        beat, lane = divmod(byte, BEAT_BYTES)
        return self._is_beat[beat], self._number(lane)


def _kind(number: Value, first: bool) -> Value:
    """What a next-header number means; hop-by-hop options only follow the IPv6 header itself."""
    options = (number == DESTINATION_OPTIONS) | (number == HOP_BY_HOP if first else 0)
    other = Mux(number == ROUTING, _ROUTING, Mux(options, _OPTIONS, _UNKNOWN))
    return Mux(number == PROTOCOL_UDP, _UDP, other)


def _halves(offset: int, address: Value) -> list[tuple[int, Value]]:
    """Bytes of the IP header, and the 16 bits of an address that should be there."""
    bits = len(address)
    return [(offset + k // 8, address[bits - k - 16 : bits - k]) for k in range(0, bits, 16)]
