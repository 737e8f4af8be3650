# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pooling: the largest value or the sum under a window, for each channel."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal

from ..kernels.finishing import finish_file
from ..kernels.pool import FoldedPooling
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
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
        outlet = FinishedOutlet(built.unit, finish_file(name), built.outlet_depth)
        super().__init__(window, outlet)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        window, outlet = self._ends(m)
        m.d.sync += [outlet.valid.eq(window.last), outlet.final.eq(window.final)]
        for lane in range(b.lanes):
            acc = Signal(shape_of(b.unit.ranges[0]), name=f"acc_{lane}")
            x = window.x[lane]
            if b.mode == "max":
                m.d.sync += acc.eq(Mux(window.first | (x > acc), x, acc))
            else:
                m.d.sync += acc.eq(Mux(window.first, 0, acc) + x)
            m.d.comb += outlet.acc0[lane].eq(acc)
        return m
