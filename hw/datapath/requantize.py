# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule N5 of :mod:`midwire.hw.numeric` as a pipeline: multiply, add, then round and clamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..numeric import IntArray, Requantiser, bits_for
from ..timing.components import REQUANTISE_LATENCY
from .ranges import Range, shape_of
from .rom import Rom, pack_fields


@dataclass(frozen=True)
class _Field:
    """One parameter of every channel: constant, or one field for each lane of a memory word."""

    name: str
    values: IntArray

    @property
    def constant(self) -> bool:
        return bool((self.values == self.values[0]).all())

    @property
    def shape(self) -> Shape:
        return shape_of((int(self.values.min()), int(self.values.max())))


class Requantize(wiring.Component):
    """Accumulators of ``lanes`` channels to elements, every cycle; never stalls.

    The channels of a tensor come in turn, ``lanes`` at a time. Widths are the narrowest for
    ``ranges`` and the parameters. Parameters that all channels share are constants; the others come
    from a :class:`Rom` named ``file``.

    Parameters
    ----------
    requantiser : parameters, for a multiple of ``lanes`` channels
    ranges : for each term, the closed range of its accumulator
    lanes : channels of a beat
    out : shape of the result
    file : name of the memory image

    Members
    -------
    valid, final : In(1)
        An accumulator is there; it is the last one of a tensor.
    acc0, acc1, ... : In(array of ``lanes``), one for each term
    o_valid, o_final : Out(1)
        ``valid`` and ``final`` of 3 cycles ago.
    y : Out(array of ``lanes`` elements)

    Raises
    ------
    ValueError
        If the channels are not a multiple of ``lanes``, or a result does not fit in ``out``.
    """

    latency = REQUANTISE_LATENCY

    def __init__(
        self,
        requantiser: Requantiser,
        ranges: Sequence[Range],
        lanes: int,
        out: Shape,
        file: str,
    ) -> None:
        channels, terms = requantiser.multiplier.shape
        if len(ranges) != terms:
            raise ValueError(
                f"a requantiser of {terms} terms needs as many ranges, not {len(ranges)}"
            )
        if lanes < 1 or channels % lanes:
            raise ValueError(
                f"{channels} channels are not a multiple of {lanes} lanes; "
                "choose lanes that divide them"
            )
        out = Shape.cast(out)
        low, high = int(requantiser.lo.min()), int(requantiser.hi.max())
        bits, signed = bits_for(low, high)
        if (signed and not out.signed) or bits + (out.signed and not signed) > out.width:
            raise ValueError(f"results from {low} to {high} do not fit in {out!r}")
        self._requantiser = requantiser
        self._ranges = [(int(a), int(b)) for a, b in ranges]
        self._lanes = lanes
        self._out = out
        self._file = file
        self._fields = [
            *(_Field(f"multiplier{t}", requantiser.multiplier[:, t]) for t in range(terms)),
            _Field("offset", requantiser.offset),
            _Field("lo", requantiser.lo),
            _Field("hi", requantiser.hi),
        ]
        super().__init__(
            {
                "valid": In(1),
                "final": In(1),
                **{
                    f"acc{t}": In(data.ArrayLayout(shape_of(r), lanes))
                    for t, r in enumerate(self._ranges)
                },
                "o_valid": Out(1),
                "o_final": Out(1),
                "y": Out(data.ArrayLayout(out, lanes)),
            }
        )

    @property
    def requantiser(self) -> Requantiser:
        """Its parameters."""
        return self._requantiser

    @property
    def folds(self) -> int:
        """Words of the parameter memory: beats until the channels come round again."""
        return self._requantiser.channels // self._lanes

    @property
    def files(self) -> dict[str, str]:
        """Memory images by file name; empty if all parameters are constants."""
        stored = [f for f in self._fields if not f.constant]
        if not stored:
            return {}
        columns = [
            (field.values.reshape(self.folds, self._lanes)[:, lane], field.shape.width)
            for lane in range(self._lanes)
            for field in stored
        ]
        return {self._file: pack_fields(columns)}

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        r = self._requantiser
        values = self._parameters(m)

        # Exact ends of every stage over all channels.
        offset = r.offset.astype(object)
        least, most = offset, offset
        product_shapes = []
        for multiplier, (low, high) in zip(
            r.multiplier.T.astype(object), self._ranges, strict=True
        ):
            ends = np.stack([multiplier * low, multiplier * high])
            product_shapes.append(shape_of((int(ends.min()), int(ends.max()))))
            least, most = least + ends.min(axis=0), most + ends.max(axis=0)
        sums = int(least.min()), int(most.max())
        floors = sums[0] >> r.shift, sums[1] >> r.shift
        rounded = floors[0] - (1 if r.tie else 0), floors[1]

        valid = Signal(2)
        final = Signal(2)
        m.d.sync += [
            valid.eq(self.valid | valid << 1),
            final.eq((self.valid & self.final) | final << 1),
            self.o_valid.eq(valid[1]),
            self.o_final.eq(final[1]),
        ]
        for lane in range(self._lanes):
            fields = values[lane]
            terms = []
            for t, shape in enumerate(product_shapes):
                product = Signal(shape, name=f"product{t}_{lane}")
                m.d.sync += product.eq(getattr(self, f"acc{t}")[lane] * fields[f"multiplier{t}"])
                terms.append(product)
            offset = _late(m, fields["offset"], 1, f"offset_{lane}")
            total = Signal(shape_of(sums), name=f"total_{lane}")
            m.d.sync += total.eq(sum(terms[1:], terms[0]) + offset)

            y = Signal(shape_of(floors), name=f"floor_{lane}")
            m.d.comb += y.eq(total >> r.shift)
            even = y
            if r.tie:
                even = Signal(shape_of(rounded), name=f"even_{lane}")
                odd = y[0] ^ r.parity
                m.d.comb += even.eq(y - (odd & (total.as_unsigned()[: r.shift] < r.tie)))
            result = even
            if rounded[0] < int(r.lo.max()):
                lo = _late(m, fields["lo"], 2, f"lo_{lane}")
                result = Mux(even < lo, lo, result)
            if rounded[1] > int(r.hi.min()):
                hi = _late(m, fields["hi"], 2, f"hi_{lane}")
                result = Mux(even > hi, hi, result)
            m.d.sync += self.y[lane].eq(result)
        return m

    def _parameters(self, m: Any) -> list[dict[str, Value]]:
        """For each lane its parameters, beside the accumulators that come in this cycle."""
        values: list[dict[str, Value]] = [
            {f.name: Const(int(f.values[0]), f.shape) for f in self._fields if f.constant}
            for _ in range(self._lanes)
        ]
        stored = [f for f in self._fields if not f.constant]
        if not stored:
            return values
        layout = data.StructLayout({f.name: f.shape for f in stored})
        words = data.ArrayLayout(layout, self._lanes)
        m.submodules.rom = rom = Rom(Shape.cast(words).width, self.folds, self._file)
        word = Signal(words)
        fold = Signal(range(self.folds))
        coming = Signal(range(self.folds))
        m.d.comb += [
            coming.eq(Mux(self.valid, Mux(fold == self.folds - 1, 0, fold + 1), fold)),
            rom.addr.eq(coming),
            word.as_value().eq(rom.data),
        ]
        m.d.sync += fold.eq(coming)
        for lane, fields in enumerate(values):
            fields.update({f.name: getattr(word[lane], f.name) for f in stored})
        return values


def _late(m: Any, value: Value, cycles: int, name: str) -> Value:
    """A parameter some cycles later; a constant is not delayed."""
    if isinstance(value, Const):
        return value
    for k in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{k}")
        m.d.sync += register.eq(value)
        value = register
    return value
