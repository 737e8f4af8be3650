# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule N5 of :mod:`midwire.hw.numeric` as a pipeline: multiply, add, then round and clamp."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal

from ..finish.multiply_shift import MultiplyShiftUnit
from .arithmetic import delayed
from .finisher import FinisherComponent
from .parameters import parameters
from .ranges import shape_of


class Requantize(FinisherComponent[MultiplyShiftUnit]):
    """Accumulators times constants, to the nearest element, three cycles later.

    Widths are the narrowest for the ranges and the parameters. Parameters that are the same in
    every beat are constants; the others come from a memory.
    """

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        u = self._unit
        values = parameters(m, u.fields, u.lanes, u.folds, self.valid, self._file, self.writer)
        below, above = u.clamps

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
            offset = delayed(m, fields["offset"], 1, f"offset_{lane}")
            total = Signal(shape_of(u.sums), name=f"total_{lane}")
            m.d.sync += total.eq(sum(terms[1:], terms[0]) + offset)

            y = Signal(shape_of(u.floors), name=f"floor_{lane}")
            m.d.comb += y.eq(total >> u.shift)
            even = y
            if u.ties:
                even = Signal(shape_of(u.rounded), name=f"even_{lane}")
                odd = y[0] ^ delayed(m, fields["parity"], 2, f"parity_{lane}")
                tie = delayed(m, fields["tie"], 2, f"tie_{lane}")
                # Assignment extends a sum of fewer bits by its sign.
                fraction = Signal(u.shift, name=f"fraction_{lane}")
                m.d.comb += [fraction.eq(total), even.eq(y - (odd & (fraction < tie)))]
            result = even
            if below:
                lo = delayed(m, fields["lo"], 2, f"lo_{lane}")
                result = Mux(even < lo, lo, result)
            if above:
                hi = delayed(m, fields["hi"], 2, f"hi_{lane}")
                result = Mux(even > hi, hi, result)
            m.d.sync += self.y[lane].eq(result)
        return m
