# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Folded convolution: a window, multiply-accumulate units, a finisher, and credits.

A dense layer is a convolution of 1 x 1 images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from ..kernels.finishing import finish_file
from ..kernels.folded_convolution import FoldedConvolution
from ..timing.components import tree_stages
from .arithmetic import adder_tree, delayed, product_shape
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .rom import memory
from .window import Window
from .windowed import Windowed


class _Convolution(Windowed, ABC):
    """What dense and depthwise convolutions share: weights, accumulators, finisher.

    A loadable one has the side ports ``weights``, and ``finish`` if its finisher is writable.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory images' names
    """

    def __init__(self, built: FoldedConvolution, name: str) -> None:
        self._built = built
        self._name = name
        window = Window(
            shape_for(built.x),
            built.simd,
            built.geometry,
            folds=built.folds,
            passes=built.passes,
            order="channelwise" if built.depthwise else "dense",
            pad_value=built.pad_value,
            rows=built.memory_rows,
        )
        outlet = FinishedOutlet(built.unit, finish_file(name), built.outlet_depth)
        super().__init__(window, outlet, sides=built.side_ports)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        window, outlet = self._ends(m)
        width, words = b.weight_words
        load = self.weights if b.side_ports else None
        m.submodules.weights = rom = memory(m, width, words, f"{self._name}_weights.hex", load)
        if b.unit.writable and b.side_ports:
            wiring.connect(m, wiring.flipped(self.finish), outlet.load)

        at = Signal(range(words))
        with m.If(window.step):
            m.d.sync += at.eq(Mux(at == words - 1, 0, at + 1))
        weights = Signal(data.ArrayLayout(shape_for(b.weight), b.weight_lanes))
        # No enables on wide registers: Verilator would copy each of them twice a cycle.
        m.d.sync += weights.as_value().eq(rom.data)
        m.d.comb += [rom.en.eq(window.step), rom.addr.eq(at)]
        x = Signal(window.x.shape())
        m.d.comb += x.eq(window.x)
        sums, delay = self._sums(m, x, weights)
        first, last, final = (
            delayed(m, getattr(window, flag), delay, flag) for flag in ("first", "last", "final")
        )
        for lane, total in enumerate(sums):
            acc = Signal(shape_of(b.unit.ranges[0]), name=f"acc_{lane}")
            m.d.sync += acc.eq(Mux(first, 0, acc) + total)
            m.d.comb += outlet.acc0[lane].eq(acc)
        m.d.sync += [outlet.valid.eq(last), outlet.final.eq(final)]
        return m

    @abstractmethod
    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        """What each accumulator adds, and how many cycles after its operands."""


class FoldedConv(_Convolution):
    """A dense convolution with ``pe`` x ``simd`` multipliers.

    Members
    -------
    i : In(beats of ``simd`` elements ``x``)
    o : Out(beats of ``pe`` elements ``out``)
    """

    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        simd = self._built.simd
        totals = []
        for k in range(self._built.pe):
            products: list[Value] = []
            for n in range(simd):
                product = Signal(
                    product_shape(x[n], weights[k * simd + n]), name=f"product_{k}_{n}"
                )
                m.d.sync += product.eq(x[n] * weights[k * simd + n])
                products.append(product)
            totals.append(adder_tree(m, products, f"sum_{k}"))
        return totals, 1 + tree_stages(simd)


class FoldedDepthwise(_Convolution):
    """A depthwise convolution: one tap of ``pe`` channels each cycle.

    Members
    -------
    i : In(beats of ``pe`` elements ``x``)
    o : Out(beats of ``pe`` elements ``out``)
    """

    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        totals = []
        for k in range(self._built.pe):
            product = Signal(product_shape(x[k], weights[k]), name=f"product_{k}")
            m.d.sync += product.eq(x[k] * weights[k])
            totals.append(product)
        return totals, 1
