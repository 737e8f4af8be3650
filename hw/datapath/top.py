# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The most extreme few elements and their places, kept in order as elements come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value

from ..kernels.top import Sorting
from .accumulators import Accumulators
from .arithmetic import tree
from .ranges import shape_for


class Sorter(Accumulators[Sorting]):
    """Hardware of :class:`~midwire.hw.kernels.top.Sorting`, rules Z1 and Z2 there.

    An entry is an element, and above it its place. An accumulator is entries, the best one lowest,
    and above them a bit for each that is there.
    """

    @property
    def _state(self) -> Shape:
        return Shape(self._built.state_bits)

    def _terms(self, m: Any, step: Value) -> list[Value]:
        b = self._built
        at = Signal(b.place_bits)
        if b.place_bits and b.steps > 1:
            with m.If(step):
                m.d.sync += at.eq(Mux(at == b.count - b.simd, 0, at + b.simd))
        entries: list[Value] = []
        for k in range(b.lanes):
            place = (at + k % b.simd)[: b.place_bits]
            entry = Signal(b.entry_bits, name=f"entry_{k}")
            m.d.sync += entry.eq(Cat(self.i.payload.data[k], place))
            entries.append(entry)
        if b.simd == 1:
            return entries
        # Of two, the one at the lower place stands first.
        return [tree(m, entries, "best", lambda a, c: Mux(self._precedes(c, a), c, a))]

    def _precedes(self, new: Value, old: Value) -> Value:
        """Whether an entry goes before one at a lower place."""
        b = self._built
        new, old = (self._element(entry) for entry in (new, old))
        if b.latest:
            return new >= old if b.largest else new <= old
        return new > old if b.largest else new < old

    def _element(self, entry: Value) -> Value:
        element = entry[: self._built.x.bits]
        return element.as_signed() if shape_for(self._built.x).signed else element

    def _taken(self, begins: Value, before: Value, term: Value) -> Value:
        b = self._built
        bits, k = b.entry_bits, b.k
        if k == 1:
            return Mux(begins | self._precedes(term, before), term, before)
        held = [before[n * bits : (n + 1) * bits] for n in range(k)]
        there = Mux(begins, 0, before[k * bits :])
        goes = [~there[n] | self._precedes(term, held[n]) for n in range(k)]
        entries = [Mux(goes[0], term, held[0])]
        for n in range(1, k):
            entries.append(Mux(goes[n], Mux(goes[n - 1], held[n - 1], term), held[n]))
        return Cat(*entries, Cat(Const(1, 1), there)[:k])

    def _results(self, total: Value, output: int) -> Sequence[Value]:
        b = self._built
        bits = b.entry_bits
        entries = [total[n * bits : (n + 1) * bits] for n in range(b.k)]
        if b.parts[output] == "values":
            return [self._element(entry) for entry in entries]
        return [entry[b.x.bits :] for entry in entries]
