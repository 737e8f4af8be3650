# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Says of each frame of a wide stream whether it is to our address, in two steps.

Rule, cited by tests as A4:

A4. By its first ``HEAD_BYTES``, or all of it if it is shorter, a frame is *open* or not ours: all
    of rule A1 of :mod:`midwire.hw.nic.classify` is looked at that has a fixed place behind the VLAN
    tags in them. That leaves out the port behind IPv4 options, whatever is behind IPv6 extension
    headers, the port behind IPv6 and two tags, and whether the frame is long enough. By its first
    ``HEADERS_WITHIN`` bytes, or all of it, an open frame is ours or not, exactly as A1 says.

What a beat says is compared in the cycle after it came (:mod:`.head`). In the next one comes the
verdict on the head, and :mod:`.walk` begins to take 16 bytes a cycle.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...formats.headers import HEADERS_WITHIN
from ..bus import CONFIG, beat_layout
from .head import HEAD_BYTES, Head
from .walk import FIRST_UNIT, FOUND, UNIT_BYTES, UNITS, WALK, unit_of, walked


class Claim(wiring.Component):
    """Rule A4. Takes a beat each cycle, and never stalls.

    Parameters
    ----------
    beat_bytes : 16, 32 or 64

    Members
    -------
    beat : In(wide beat); beat_valid : In(1), the beat is taken in this cycle
    config : In(CONFIG)
    decided : Out(1), for one cycle of each frame, 2 cycles behind the beat that decides on its head
    open : Out(1), what was decided, with it
    judged : Out(1), for one cycle of each open frame, :attr:`patience` cycles behind the beat that
        decides
    ours : Out(1), what that was, with it; unread : Out(1), the same, by rule A3

    Attributes
    ----------
    patience : cycles
    """

    def __init__(self, beat_bytes: int) -> None:
        if beat_bytes not in (16, 32, 64):
            raise ValueError(f"a wide beat must have 16, 32 or 64 bytes, not {beat_bytes!r}")
        self._size = beat_bytes
        self._looked = -(-HEADERS_WITHIN // beat_bytes)
        per_beat = beat_bytes // UNIT_BYTES
        self._beat_of = [unit // per_beat for unit in range(UNITS)]
        # A unit is taken in the cycle after the one in front of it, if that is in the same beat.
        self._delays = {FIRST_UNIT - 1: 0}
        for before, unit in pairwise(range(FIRST_UNIT - 1, UNITS)):
            same = self._beat_of[before] == self._beat_of[unit]
            self._delays[unit] = self._delays[before] + same
        self.patience = 3 + self._delays[UNITS - 1]
        super().__init__(
            {
                "beat": In(beat_layout(beat_bytes)),
                "beat_valid": In(1),
                "config": In(CONFIG),
                "decided": Out(1),
                "open": Out(1),
                "judged": Out(1),
                "ours": Out(1),
                "unread": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        index = Signal(range(self._looked + 1))  # beats behind those all have the last number
        with m.If(self.beat_valid):
            with m.If(self.beat.last):
                m.d.sync += index.eq(0)
            with m.Elif(index != self._looked):
                m.d.sync += index.eq(index + 1)

        def complete(beats: int) -> Value:
            """Whether so many beats are here now, or all of a shorter frame."""
            last = self.beat.last & (index < beats)
            return self.beat_valid & (last | (index == beats - 1))

        # A beat as it came, and the cycle after that.
        beat, came, came_then = Signal.like(self.beat), Signal(self._looked), Signal(self._looked)
        ends_head, ends, ended = Signal(), Signal(), Signal()
        was_open, asked = Signal(), Signal()
        m.d.sync += [
            beat.eq(self.beat),
            came.eq(Cat(self.beat_valid & (index == k) for k in range(self._looked))),
            came_then.eq(came),
            ends_head.eq(complete(HEAD_BYTES // self._size)),
            self.decided.eq(ends_head),
            ends.eq(complete(self._looked)),
            ended.eq(ends),
        ]
        head = Head(m, self._size, beat.data, came, self.config)
        m.d.comb += self.open.eq(head.open)
        with m.If(self.decided):
            m.d.sync += was_open.eq(self.open)
        late = _Late(m)
        found = self._walk(m, head, self._units(m, beat, came), came_then, late)
        m.d.comb += [
            asked.eq(late(ended, 1) & was_open),
            self.judged.eq(late(asked, self.patience - 3)),
            self.ours.eq(found.ours),
            self.unread.eq(found.unread),
        ]
        return m

    def _units(self, m: Module, beat: Any, came: Value) -> list[Signal]:
        """What each 16 bytes of a beat say, in the cycle after it."""
        before = Signal(16)
        with m.If(came.any()):
            m.d.sync += before.eq(beat.data[-16:])
        units = []
        for k, at in enumerate(range(0, self._size, UNIT_BYTES)):
            ahead = beat.data[8 * at - 16 : 8 * at] if at else before
            part = beat.data[8 * at : 8 * (at + UNIT_BYTES)]
            keep = beat.keep[at : at + UNIT_BYTES]
            said = unit_of(m, f"unit_{k}", ahead, part, keep, self.config.own_port)
            units.append(Signal.like(said, name=f"unit_{k}_then"))
            m.d.sync += units[-1].eq(said)
        return units

    def _walk(self, m: Module, head: Head, units: list[Signal], came: Signal, late: _Late) -> Any:
        """What was found in all units, ``patience`` cycles behind the last beat."""
        state = Signal(WALK, name="begin")
        with m.If(came[self._beat_of[FIRST_UNIT - 1]]):
            m.d.sync += [
                state.even.eq(head.even),
                state.begins.eq(head.begins),
                state.udp.eq(head.udp),
                state.routing.eq(head.routing),
            ]
        told, delay = Signal(FOUND), 0
        for unit in range(FIRST_UNIT, UNITS):
            # What is found is known before the next frame's beats say it anew.
            if self._delays[unit] != delay:
                delay, told = self._delays[unit], late(told, 1)
            said = late(units[unit % len(units)], delay)
            follows, after = Signal(WALK, name=f"to_{unit}"), Signal(WALK, name=f"behind_{unit}")
            found = Signal(FOUND, name=f"found_{unit}")
            finds = walked(m, unit, state, said, follows)
            with m.If(late(came, delay)[0]):
                m.d.sync += found.eq(0)
            with m.If(late(came, delay)[self._beat_of[unit]]):
                m.d.sync += [after.eq(follows), found.eq(finds)]
            both = Signal(FOUND, name=f"found_by_{unit}")
            m.d.comb += both.eq(told.as_value() | found.as_value())
            state, told = after, both
        return told


class _Late:
    """Signals as they were some cycles before."""

    def __init__(self, m: Module) -> None:
        self._m = m
        self._known: dict[int, list[Any]] = {}

    def __call__(self, signal: Any, cycles: int) -> Any:
        line = self._known.setdefault(id(Value.cast(signal)), [signal])
        while len(line) <= cycles:
            line.append(Signal.like(signal))
            self._m.d.sync += line[-1].eq(line[-2])
        return line[cycles]
