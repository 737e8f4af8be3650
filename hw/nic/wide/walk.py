# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From header to header behind IP, 16 bytes of a frame at a time: is there UDP, to our port?

Places (B4) are looked at in *steps* of 8 bytes, for extension headers are multiples of that long:
either all even places of the frame or all odd ones. A *unit* of 16 bytes has the places of two
steps, the first of the odd ones 2 bytes in front of it.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from ...formats.headers import DESTINATION_OPTIONS, HEADERS_WITHIN, PROTOCOL_UDP, ROUTING
from ..bus import ETHERNET_PLACE, lanes

UNIT_BYTES = 16
UNITS = HEADERS_WITHIN // UNIT_BYTES
"""That are looked at."""

FIRST_UNIT = 2
"""In which UDP may be, behind IPv4 without options or tags."""

_FIRST_PLACE = 4 * FIRST_UNIT - 1
STEPS = 2 * (UNITS - FIRST_UNIT)
IPV6_ENDS = ETHERNET_PLACE + 10
"""The place behind an IPv6 header without tags."""

_LANES = (-2, 2, 6, 10)
"""Of a unit, at which places are, by turns odd and even ones."""


FOUND = data.StructLayout({"ours": 1, "unread": 1})


def step_of(place: int) -> int:
    """In which a place is looked at."""
    return (place - _FIRST_PLACE) // 2


_LENGTHS = STEPS - 1 - step_of(IPV6_ENDS)

_BEHIND = {"known": 1, "behind": _LENGTHS}
PLACE = data.StructLayout({"port": 1, "whole": 1, "straight": 1, "udp": 1, "routing": 1, **_BEHIND})
"""What a header at a place would be. As UDP, is it to our ``port``, and ``whole``? As a routing
header, is it ``straight``, without segments left? As an extension header, is what follows ``known``
to be one that is read: ``udp``, ``routing`` or options; and how many steps ``behind`` the next step
does it begin? That is a bit for each, and none if it is too far away."""

UNIT = data.StructLayout(
    {
        "places": data.ArrayLayout(PLACE, len(_LANES)),
        "second": 1,
        "last": data.StructLayout(_BEHIND),
    }
)
"""What is in 16 bytes of a frame; ``second``: it has the second one; ``last``: of an extension
header that has its first two bytes here, and no more."""

WALK = data.StructLayout({"even": 1, "begins": STEPS, "udp": 1, "routing": 1, "pending": 1})
"""On which places headers are, in which step from here on the next one begins, a bit for each, and
what it is; ``pending``: UDP to our port was found, and is whole if the next unit has a second byte.
"""


def unit_of(m: Module, name: str, before: Value, part: Value, keep: Value, port: Value) -> Any:
    """What is in 16 bytes of a frame, of which those of ``keep`` are there, behind the 2 bytes
    ``before``; ``port`` is ours."""
    found = Signal(UNIT, name=name)
    both = Cat(before, part)

    def follows(lane: int) -> tuple[Value, Value]:
        """The number of the next header, and how long this one is, of one at a lane."""
        return both[8 * (lane + 2) :][:8], both[8 * (lane + 3) :][:8]

    def extension(lane: int, place: Any) -> None:
        kind, length = follows(lane)
        read = reduce(or_, (kind == k for k in (PROTOCOL_UDP, ROUTING, DESTINATION_OPTIONS)))
        known = read if lane < 0 else read & keep[lane + 1]
        m.d.comb += [
            place.known.eq(known),
            place.behind.eq(Cat(read & (length == k) for k in range(_LENGTHS))),
        ]

    for lane, place in zip(_LANES, found.places, strict=True):
        extension(lane, place)
        kind, _ = follows(lane)
        third, fourth = follows(lane + 2)
        m.d.comb += [
            place.port.eq(lanes(Cat(third, fourth)) == port),
            place.whole.eq(keep[lane + 7] if lane + 7 < UNIT_BYTES else 0),
            place.straight.eq(fourth == 0),
            place.udp.eq(kind == PROTOCOL_UDP),
            place.routing.eq(kind == ROUTING),
        ]
    extension(UNIT_BYTES - 2, found.last)
    m.d.comb += found.second.eq(keep[1])
    return found


def walked(m: Module, unit: int, state: Any, said: Any, after: Any) -> Value:
    """Walk the two steps of a unit: ``after`` is what is known then.

    Returns
    -------
    ``FOUND``: whether whole UDP to our port was found, and whether a header was that is followed by
    one that would end too late (A3)
    """
    begins, udp, routing = state.begins, state.udp, state.routing
    step = step_of(4 * unit - 1)
    found: Any = state.pending & said.second
    deep: Any = Const(0)
    pending: Any = Const(0)

    def too_far(header: Any, step: int, even: Value | int) -> Value:
        """Whether what follows a header of this step would end too late."""
        odd_fits, even_fits = (
            header.behind[: max(0, last - step)].any() for last in (STEPS - 1, STEPS - 2)
        )
        return begins[0] & ~udp & header.known & ~Mux(even, even_fits, odd_fits)

    for k in range(2):
        here = Signal(PLACE, name=f"header_{unit}_{k}")
        m.d.comb += here.eq(Mux(state.even, said.places[2 * k + 1], said.places[2 * k]))
        ours = begins[0] & udp & here.port
        found = found | (ours & here.whole)
        pending = ours & state.even  # counts in the second step
        # That of an odd place at the beginning was known by the unit in front of it.
        far = too_far(here, step + k, state.even)
        deep = deep | (far if k else far & state.even)
        goes = Signal(name=f"goes_{unit}_{k}")
        m.d.comb += goes.eq(begins[0] & ~udp & (here.straight | ~routing))
        begins = (begins >> 1) | (here.behind & goes.replicate(_LENGTHS))
        udp = Mux(goes, here.udp, udp)
        routing = Mux(goes, here.routing, routing)
    deep = deep | (too_far(said.last, step + 2, 0) & ~state.even)
    m.d.comb += [
        after.even.eq(state.even),
        after.begins.eq(begins),
        after.udp.eq(udp),
        after.routing.eq(routing),
        after.pending.eq(pending),
    ]
    return Cat(found, deep)
