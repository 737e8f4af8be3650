# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quotients of two streams, element by element."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.quotient import FoldedQuotient
from .arithmetic import delayed
from .finished import FinishedOutlet
from .quotients import signed_quotients
from .ranges import shape_for, shape_of
from .stream import beats


class Divider(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.quotient.FoldedQuotient`: a divider for each lane.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    a, b : In(beats of ``lanes``)
    o : Out(beats of ``lanes``)
    """

    def __init__(self, built: FoldedQuotient, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        lanes = built.unit.lanes
        a, b = (In(beats(shape_for(x), lanes)) for x in built.xs)
        super().__init__({"a": a, "b": b, "o": Out(beats(shape_for(built.unit.out), lanes))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.outlet_depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        for lane in range(b.unit.lanes):
            m.d.comb += outlet.acc0[lane].eq(self._ratio(m, lane))
        begin = Signal()
        m.d.comb += [
            begin.eq(outlet.free & self.a.valid & self.b.valid),
            self.a.ready.eq(outlet.free & self.b.valid),
            self.b.ready.eq(outlet.free & self.a.valid),
            outlet.take.eq(begin),
            outlet.valid.eq(delayed(m, begin, b.arithmetic, "begun")),
            outlet.final.eq(delayed(m, self.a.payload.last, b.arithmetic, "last")),
        ]
        return m

    def _ratio(self, m: Any, lane: int) -> Value:
        """The accumulator of a lane (N19)."""
        b = self._built
        sizes: list[Value] = []
        below: list[Value] = []
        for port, zero, bits in zip((self.a, self.b), b.zeros, b.sizes, strict=True):
            own = port.payload.data[lane] - zero
            size = Signal(bits, name=f"size{len(sizes)}_{lane}")
            m.d.sync += size.eq(abs(own))
            sizes.append(size)
            below.append(own < 0)
        falls = Signal(name=f"falls_{lane}")
        m.d.sync += falls.eq(below[0] ^ below[1])
        numerator = Cat(Const(0, b.bits), sizes[0])
        divisor = Mux(sizes[1] == 0, 1, sizes[1])[: b.sizes[1]]
        ends = shape_of(b.unit.ranges[0])
        names = f"of{lane}_"
        (found,) = signed_quotients(
            m, [numerator], [falls], divisor, b.quotient_bits, ends, names=names
        )
        return found
