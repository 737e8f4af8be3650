# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""An LSTM's cell."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib.memory import Memory

from ..kernels.lstm import FoldedLstm
from .arithmetic import delayed, product_shape
from .ranges import shape_of
from .recurrent import RecurrentLayer, Serving, shifted


class LstmCell(RecurrentLayer[FoldedLstm]):
    """Hardware of :class:`~midwire.hw.kernels.lstm.FoldedLstm` (N13)."""

    def _cell(self, m: Any, sums: list[Value], old: Value, serving: Serving) -> tuple[Value, ...]:
        b = self._built
        del old
        tables = ("f", "f", "f", "g")
        i, o, f, g = (
            self._looked_up(m, part, table, acc, drop)
            for part, table, acc, drop in zip("iofg", tables, sums, b.drops, strict=True)
        )
        cell = Signal(shape_of(b.memory))
        kept, added = Signal(product_shape(f, cell)), Signal(product_shape(i, g))
        m.d.sync += [
            kept.eq(f * self._remembered(m, cell, serving)),
            added.eq(i * g),
            cell.eq(shifted(kept + added, b.grid.bits)),
        ]
        squashed = self._looked_up(m, "cell", "h", cell, b.grid.bits - b.grid.steps)
        out = Signal(product_shape(o, squashed))
        state = Signal(self._state)
        m.d.sync += [
            out.eq(delayed(m, o, 4, "o") * squashed),
            state.eq(shifted(out, b.grid.bits)),
        ]
        return (state, cell)[: len(b.finishers)]

    def _remembered(self, m: Any, cell: Value, serving: Serving) -> Value:
        """The cell's state before this step, beside the gates: 4 cycles after the unit is served.
        The new one is there 2 cycles later.
        """
        b = self._built
        m.submodules.cells = memory = Memory(shape=cell.shape(), depth=b.units, init=[])
        asked = delayed(m, serving.unit, 3, "cell_unit")
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.addr.eq(asked),
            write.en.eq(delayed(m, serving.valid, 6, "cell_valid")),
            write.addr.eq(delayed(m, asked, 3, "cell_write")),
            write.data.eq(cell),
        ]
        before = self._first(m, "cells", "cell", cell.shape(), asked)
        return Mux(delayed(m, serving.first, 4, "cell_first"), before, read.data)
