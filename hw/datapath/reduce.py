# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elements added up, or compared, as they come."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.reduce import RING, Accumulating
from .arithmetic import delayed, product_shape, tree
from .counters import counter, position
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .stream import beats


class Accumulator(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.reduce.Accumulating`, rules V1 and V2 there.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i : In(beats of ``lanes`` elements ``x``)
    o : Out(beats of ``pe`` elements ``out``)
    """

    def __init__(self, built: Accumulating, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        out = beats(shape_for(built.unit.out), built.pe)
        super().__init__({"i": In(beats(shape_for(built.x), built.lanes)), "o": Out(out)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))

        take = Signal()
        first = Signal(init=1)
        fold_end = counter(m, "fold", b.folds, take)
        last = counter(m, "step", b.steps, take & fold_end)
        with m.If(take & fold_end):
            m.d.sync += first.eq(last)
        m.d.comb += [
            self.i.ready.eq(outlet.free | ~last),
            take.eq(self.i.valid & self.i.ready),
            outlet.take.eq(take & last),
        ]

        terms = self._terms(m)
        adds = delayed(m, take, b.arithmetic, "adds")
        begins = delayed(m, first, b.arithmetic, "begins")
        before = self._before(m, take)
        totals = []
        for lane, term in enumerate(terms):
            total = Signal(shape_of(b.unit.ranges[0]), name=f"total_{lane}")
            m.d.comb += total.eq(Mux(begins, term, self._join(before[lane], term)))
            totals.append(total)
        self._keep(m, adds, totals)
        for lane, total in enumerate(totals):
            m.d.sync += outlet.acc0[lane].eq(total)
        m.d.sync += [
            outlet.valid.eq(delayed(m, take & last, b.arithmetic, "ends")),
            outlet.final.eq(delayed(m, take & self.i.payload.last, b.arithmetic, "final")),
        ]
        return m

    def _join(self, a: Value, b: Value) -> Value:
        """Two elements as one."""
        if self._built.mode == "max":
            return Mux(a > b, a, b)
        if self._built.mode == "min":
            return Mux(a < b, a, b)
        return a + b

    def _terms(self, m: Any) -> list[Value]:
        """What the beat of some cycles ago adds to each accumulator."""
        b = self._built
        elements: list[Value] = []
        for k in range(b.lanes):
            value = self.i.payload.data[k] - b.zero if b.zero else self.i.payload.data[k]
            operand = Signal(shape_of((b.x.lo - b.zero, b.x.hi - b.zero)), name=f"operand_{k}")
            m.d.sync += operand.eq(value)
            if b.mode == "squares":
                square = Signal(product_shape(operand, operand), name=f"square_{k}")
                m.d.sync += square.eq(operand * operand)
                elements.append(square)
            else:
                elements.append(operand)
        if b.simd == 1:
            return elements
        return [tree(m, elements, "terms", self._join)]

    def _before(self, m: Any, take: Value) -> list[Value]:
        """The accumulators whose turn it is."""
        b = self._built
        shape = data.ArrayLayout(shape_of(b.unit.ranges[0]), b.pe)
        if b.folds <= RING:
            self._ring = [Signal(shape, name=f"ring_{k}") for k in range(b.folds)]
            return [self._ring[-1][lane] for lane in range(b.pe)]
        m.submodules.memory = self._memory = Memory(shape=shape, depth=b.folds, init=[])
        # It comes a cycle after it was asked for, and was written folds - 1 cycles before at least.
        early = delayed(m, take, b.arithmetic - 1, "asks")
        port = self._memory.read_port()
        m.d.comb += port.addr.eq(position(m, "read_at", b.folds, early))
        return [port.data[lane] for lane in range(b.pe)]

    def _keep(self, m: Any, adds: Value, totals: list[Signal]) -> None:
        """Put them back."""
        b = self._built
        if b.folds <= RING:
            with m.If(adds):
                m.d.sync += [self._ring[0][lane].eq(t) for lane, t in enumerate(totals)]
                m.d.sync += [self._ring[k].eq(self._ring[k - 1]) for k in range(1, b.folds)]
            return
        port = self._memory.write_port()
        m.d.comb += [port.en.eq(adds), port.addr.eq(position(m, "write_at", b.folds, adds))]
        m.d.comb += [port.data[lane].eq(total) for lane, total in enumerate(totals)]
