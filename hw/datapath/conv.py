# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Folded convolution: a window, multiply-accumulate units, a finisher, and credits.

A dense layer is a convolution of 1 x 1 images.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from ..kernels.finishing import finish_file
from ..kernels.folded_convolution import FoldedConvolution
from ..kernels.pads import pad_name
from ..timing.components import tree_stages
from .arithmetic import adder_tree, delayed, product_shape
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .rom import Writer, memory
from .window import Window
from .windowed import Windowed


class FoldedConv(Windowed):
    """A dense convolution with ``pe`` x ``simd`` multipliers, or a depthwise one with ``pe``, for
    each of the ``taps`` that it takes in a cycle.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats of ``simd`` elements ``x``; of ``pe`` if depthwise)
    o : Out(beats of ``pe`` elements ``out``)
    weights : In(stream of words), if loadable
    finish : In(stream of words), if loadable and its finisher is writable
    weight_bank : In(1), if loadable
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
            taps=built.taps,
            pad_value=pad_name(name) if built.pad_value is None else built.pad_value,
            lines=built.memory_lines,
        )
        outlet = FinishedOutlet(built.unit, finish_file(name), built.outlet_depth)
        super().__init__(window, outlet, sides=built.side_ports)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        window, outlet = self._ends(m)
        width, words = b.weight_words
        writer = Writer(self.weights, self.weight_bank) if b.side_ports else None
        m.submodules.weights = rom = memory(m, width, words, f"{self._name}_weights.hex", writer)
        if b.unit.writable and b.side_ports:
            wiring.connect(m, wiring.flipped(self.finish), outlet.load)
            m.d.comb += outlet.weight_bank.eq(self.weight_bank)

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

    def _sums(self, m: Any, x: Any, weights: Any) -> tuple[list[Value], int]:
        """What each accumulator adds, and how many cycles after its operands."""
        b = self._built
        totals = []
        for k in range(b.pe):
            products: list[Value] = []
            for n in range(b.terms):
                factor = x[n * b.pe + k if b.depthwise else n]
                weight = weights[k * b.terms + n]
                product = Signal(product_shape(factor, weight), name=f"product_{k}_{n}")
                m.d.sync += product.eq(factor * weight)
                products.append(product)
            totals.append(adder_tree(m, products, f"sum_{k}"))
        return totals, 1 + tree_stages(b.terms)
