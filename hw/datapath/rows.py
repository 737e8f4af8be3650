# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Integers to rows of a table, which is the finisher."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.rows import FoldedRows
from .counters import counter
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .stream import beats


class RowReader(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.rows.FoldedRows`, rules J1 and J2 there.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats of one integer)
    o : Out(beats of ``lanes`` elements)
    """

    def __init__(self, built: FoldedRows, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        unit = built.unit
        super().__init__(
            {
                "i": In(beats(shape_for(built.x), 1)),
                "o": Out(beats(shape_for(unit.out), unit.lanes)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        whole = counter(m, "fold", b.folds, outlet.take)
        q = self.i.payload.data[0]
        row = Signal(shape_of((b.low, b.high)))
        m.d.comb += [
            row.eq(_bounded(Mux(q < 0, q + b.wrap, q) if b.wrap else q, b.low, b.high)),
            *(outlet.acc0[lane].eq(row) for lane in range(b.unit.lanes)),
            outlet.take.eq(outlet.free & self.i.valid),
            self.i.ready.eq(outlet.free & whole),
            outlet.valid.eq(outlet.take),
            outlet.final.eq(self.i.payload.last & whole),
        ]
        return m


def _bounded(q: Any, low: int, high: int) -> Any:
    """An integer between two ends."""
    return Mux(q < low, low, Mux(q > high, high, q))
