# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The multiply-shift finisher, rule N5 of :mod:`midwire.hw.numeric`.

:mod:`.fit` finds parameters that are exact, and proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..numeric import IntArray, IntType, bits_for
from ..timing.cost import Cost, ram_cost
from .base import MAX_EXACT_DOUBLE, Finisher, FinisherUnit, OnnxWriter, Range, folds_of
from .parameters import Parameter, parameter_image

MAX_PRODUCT_BITS = 62
"""``p`` must fit a signed 64-bit word, in the reference and in the simulator."""

LOADED_MULTIPLIER_BITS = 40
"""Most bits of a multiplier that can be loaded. A fit has up to 33, and more at a larger shift."""


@dataclass(frozen=True, eq=False)
class MultiplyShift(Finisher):
    """Parameters of N5, for ``channels`` output channels and ``terms`` accumulators each.

    Attributes
    ----------
    multiplier : int64 array, (channels, terms)
    offset : int64 array, (channels,)
        Holds the bias, zero points and the rounding half.
    shift : int
        Arithmetic right shift, the same for all channels.
    tie : int
        Below this fraction an odd result loses 1. Zero where no accumulator can hit a tie.
    parity : int
        What *odd* means: the lowest bit of ``y`` differs from this (that of the zero point, which
        is inside ``offset`` but is added after rounding in N3).
    lo, hi : int64 arrays, (channels,)
        The clamp.
    """

    multiplier: IntArray
    offset: IntArray
    shift: int
    tie: int
    parity: int
    lo: IntArray
    hi: IntArray

    kind = "multiply_shift"

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(self.offset.shape[0])

    @property
    def terms(self) -> int:
        """Number of accumulators of a channel."""
        return int(self.multiplier.shape[1])

    @property
    def span(self) -> Range:
        """Smallest and largest result over all channels."""
        return int(self.lo.min()), int(self.hi.max())

    def apply(self, *accs: IntArray) -> IntArray:
        """Requantise accumulators whose last axis is the channel axis (or has length 1)."""
        # In place: such arrays are as large as images, and new memory takes longer than sums.
        first, *others = (acc * self.multiplier[:, term] for term, acc in enumerate(accs))
        y: IntArray = first
        y += self.offset
        for other in others:
            y = y + other
        late = (y & ((1 << self.shift) - 1)) < self.tie if self.tie else None
        y >>= self.shift
        if late is not None:
            y -= ((y & 1) ^ self.parity) & late
        np.maximum(y, self.lo, out=y)
        return np.minimum(y, self.hi, out=y)

    def onnx(self, writer: OnnxWriter, terms: Sequence[str]) -> str:
        """N5 in double: intermediates are integers, or such over a power of two, below 2**53."""
        assert np.abs(self.multiplier).max(initial=0) < MAX_EXACT_DOUBLE
        total = writer.constant(self.offset, np.float64)
        for index, term in enumerate(terms):
            factor = writer.constant(self.multiplier[:, index], np.float64)
            total = writer.op("Add", writer.op("Mul", term, factor), total)
        scaled = writer.op("Mul", total, writer.constant(2.0**-self.shift, np.float64))
        whole = writer.op("Floor", scaled)
        if self.tie:
            whole = self._untied(writer, scaled, whole)
        low = writer.constant(self.lo, np.float64)
        high = writer.constant(self.hi, np.float64)
        return writer.op("Min", writer.op("Max", whole, low), high)

    def _untied(self, writer: OnnxWriter, scaled: str, whole: str) -> str:
        """Take 1 from an odd result (see ``parity``) with a small fraction."""
        parity = writer.constant(self.parity, np.float64)
        two, half = writer.constant(2.0, np.float64), writer.constant(0.5, np.float64)
        moved = writer.op("Sub", whole, parity)
        even = writer.op("Mul", writer.op("Floor", writer.op("Mul", moved, half)), two)
        odd = writer.op("Sub", moved, even)
        edge = writer.constant(self.tie * 2.0**-self.shift, np.float64)
        small = writer.op("Less", writer.op("Sub", scaled, whole), edge)
        return writer.op("Sub", whole, writer.op("Mul", odd, writer.cast(small, np.float64)))

    def take(self, channels: Sequence[int]) -> MultiplyShift:
        """The parameters of these channels, in this order."""
        rows = list(channels)
        return replace(
            self,
            multiplier=self.multiplier[rows],
            offset=self.offset[rows],
            lo=self.lo[rows],
            hi=self.hi[rows],
        )

    def unit(self, lanes: int, ranges: Sequence[Range], out: IntType) -> MultiplyShiftUnit:
        """Its hardware for ``lanes`` channels at a time.

        Raises
        ------
        ValueError
            If the channels are not a multiple of ``lanes``, the ranges not one a term, or a result
            does not fit in ``out``.
        """
        if len(ranges) != self.terms:
            raise ValueError(
                f"a requantiser of {self.terms} terms needs as many ranges, not {len(ranges)}"
            )
        low, high = self.span
        if low < out.lo or high > out.hi:
            raise ValueError(f"results from {low} to {high} do not fit in {out}")
        least = most = self.offset.astype(object)
        for row, (lo, hi) in zip(self.multiplier.T.astype(object), ranges, strict=True):
            ends = np.stack([row * lo, row * hi])
            least, most = least + ends.min(axis=0), most + ends.max(axis=0)
        return MultiplyShiftUnit(
            lanes=lanes,
            out=out,
            ranges=tuple((int(a), int(b)) for a, b in ranges),
            shift=self.shift,
            sums=(int(least.min()), int(most.max())),
            folds=folds_of(self.channels, lanes),
            fields=tuple(
                Parameter.of(name, column, lanes) for name, column in self._columns().items()
            ),
        )

    def loadable(
        self, lanes: int, ranges: Sequence[Range], out: IntType
    ) -> MultiplyShiftUnit | None:
        """Its hardware for any layer of one term, with the shift that :func:`loaded_shift` says.

        None if there are several terms, or a parameter at that shift does not fit in its field.
        """
        if self.terms != 1:
            return None
        ((low, high),) = ranges
        acc, _ = bits_for(low, high)
        shift = loaded_shift(acc, out)
        bits = min(LOADED_MULTIPLIER_BITS, MAX_PRODUCT_BITS - 1 - acc)
        if shift < self.shift or bits < 1:
            return None
        types = {
            "multiplier0": IntType(bits, True),
            "offset": IntType(acc + bits, True),
            "lo": out,
            "hi": out,
            "tie": IntType(shift, False),
            "parity": IntType(1, False),
        }
        for name, column in self._columns().items():
            scale = 1 << (shift - self.shift if name in _SHIFTED else 0)
            least, most = int(column.min()) * scale, int(column.max()) * scale
            if least < types[name].lo or most > types[name].hi:
                return None
        fields = tuple(Parameter(name, None, kind.lo, kind.hi) for name, kind in types.items())
        multiplier, offset = types["multiplier0"], types["offset"]
        ends = [m * a for m in (multiplier.lo, multiplier.hi) for a in (low, high)]
        return MultiplyShiftUnit(
            lanes=lanes,
            out=out,
            ranges=((int(low), int(high)),),
            shift=shift,
            sums=(min(ends) + offset.lo, max(ends) + offset.hi),
            folds=folds_of(self.channels, lanes),
            fields=fields,
            loadable=True,
        )

    def shifted(self, shift: int) -> MultiplyShift:
        """The same function at a larger shift: ``p``, and what it is compared with, as many times
        as large.
        """
        scale = 1 << (shift - self.shift)
        return replace(
            self,
            multiplier=self.multiplier * scale,
            offset=self.offset * scale,
            shift=shift,
            tie=self.tie * scale,
        )

    def images(self, unit: FinisherUnit, file: str) -> dict[str, str]:
        """One word a beat: for each lane, the parameters that are not constants."""
        assert isinstance(unit, MultiplyShiftUnit)
        columns = self.shifted(unit.shift)._columns()
        return parameter_image(unit.fields, columns, unit.lanes, file)

    def _columns(self) -> dict[str, IntArray]:
        """Every parameter of N5 by name, one value a channel."""
        columns = {f"multiplier{t}": self.multiplier[:, t] for t in range(self.terms)}
        columns |= {"offset": self.offset, "lo": self.lo, "hi": self.hi}
        return columns | {
            "tie": np.full(self.channels, self.tie),
            "parity": np.full(self.channels, self.parity),
        }


