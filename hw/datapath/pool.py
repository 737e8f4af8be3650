# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pooling: the largest value or the sum under a window, for each channel."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from ..kernels.finishing import finish_file
from ..kernels.pool import FoldedPooling
from .ranges import shape_for, shape_of
from .stream import Outlet, beat
from .window import Window
from .windowed import Windowed


class FoldedPool(Windowed):
    """One tap of ``lanes`` channels each cycle.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i : In(beats of ``lanes`` elements ``x``)
    o : Out(beats of ``lanes`` elements ``out``)
    """

    def __init__(self, built: FoldedPooling, name: str) -> None:
        self._built = built
        self._name = name
        window = Window(
            shape_for(built.x),
            built.lanes,
            built.geometry,
            folds=built.folds,
            passes=built.folds,
            order="channelwise",
            pad_value=built.pad_value,
            rows=built.memory_rows,
        )
        super().__init__(window, out=shape_for(built.unit.out), out_lanes=built.lanes)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.window = window = self._window
        m.submodules.finish = finish = b.unit.component(finish_file(self._name))
        m.submodules.outlet = outlet = Outlet(beat(self._out, b.lanes), b.outlet_depth)
        wiring.connect(m, wiring.flipped(self.i), window.i)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        m.d.comb += [window.enable.eq(outlet.free), outlet.take.eq(window.start)]
        m.d.sync += [finish.valid.eq(window.last), finish.final.eq(window.final)]
        for lane in range(b.lanes):
            acc = Signal(shape_of(b.unit.ranges[0]), name=f"acc_{lane}")
            x = window.x[lane]
            if b.mode == "max":
                m.d.sync += acc.eq(Mux(window.first | (x > acc), x, acc))
            else:
                m.d.sync += acc.eq(Mux(window.first, 0, acc) + x)
            m.d.comb += finish.acc0[lane].eq(acc)
        m.d.comb += [
            outlet.write.eq(finish.o_valid),
            outlet.payload.data.eq(finish.y),
            outlet.payload.last.eq(finish.o_final),
        ]
        return m
