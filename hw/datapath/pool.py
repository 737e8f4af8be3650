# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pooling: the largest value or the sum under a window, for each channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import mul
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value

from ..kernels.finishing import finish_file
from ..kernels.pool import FoldedPooling
from .counters import counter
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .raster import part_name
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
            lines=built.memory_lines,
        )
        outlet = FinishedOutlet(built.unit, finish_file(name), built.outlet_depth)
        super().__init__(window, outlet)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        window, outlet = self._ends(m)
        last, final = Signal(), Signal()
        m.d.sync += [last.eq(window.last), final.eq(window.final)]
        factor = self._factor(m, window.last) if b.factors else None
        if factor is None:
            m.d.comb += [outlet.valid.eq(last), outlet.final.eq(final)]
        else:
            m.d.sync += [outlet.valid.eq(last), outlet.final.eq(final)]
        for lane in range(b.lanes):
            acc = Signal(shape_of(b.sums), name=f"acc_{lane}")
            x = window.x[lane]
            if b.mode == "max":
                m.d.sync += acc.eq(Mux(window.first | (x > acc), x, acc))
            else:
                m.d.sync += acc.eq(Mux(window.first, b.start, acc) + x)
            if factor is None:
                m.d.comb += outlet.acc0[lane].eq(acc)
            else:
                m.d.sync += outlet.acc0[lane].eq(acc * factor)
        return m

    def _factor(self, m: Any, last: Value) -> Signal:
        """What the accumulators are multiplied by in the cycle after the last step of a pass."""
        b = self._built
        rank = len(b.factors)
        places = [
            Signal(range(len(each)), name=part_name(rank, axis))
            for axis, each in enumerate(b.factors)
        ]
        move = last & counter(m, "fold_out", b.folds, last)
        for at, each in zip(reversed(places), reversed(b.factors), strict=True):
            end = at == len(each) - 1
            with m.If(move):
                m.d.sync += at.eq(Mux(end, 0, at + 1))
            move = move & end
        product = reduce(mul, (_chosen(m, *each) for each in zip(places, b.factors, strict=True)))
        factor = Signal(product.shape())
        m.d.sync += factor.eq(product)
        return factor


def _chosen(m: Any, at: Signal, values: Sequence[int]) -> Signal:
    """``values[at]``: most of them are one number, which needs no comparison."""
    usual = Counter(values).most_common(1)[0][0]
    chosen = Signal(range(max(values) + 1), name=f"of_{at.name}")
    m.d.comb += chosen.eq(usual)
    with m.Switch(at):
        for value in sorted(set(values) - {usual}):
            with m.Case(*(k for k, each in enumerate(values) if each == value)):
                m.d.comb += chosen.eq(value)
    return chosen
