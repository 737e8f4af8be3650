# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A GRU's cell."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Signal, Value

from ..kernels.gru import FoldedGru
from .arithmetic import delayed, product_shape
from .ranges import shape_of
from .recurrent import RecurrentLayer, Serving, shifted


class GruCell(RecurrentLayer[FoldedGru]):
    """Hardware of :class:`~midwire.hw.kernels.gru.FoldedGru` (N14)."""

    _reads_old = True

    def _cell(self, m: Any, sums: list[Value], old: Value, serving: Serving) -> Value:
        b = self._built
        del serving
        z, r = (
            self._looked_up(m, part, "sigmoid", acc, drop)
            for part, acc, drop in zip("zr", sums, b.drops, strict=False)
        )
        p, q = (
            delayed(m, acc, late, name)
            for acc, late, name in zip(sums[2:], (3, 2), "pq", strict=True)
        )
        raised = Cat(Const(0, b.grid.bits), p)
        reset = Signal(product_shape(r, q))
        inner = Signal(shape_of(b.inner))
        m.d.sync += [
            reset.eq(r * q),
            inner.eq((raised.as_signed() if p.shape().signed else raised) + reset),
        ]
        n = self._looked_up(m, "n", "tanh", inner, b.drops[2] + b.grid.bits)
        keep, before = delayed(m, z, 4, "z"), delayed(m, old, 7, "old")
        renew = b.grid.one - keep
        new, kept = Signal(product_shape(renew, n)), Signal(product_shape(keep, before))
        state = Signal(self._state)
        m.d.sync += [
            new.eq(renew * n),
            kept.eq(keep * before),
            state.eq(shifted(new + kept, b.grid.bits)),
        ]
        return state
