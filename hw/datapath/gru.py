# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A GRU's cell: the reset behind the product, or before it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from amaranth.lib.memory import Memory

from ..kernels.gru import FoldedGru
from .arithmetic import delayed, product_shape
from .ranges import shape_of
from .recurrent import RecurrentLayer, Serving, shifted


class GruCell(RecurrentLayer[FoldedGru]):
    """Hardware of :class:`~midwire.hw.kernels.gru.FoldedGru`, of one half (N14)."""

    _reads_old = True

    def _cell(self, m: Any, sums: list[Value], old: Value, serving: Serving) -> tuple[Value, ...]:
        b = self._built
        del serving
        z, r = (
            self._looked_up(m, part, "f", acc, drop)
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
        n = self._looked_up(m, "n", "g", inner, b.drops[2] + b.grid.bits)
        keep, before = delayed(m, z, 4, "z"), delayed(m, old, 7, "old")
        renew = b.grid.one - keep
        new, kept = Signal(product_shape(renew, n)), Signal(product_shape(keep, before))
        state = Signal(self._state)
        m.d.sync += [
            new.eq(renew * n),
            kept.eq(keep * before),
            state.eq(shifted(new + kept, b.grid.bits)),
        ]
        return (state,)


class HalvedGruCell(RecurrentLayer[FoldedGru]):
    """The same of two halves (Y5): the first makes ``r * h`` in place of a state, and keeps z; the
    second makes the state. Both use one pipeline.
    """

    _reads_old = True

    def _cell(self, m: Any, sums: list[Value], old: Value, serving: Serving) -> tuple[Value, ...]:
        b = self._built
        z, r, n = (
            self._looked_up(m, part, table, acc, drop)
            for part, table, acc, drop in zip("zrn", "ffg", sums, b.drops, strict=True)
        )
        # Entries are there 4 cycles after a unit is served.
        renews = delayed(m, serving.done, 4, "renews")
        kept_z = self._kept(m, z, serving)
        keep = Mux(renews, kept_z, r)
        before = delayed(m, old, 3, "old")
        renew = b.grid.one - kept_z
        new, kept = Signal(product_shape(renew, n)), Signal(product_shape(keep, before))
        state = Signal(self._state)
        m.d.sync += [
            new.eq(Mux(renews, renew * n, 0)),
            kept.eq(keep * before),
            state.eq(shifted(new + kept, b.grid.bits)),
        ]
        return (state,)

    def _kept(self, m: Any, z: Value, serving: Serving) -> Value:
        """The entry of z that the first half found, beside those of the second."""
        m.submodules.gates = memory = Memory(shape=z.shape(), depth=self._built.units, init=[])
        asked = delayed(m, serving.unit, 3, "gate_unit")
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.addr.eq(asked),
            write.en.eq(delayed(m, serving.valid & ~serving.done, 4, "gate_valid")),
            write.addr.eq(delayed(m, asked, 1, "gate_write")),
            write.data.eq(z),
        ]
        return read.data
