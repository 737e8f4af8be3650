# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The table finisher's hardware: a memory for each lane."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Value

from ..finish.table import TableUnit
from ..numeric import IntType
from .counters import position
from .finisher import FinisherComponent
from .rom import Rom


class Lookup(FinisherComponent[TableUnit]):
    """Accumulators to the entries of a table, in the next cycle."""

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        u = self._unit
        fold = position(m, "fold", u.folds, self.valid)
        m.d.sync += [self.o_valid.eq(self.valid), self.o_final.eq(self.valid & self.final)]
        for lane, file in enumerate(u.files(self._file)):
            rom = Rom(u.word.bits, u.depth * u.folds, file)
            m.submodules[f"table_{lane}"] = rom
            m.d.comb += [
                rom.addr.eq(Cat(bits_of(self.acc0[lane], u.bits), fold)),
                self.y[lane].eq(number(rom.data, u.word)),
            ]
        return m


def bits_of(value: Value, count: int) -> Value:
    """The lowest bits of a number, as many as tell the numbers of its range apart."""
    return Value.cast(value).as_unsigned()[:count]


def number(word: Value, kind: IntType) -> Value:
    """A memory's word as a number."""
    return word.as_signed() if kind.signed else word
