# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The threshold finisher's hardware: comparators side by side, or a binary search."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from ..finish.thresholds import ThresholdsUnit
from .counters import position
from .finisher import FinisherComponent
from .lookup import number
from .parameters import parameters
from .ranges import shape_for
from .rom import Rom


class _Finish(FinisherComponent[ThresholdsUnit]):
    """What both have."""

    def _flags(self, m: Module) -> None:
        """``o_valid`` and ``o_final``."""
        latency = self._unit.latency
        valid, final = Signal(latency), Signal(latency)
        m.d.sync += [
            valid.eq(Cat(self.valid, valid)),
            final.eq(Cat(self.valid & self.final, final)),
        ]
        m.d.comb += [self.o_valid.eq(valid[-1]), self.o_final.eq(final[-1])]


class Comparators(_Finish):
    """All thresholds at once, then the result of the interval between two of them."""

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        u = self._unit
        self._flags(m)
        values = parameters(m, u.fields, u.lanes, u.folds, self.valid, self._file, self.writer)
        for lane in range(u.lanes):
            reached = Signal(len(u.fields), name=f"reached_{lane}")
            m.d.sync += reached.eq(
                Cat(self.acc0[lane] >= values[lane][field.name] for field in u.fields)
            )
            # One interval: its threshold is reached, the next is not.
            inside = Cat(Const(1, 1), reached) & ~Cat(reached, Const(0, 1))
            results = [Const(result, shape_for(u.out)).as_unsigned() for result in u.results]
            chosen = [Mux(inside[k], result, 0) for k, result in enumerate(results)]
            m.d.sync += self.y[lane].eq(reduce(or_, chosen))
        return m


class Search(_Finish):
    """A memory and a comparison a level: what is found so far addresses the next level."""

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        u = self._unit
        self._flags(m)
        folds = [position(m, "fold", u.folds, self.valid)]
        for level in range(u.levels):
            later = Signal.like(folds[-1], name=f"fold_{level}")
            m.d.sync += later.eq(folds[-1])
            folds.append(later)
        for lane in range(u.lanes):
            acc, found = self.acc0[lane], Const(0, 0)
            for level, memory in enumerate(u.memories):
                rom = Rom(
                    memory.word.bits,
                    memory.size * memory.folds,
                    u.files(self._file, level)[lane],
                )
                m.submodules[f"level{level}_{lane}"] = rom
                m.d.comb += rom.addr.eq(
                    Cat(found, folds[level] if memory.folds > 1 else Const(0, 0))
                )
                word = number(rom.data, memory.word)
                if level == u.levels:
                    m.d.comb += self.y[lane].eq(word)
                    break
                later = Signal.like(acc, name=f"acc{level}_{lane}")
                kept = Signal(level, name=f"found{level}_{lane}")
                m.d.sync += [later.eq(acc), kept.eq(found)]
                acc, found = later, Cat(later >= word, kept)
        return m
