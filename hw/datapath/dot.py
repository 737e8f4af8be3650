# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sums of products of two streams."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.dot import FoldedDot
from ..kernels.finishing import finish_file
from ..timing.components import tree_stages
from .arithmetic import adder_tree, delayed, product_shape
from .counters import counter
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .stream import beats


class DotProduct(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.dot.FoldedDot`, rules P1 and P2 there.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    a, b : In(beats of ``pe * simd``)
    o : Out(beats of ``pe``)
    """

    def __init__(self, built: FoldedDot, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        lanes = built.pe * built.simd
        a, b = (In(beats(shape_for(x), lanes)) for x in built.xs)
        super().__init__({"a": a, "b": b, "o": Out(beats(shape_for(built.unit.out), built.pe))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.outlet_depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))

        step, allowed = Signal(), Signal()
        begin = Signal(init=1)
        end = counter(m, "step", b.steps, step)
        with m.If(step):
            m.d.sync += begin.eq(end)
        m.d.comb += [
            # Only the first step of a pass needs a slot for its result.
            allowed.eq(outlet.free | ~begin),
            step.eq(allowed & self.a.valid & self.b.valid),
            self.a.ready.eq(allowed & self.b.valid),
            self.b.ready.eq(allowed & self.a.valid),
            outlet.take.eq(step & begin),
        ]

        sums = self._sums(m)
        delay = 2 + tree_stages(b.simd)
        adds, first, last, final = (
            delayed(m, flag, delay, name)
            for name, flag in (
                ("adds", step),
                ("first", step & begin),
                ("last", step & end),
                ("final", step & end & self.a.payload.last),
            )
        )
        for lane, total in enumerate(sums):
            acc = Signal(shape_of(b.unit.ranges[0]), name=f"acc_{lane}")
            with m.If(adds):
                m.d.sync += acc.eq(Mux(first, 0, acc) + total)
            m.d.comb += outlet.acc0[lane].eq(acc)
        m.d.sync += [outlet.valid.eq(last), outlet.final.eq(final)]
        return m

    def _sums(self, m: Any) -> list[Value]:
        """For each accumulator, the sum of a beat's products."""
        b = self._built
        factors: list[list[Value]] = []
        for port, factor, zero in zip((self.a, self.b), b.factors, b.zeros, strict=True):
            registers: list[Value] = []
            for k in range(b.pe * b.simd):
                register = Signal(shape_for(factor), name=f"factor{len(factors)}_{k}")
                m.d.sync += register.eq(port.payload.data[k] - zero)
                registers.append(register)
            factors.append(registers)
        sums = []
        for lane in range(b.pe):
            products: list[Value] = []
            for k in range(lane * b.simd, (lane + 1) * b.simd):
                x, y = factors[0][k], factors[1][k]
                product = Signal(product_shape(x, y), name=f"product_{k}")
                m.d.sync += product.eq(x * y)
                products.append(product)
            sums.append(adder_tree(m, products, f"sum_{lane}"))
        return sums