_SHIFTED = ("multiplier0", "offset", "tie")


def loaded_shift(acc_bits: int, out: IntType) -> int:
    """The shift of all layers with accumulators of so many bits and results of a type.

    Where results take their whole range as accumulators do, a multiplier has a bit more than the
    bits that this adds to the difference of both widths. Most layers use less of the accumulators'
    range, and take multipliers as many times as large; of the 8-bit layers that were measured the
    most demanding needed 23 of the 24 bits here, and 37 of the multiplier's. Wider results have
    multipliers that are fitted to 30 bits (:func:`~.fit.eased`).
    """
    return max(0, acc_bits - out.bits) + (24 if out.bits <= 8 else 30)


def _held(span: Range) -> Range:
    """All that the narrowest type of a range holds."""
    kind = IntType.holding(*span)
    return kind.lo, kind.hi


@dataclass(frozen=True)
class MultiplyShiftUnit(FinisherUnit):
    """Rule N5 as a pipeline: multiply, add, then round and clamp.

    Attributes
    ----------
    shift : as in :class:`MultiplyShift`
    sums : range of ``p`` over all channels, exact unless loadable
    folds : words of the parameter memory: beats until the channels come round again
    fields : all other parameters, and their ranges
    loadable : whether the parameter memory can be written (F5)
    """

    lanes: int
    out: IntType
    ranges: tuple[Range, ...]
    shift: int
    sums: Range
    folds: int
    fields: tuple[Parameter, ...]
    loadable: bool = False

    @property
    def latency(self) -> int:
        """Multiply, add, round and clamp."""
        return 3

    @property
    def writable(self) -> tuple[int, int] | None:
        """The parameter memory, if it can be written."""
        return (self._word, self.folds) if self.loadable else None

    @property
    def _word(self) -> int:
        """Bits of a word of the parameter memory."""
        return self.lanes * sum(f.type.bits for f in self.fields if f.values is None)

    def field(self, name: str) -> Parameter:
        """The parameter of a name."""
        return next(f for f in self.fields if f.name == name)

    def product(self, term: int) -> Range:
        """Exact range of a term's product over all channels."""
        field = self.field(f"multiplier{term}")
        ends = [m * acc for m in (field.lo, field.hi) for acc in self.ranges[term]]
        return min(ends), max(ends)

    @property
    def ties(self) -> bool:
        """Whether an odd result may lose 1."""
        return self.field("tie").hi > 0

    @property
    def floors(self) -> Range:
        """Range of ``p`` shifted."""
        low, high = self.sums
        return low >> self.shift, high >> self.shift

    @property
    def rounded(self) -> Range:
        """Range of what is clamped."""
        low, high = self.floors
        return low - int(self.ties), high

    @property
    def clamps(self) -> tuple[bool, bool]:
        """Whether a result may be below what it is clamped to, and above."""
        low, high = self.rounded
        return low < self.field("lo").hi, high > self.field("hi").lo

    @property
    def widened(self) -> MultiplyShiftUnit:
        """Of the widest ranges that are served by the same hardware."""
        for kept in ((), tuple(f"multiplier{term}" for term in range(len(self.ranges)))):
            wide = replace(
                self,
                ranges=tuple(map(_held, self.ranges)),
                sums=_held(self.sums),
                fields=tuple(
                    f
                    if f.values is not None or f.name in kept
                    else replace(f, lo=f.type.lo, hi=f.type.hi)
                    for f in self.fields
                ),
            )
            if wide._decided == self._decided:
                return wide
        return self

    @property
    def _decided(self) -> tuple[object, ...]:
        """All that its hardware depends on of ranges."""
        spans = [*map(self.product, range(len(self.ranges))), self.floors, self.rounded, self.sums]
        kinds = (*(f.type for f in self.fields), *(IntType.holding(*span) for span in spans))
        return kinds, self.ties, self.clamps

    @cached_property
    def cost(self) -> Cost:
        """A product a term and lane, two comparators a lane, the memory.

        The register of a product, and the addition, are inside of a hard multiplier.
        """
        accs = [IntType.holding(*r).bits for r in self.ranges]
        factors = [f.type.bits for f in self.fields if f.name.startswith("multiplier")]
        products = tuple(zip(accs, factors, strict=True)) * self.lanes
        total = IntType.holding(*self.sums).bits
        held = total + self.out.bits
        late = {"offset": 1, "lo": 2, "hi": 2, "tie": 2, "parity": 2}
        held += sum(f.type.bits * late.get(f.name, 0) for f in self.fields if f.values is None)
        cost = Cost(
            products=products,
            adders=self.lanes * 2 * self.out.bits,
            registers=self.lanes * held,
        )
        words = self._word, self.folds
        if self.loadable:
            # Products are too wide for the register and the adder of a hard multiplier.
            wide = Cost(adders=self.lanes * (total + self.shift), registers=self.lanes * total)
            return cost + wide + ram_cost(*words)
        return cost + Cost(roms=(words,)) if self._word else cost

    def component(self, file: str) -> Any:
        """See :class:`~midwire.hw.datapath.requantize.Requantize`."""
        from ..datapath.requantize import Requantize

        return Requantize(self, file)
