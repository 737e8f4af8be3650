# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule N5 of :mod:`midwire.hw.numeric` as a pipeline: multiply, add, then round and clamp."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..finish.multiply_shift import MultiplyShiftUnit
from .parameters import parameters
from .ranges import shape_for, shape_of
from .rom import words


class Requantize(wiring.Component):
    """Accumulators of ``lanes`` channels to elements, every cycle; never stalls (rules F1 to F4).

    Widths are the narrowest for the ranges and the parameters. Parameters that are the same in
    every beat are constants; the others come from a memory named ``file``.

    Parameters
    ----------
    unit : what to build
    file : name of the memory image

    Members
    -------
    valid, final : In(1)
        An accumulator is there; it is the last one of a tensor.
    acc0, acc1, ... : In(array of ``lanes``), one for each term
    o_valid, o_final : Out(1)
        ``valid`` and ``final`` of 3 cycles ago.
    y : Out(array of ``lanes`` elements)
    load : In(stream of words), if the unit is loadable
    """

    def __init__(self, unit: MultiplyShiftUnit, file: str) -> None:
        self._unit = unit
        self._file = file
        accs = {
            f"acc{t}": In(data.ArrayLayout(shape_of(r), unit.lanes))
            for t, r in enumerate(unit.ranges)
        }
        super().__init__(
            {
                "valid": In(1),
                "final": In(1),
                **accs,
                "o_valid": Out(1),
                "o_final": Out(1),
                "y": Out(data.ArrayLayout(shape_for(unit.out), unit.lanes)),
                **({"load": In(words(unit.writable[0]))} if unit.writable else {}),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        u = self._unit
        load = self.load if u.writable else None
        values = parameters(m, u.fields, u.lanes, u.folds, self.valid, self._file, load)
        ties = u.field("tie").hi > 0
        floors = u.sums[0] >> u.shift, u.sums[1] >> u.shift
        rounded = floors[0] - (1 if ties else 0), floors[1]

        valid = Signal(2)
        final = Signal(2)
        m.d.sync += [
            valid.eq(self.valid | valid << 1),
            final.eq((self.valid & self.final) | final << 1),
            self.o_valid.eq(valid[1]),
            self.o_final.eq(final[1]),
        ]
        for lane in range(u.lanes):
            fields = values[lane]
            terms = []
            for t in range(len(u.ranges)):
                product = Signal(shape_of(u.product(t)), name=f"product{t}_{lane}")
                m.d.sync += product.eq(getattr(self, f"acc{t}")[lane] * fields[f"multiplier{t}"])
                terms.append(product)
            offset = _late(m, fields["offset"], 1, f"offset_{lane}")
            total = Signal(shape_of(u.sums), name=f"total_{lane}")
            m.d.sync += total.eq(sum(terms[1:], terms[0]) + offset)

            y = Signal(shape_of(floors), name=f"floor_{lane}")
            m.d.comb += y.eq(total >> u.shift)
            even = y
            if ties:
                even = Signal(shape_of(rounded), name=f"even_{lane}")
                odd = y[0] ^ _late(m, fields["parity"], 2, f"parity_{lane}")
                tie = _late(m, fields["tie"], 2, f"tie_{lane}")
                # Assignment extends a sum of fewer bits by its sign.
                fraction = Signal(u.shift, name=f"fraction_{lane}")
                m.d.comb += [fraction.eq(total), even.eq(y - (odd & (fraction < tie)))]
            result = even
            if rounded[0] < u.field("lo").hi:
                lo = _late(m, fields["lo"], 2, f"lo_{lane}")
                result = Mux(even < lo, lo, result)
            if rounded[1] > u.field("hi").lo:
                hi = _late(m, fields["hi"], 2, f"hi_{lane}")
                result = Mux(even > hi, hi, result)
            m.d.sync += self.y[lane].eq(result)
        return m


def _late(m: Any, value: Value, cycles: int, name: str) -> Value:
    """A parameter some cycles later; a constant is not delayed."""
    if isinstance(value, Const):
        return value
    for k in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{k}")
        m.d.sync += register.eq(value)
        value = register
    return value
