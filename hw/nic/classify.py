# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Says of each frame, as early as its bytes allow, whether it is to our address.

Rules, cited by tests as A1 and A2:

A1. *To our address* is: Ethernet II, IPv4 without options and not a fragment, UDP, our port, our
    IPv4 address (or any, if that is 0), with all of the UDP header there, while we are enabled.
A2. A frame is decided in the cycle after the first beat that contradicts A1, or after the one with
    the end of the UDP header, or after its last beat: whichever comes first.
"""

from __future__ import annotations

from collections.abc import Iterator

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bus import BEAT, BEAT_BYTES, CONFIG, lanes

ETHERTYPE_IPV4 = 0x0800
PROTOCOL_UDP = 17
IP_AT, UDP_AT, HEADER_AT = 14, 34, 42
IPV4_WITHOUT_OPTIONS = 0x45
_TYPE_AT, _FRAGMENT_AT, _PROTOCOL_AT, _DESTINATION_AT, _PORT_AT = 12, 20, 23, 30, 36
_FRAGMENT_BITS = 0x3FFF
"""More fragments, and where this one belongs; not "do not fragment"."""


class Classifier(wiring.Component):
    """Rules A1 and A2. Takes a beat each cycle, and never stalls.

    Members
    -------
    beat : In(BEAT); beat_valid : In(1), the beat is taken in this cycle
    config : In(CONFIG)
    decided : Out(1), for one cycle of each frame; to_us : Out(1), what was decided
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "beat": In(BEAT),
                "beat_valid": In(1),
                "config": In(CONFIG),
                "decided": Out(1),
                "to_us": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        last_beat, last_lane = divmod(HEADER_AT - 1, BEAT_BYTES)
        at = Signal(range(last_beat + 1))  # all beats behind the headers have the last number
        known = Signal()  # this frame was decided
        wrong, right, decides = Signal(), Signal(), Signal()
        with m.Switch(at):
            for beat in range(last_beat + 1):
                with m.Case(beat):
                    for offset, agrees in self._agreements():
                        if offset // BEAT_BYTES == beat:
                            with m.If(~agrees):
                                m.d.comb += wrong.eq(1)
        with m.If(~self.config.control):
            m.d.comb += wrong.eq(1)
        m.d.comb += [
            right.eq((at == last_beat) & self.beat.keep[last_lane] & ~wrong),
            decides.eq(self.beat_valid & ~known & (wrong | right | self.beat.last)),
        ]
        m.d.sync += [self.decided.eq(decides), self.to_us.eq(right)]
        with m.If(self.beat_valid):
            m.d.sync += known.eq(~self.beat.last & (known | decides))
            with m.If(self.beat.last):
                m.d.sync += at.eq(0)
            with m.Elif(at != last_beat):
                m.d.sync += at.eq(at + 1)
        return m

    def _agreements(self) -> Iterator[tuple[int, Value]]:
        """Byte of the frame, and whether what is there agrees with A1. None reaches two beats."""
        config = self.config
        yield _TYPE_AT, self._number(_TYPE_AT) == ETHERTYPE_IPV4
        yield IP_AT, self._number(IP_AT, 1) == IPV4_WITHOUT_OPTIONS
        yield _FRAGMENT_AT, ~(self._number(_FRAGMENT_AT) & Const(_FRAGMENT_BITS, 16)).any()
        yield _PROTOCOL_AT, self._number(_PROTOCOL_AT, 1) == PROTOCOL_UDP
        for offset, half in ((0, config.own_ip[16:]), (2, config.own_ip[:16])):
            at = _DESTINATION_AT + offset
            yield at, (config.own_ip == 0) | (self._number(at) == half)
        yield _PORT_AT, self._number(_PORT_AT) == config.own_port

    def _number(self, offset: int, size: int = 2) -> Value:
        """The number of ``size`` bytes at a byte of the frame, while its beat is here."""
        lane = offset % BEAT_BYTES
        return lanes(self.beat.data[8 * lane : 8 * (lane + size)])
