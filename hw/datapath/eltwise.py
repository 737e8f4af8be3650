# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Element by element: finish one stream, or the sum or an extreme of several."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.eltwise import FoldedEltwise
from ..kernels.finishing import finish_file
from .finished import FinishedOutlet
from .ranges import shape_for
from .stream import beats


class Eltwise(wiring.Component):
    """Streams of one tensor shape to one stream, a beat each cycle.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i0, i1, ... : In(beats of ``lanes``), one for each term
    o : Out(beats of ``lanes`` elements ``out``)
    """

    def __init__(self, built: FoldedEltwise, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        lanes = built.unit.lanes
        ports = {f"i{k}": In(beats(shape_for(x), lanes)) for k, x in enumerate(built.xs)}
        super().__init__({**ports, "o": Out(beats(shape_for(built.unit.out), lanes))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.outlet_depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        inputs = [getattr(self, f"i{k}") for k in range(len(b.xs))]
        for term, port in enumerate(inputs):
            others = [other.valid for other in inputs if other is not port]
            m.d.comb += port.ready.eq(outlet.free & Cat(others, 1).all())
            if b.mode == "terms":
                acc = getattr(outlet, f"acc{term}")
                m.d.comb += [acc[k].eq(port.payload.data[k]) for k in range(b.unit.lanes)]
        if b.mode != "terms":
            for k in range(b.unit.lanes):
                m.d.comb += outlet.acc0[k].eq(_extreme([p.payload.data[k] for p in inputs], b.mode))
        m.d.comb += [
            outlet.take.eq(outlet.free & Cat(port.valid for port in inputs).all()),
            outlet.valid.eq(outlet.take),
            outlet.final.eq(inputs[0].payload.last),
        ]
        return m


def _extreme(values: list[Value], mode: str) -> Value:
    """The largest or the smallest of some numbers."""
    best = values[0]
    for value in values[1:]:
        best = Mux(value > best if mode == "max" else value < best, value, best)
    return best
