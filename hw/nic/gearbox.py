# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Cuts the bytes of a tensor into beats of another width."""

from __future__ import annotations

from math import gcd

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class Gearbox(wiring.Component):
    """Beats of ``i_bytes`` in, beats of ``o_bytes`` out; one tensor after the other.

    A tensor takes ``ceil(tensor_bytes / i_bytes)`` beats in and ``ceil(tensor_bytes / o_bytes)``
    out. What the last beat in has beyond the tensor is dropped; the last beat out is filled with
    zeros. Neither side's ready or valid depends on the other's.

    Members
    -------
    i : In(stream of ``8 * i_bytes`` bits)
    o : Out(stream of {"data", "last"})
    empty : Out(1), between two tensors
    """

    def __init__(self, i_bytes: int, o_bytes: int, tensor_bytes: int) -> None:
        if min(i_bytes, o_bytes, tensor_bytes) < 1:
            raise ValueError(
                f"a gearbox needs at least 1 byte: {i_bytes!r} to {o_bytes!r} of {tensor_bytes!r}"
            )
        self._i_bytes = i_bytes
        self._o_bytes = o_bytes
        self._tensor_bytes = tensor_bytes
        beat = data.StructLayout({"data": 8 * o_bytes, "last": 1})
        super().__init__(
            {
                "i": In(stream.Signature(8 * i_bytes)),
                "o": Out(stream.Signature(beat)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        grain = gcd(self._i_bytes, self._o_bytes)  # positions are multiples of it
        i_grains, o_grains = self._i_bytes // grain, self._o_bytes // grain
        i_beats = -(-self._tensor_bytes // self._i_bytes)
        o_beats = -(-self._tensor_bytes // self._o_bytes)
        held = Signal(8 * grain * (i_grains + o_grains))
        level = Signal(range(i_grains + o_grains + 1))
        came, went = Signal(range(i_beats + 1)), Signal(range(o_beats))
        put, get = Signal(), Signal()
        # What is told is of the next cycle's counts, and a register.
        next_level, next_came = Signal.like(level), Signal.like(came)
        ready, valid, last, empty = (
            Signal(init=1),
            Signal(),
            Signal(init=o_beats == 1),
            Signal(init=1),
        )
        m.d.sync += [
            level.eq(next_level),
            came.eq(next_came),
            ready.eq((next_came != i_beats) & (next_level <= o_grains)),
            valid.eq((next_level >= o_grains) | ((next_came == i_beats) & (next_level != 0))),
            empty.eq(next_came == 0),
        ]
        m.d.comb += [
            next_came.eq(came + put),
            self.i.ready.eq(ready),
            self.o.valid.eq(valid),
            self.o.payload.last.eq(last),
            self.empty.eq(empty),
            put.eq(self.i.valid & self.i.ready),
            get.eq(self.o.valid & self.o.ready),
        ]
        tail = self._tensor_bytes % self._o_bytes or self._o_bytes
        m.d.comb += self.o.payload.data.eq(held)
        with m.If(self.o.payload.last):
            m.d.comb += self.o.payload.data.eq(held[: 8 * tail])
        rest = Signal.like(held)
        place = Signal.like(level)
        with m.If(get):
            m.d.comb += rest.eq(held >> 8 * self._o_bytes)
            m.d.comb += place.eq(Mux(level > o_grains, level - o_grains, 0))
        with m.Else():
            m.d.comb += [rest.eq(held), place.eq(level)]
        new = Signal.like(held)
        with m.If(put), m.Switch(place):
            for grains in range(o_grains + 1):
                with m.Case(grains):
                    m.d.comb += new.eq(self.i.payload << 8 * grain * grains)
        m.d.sync += held.eq(rest | new)
        m.d.comb += next_level.eq(place + Mux(put, i_grains, 0))
        with m.If(get):
            m.d.sync += [went.eq(went + 1), last.eq(went + 2 == o_beats)]
            with m.If(last):
                m.d.sync += [held.eq(0), went.eq(0), last.eq(o_beats == 1)]
                m.d.comb += [next_level.eq(0), next_came.eq(0)]
        return m
