# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elements added up, or compared, as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Mux, Shape, Signal, Value

from ..kernels.reduce import Accumulating
from .accumulators import Accumulators
from .arithmetic import larger, product_shape, tree
from .ranges import shape_of


class Accumulator(Accumulators[Accumulating]):
    """Hardware of :class:`~midwire.hw.kernels.reduce.Accumulating`: a number an accumulator."""

    @property
    def _state(self) -> Shape:
        return shape_of(self._built.unit.ranges[0])

    def _taken(self, begins: Value, before: Value, term: Value) -> Value:
        return Mux(begins, term, self._join(before, term))

    def _results(self, total: Value, output: int) -> Sequence[Value]:
        del output
        return [total]

    def _join(self, a: Value, b: Value) -> Value:
        """Two elements as one."""
        if self._built.mode == "max":
            return larger(a, b)
        if self._built.mode == "min":
            return Mux(a < b, a, b)
        return a + b

    def _terms(self, m: Any, step: Value) -> list[Value]:
        del step
        b = self._built
        elements: list[Value] = []
        for k in range(b.lanes):
            value = self.i.payload.data[k] - b.zero if b.zero else self.i.payload.data[k]
            operand = Signal(shape_of((b.x.lo - b.zero, b.x.hi - b.zero)), name=f"operand_{k}")
            m.d.sync += operand.eq(value)
            if b.squares:
                square = Signal(product_shape(operand, operand), name=f"square_{k}")
                m.d.sync += square.eq(operand * operand)
                elements.append(square)
            else:
                elements.append(operand)
        if b.simd == 1:
            return elements
        return [tree(m, elements, "terms", self._join)]
