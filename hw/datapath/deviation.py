# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Division by the deviation, by the root of the mean square, or by a norm."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from ..kernels.deviation import FoldedDeviation
from .arithmetic import delayed, larger, product_shape
from .groups import Grouped, field
from .quotients import signed_quotients
from .ranges import shape_of


class Deviation(Grouped[FoldedDeviation]):
    """Hardware of :class:`~midwire.hw.kernels.deviation.FoldedDeviation`."""

    def _totals(self, m: Any, elements: Sequence[Value], write: Value, first: Value) -> list[Value]:
        b = self._built
        power, join = b.rule.power, add if b.rule.power else larger
        lowest, highest = b.element
        # Of one element, what the first total is of.
        ends = b.element if power == 0 else (0, max(-lowest, highest) ** power)
        terms: list[Value] = []
        plain: list[Value] = []
        for k, element in enumerate(elements):
            own = element - b.rule.origin
            term = Signal(shape_of(ends), name=f"term_{k}")
            centred = Signal(shape_of(b.element), name=f"centred_{k}")
            m.d.sync += [term.eq((own, abs(own), own * own)[power]), centred.eq(own)]
            terms.append(term)
            plain.append(centred)
        return [
            self._total(m, column, write, first, ends, how, name, late=1)
            for column, ends, how, name in zip(
                (terms, plain), b.totals, (join, add), ("total", "sum"), strict=False
            )
        ]

    def _prepare(self, m: Any, totals: Any, statistics: Any) -> None:
        b = self._built
        at = Signal(range(b.busy))
        held = Signal.like(totals.payload)
        mean_square = Signal(shape_of((0, b.rule.times * b.square)))
        squared_mean = Signal.like(mean_square)
        under = Signal(2 * b.root_bits)
        root, rest = Signal(b.root_bits), Signal(b.root_bits + 2)
        m.d.comb += [
            totals.ready.eq(at == 0),
            statistics.valid.eq(at == b.busy - 1),
            statistics.payload[field(0)].eq(root),
        ]
        if b.rule.centred:
            m.d.comb += statistics.payload[field(1)].eq(held[field(1)])
            m.d.sync += squared_mean.eq(held[field(1)] * held[field(1)])
        m.d.sync += mean_square.eq(held[field(0)] * b.rule.times)
        with m.If((at != 0) | totals.valid):
            m.d.sync += at.eq(Mux(at == b.busy - 1, 0, at + 1))
        with m.If(at == 0):
            m.d.sync += held.eq(totals.payload)
        with m.Elif(at == 2):
            spread = (mean_square - squared_mean).as_unsigned()[: len(mean_square)]
            shifted = Cat(Const(0, 2 * b.rule.root_bits), spread)
            m.d.sync += [under.eq(shifted + b.rule.epsilon), root.eq(0), rest.eq(0)]
        with m.Elif(at != b.busy - 1):
            # A digit: two bits more of the number, and one of the root.
            wider, trial = Cat(under[-2:], rest), Cat(Const(1, 2), root)
            fits = wider >= trial
            m.d.sync += [
                rest.eq(Mux(fits, wider - trial, wider)),
                root.eq(Cat(fits, root)),
                under.eq(under << 2),
            ]

    def _accumulators(
        self, m: Any, elements: Sequence[Value], statistics: Sequence[Value]
    ) -> list[Value]:
        b = self._built
        divisor, falls = statistics[0], Const(0)
        if not b.rule.rooted:
            divisor, falls = abs(divisor), delayed(m, divisor < 0, 1, "falls")
            divisor = divisor | (divisor == 0)
        divisor = delayed(m, divisor, 2, "root")
        mean = delayed(m, statistics[1], 1, "mean") if b.rule.centred else Const(0)
        numerators: list[Value] = []
        signs: list[Value] = []
        for k, element in enumerate(elements):
            own = element - b.rule.origin
            product = Signal(product_shape(own, Const(b.rule.times)), name=f"product_{k}")
            size = Signal(len(product) + 1, name=f"size_{k}")
            sign = Signal(name=f"sign_{k}")
            difference = product - mean
            m.d.sync += [
                product.eq(own * b.rule.times),
                size.eq(abs(difference)),
                sign.eq((difference < 0) ^ falls),
            ]
            numerators.append(Cat(Const(0, b.rule.bits + b.rule.root_bits), size))
            signs.append(sign)
        ends = shape_of(b.unit.ranges[0])
        return signed_quotients(m, numerators, signs, divisor, b.quotient_bits, ends)
