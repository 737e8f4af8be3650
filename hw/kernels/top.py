# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of the largest or smallest few: their values, and the places where they are.

Integers of one grid are compared as they are, so nothing is rounded. Rules, cited by tests as Z1
and Z2; which elements a result is of is V1 of :mod:`.accumulators`:

Z1. The ``k`` most extreme elements come best first. Of equal ones, the one at the lower place comes
    first, or, where ``latest``, the one at the higher place.
Z2. The results of ``(o, i)`` follow each other: an output is ``outer`` times ``inner`` times ``k``
    elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..timing.cost import Cost, counter_cost
from .accumulators import AccumulatorImplementation, folds_of
from .base import Accumulators, Kernel, check_width
from .finishing import unit_for

PARTS = ("values", "places")


@dataclass(frozen=True)
class TopKernel(Kernel):
    """The ``k`` most extreme of ``count`` elements (Z1, Z2).

    Attributes
    ----------
    x : type of the elements
    outer, count, inner : as in V1
    k : how many, from 1 to ``count``
    parts : the outputs, of :data:`PARTS`, in this order; places count along ``count`` from 0 on
    largest : whether the largest are the most extreme, not the smallest
    latest : as in Z1; only where ``k`` is 1

    Raises
    ------
    ValueError
        If these do not fit each other, or (WidthError) an element and its place need too many bits.
    """

    x: IntType
    outer: int
    count: int
    inner: int
    k: int
    parts: tuple[str, ...]
    largest: bool = True
    latest: bool = False

    name = "top"

    def __post_init__(self) -> None:
        if min(self.outer, self.count, self.inner) < 1 or not 1 <= self.k <= self.count:
            raise ValueError(
                "outer, count and inner must be at least 1, and k from 1 to count, not "
                f"{self.outer}, {self.count}, {self.inner} and {self.k}"
            )
        if not self.parts or self.parts != tuple(p for p in PARTS if p in self.parts):
            raise ValueError(f"parts must be one or more of {PARTS}, in order, not {self.parts}")
        if self.latest and self.k > 1:
            raise ValueError(f"latest must be false for more than one result, not for {self.k}")
        check_width([(self.x.lo * self.count, self.x.hi * self.count + self.count - 1)], self.count)

    @property
    def elements(self) -> int:
        """Elements of a tensor."""
        return self.outer * self.count * self.inner

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """Exact results, (N, results, 1), one for each part."""
        (x,) = streams
        wide = x.astype(np.int64).reshape(len(x), self.outer, self.count, self.inner)
        wide = wide.swapaxes(2, 3)
        keys = -wide if self.largest else wide
        if self.latest:
            places = self.count - 1 - np.argmin(keys[..., ::-1], axis=3, keepdims=True)
        else:
            places = self._first(keys)
        found = {"values": np.take_along_axis(wide, places, axis=3), "places": places}
        return tuple((found[part].reshape(len(x), -1, 1),) for part in self.parts)

    def _first(self, keys: IntArray) -> IntArray:
        """Places of the least keys, those of equal ones in order."""
        if self.k == 1:
            return np.argmin(keys, axis=3, keepdims=True)
        return np.argsort(keys, axis=3, kind="stable")[..., : self.k]

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Each element and its place make one number, so that no two are equal; TopK orders those,
        and a division takes them apart. All are integers below 2**53.
        """
        (x,) = streams
        wide = writer.reshape(writer.cast(x, np.float64), [self.outer, self.count, self.inner])
        wide = writer.op("Transpose", wide, perm=[0, 2, 1])
        count = writer.constant(self.count, np.float64)
        # Of equal elements the wanted one has the most extreme number.
        rising = self.latest == self.largest
        order = np.arange(self.count) if rising else np.arange(self.count)[::-1]
        number = writer.op("Add", writer.op("Mul", wide, count), writer.constant(order, np.float64))
        k = writer.constant([self.k], np.int64)
        best, _ = writer.several(2, "TopK", number, k, axis=2, largest=int(self.largest))
        values = writer.op("Floor", writer.op("Div", best, count))
        rest = writer.op("Sub", best, writer.op("Mul", values, count))
        places = rest
        if not rising:
            places = writer.op("Sub", writer.constant(self.count - 1, np.float64), rest)
        found = {"values": values, "places": places}
        return tuple((writer.reshape(found[part], [-1, 1]),) for part in self.parts)

    @property
    def spans(self) -> tuple[Range, ...]:
        """The range of each part."""
        found = {"values": (self.x.lo, self.x.hi), "places": (0, self.count - 1)}
        return tuple(found[part] for part in self.parts)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """All results are one channel."""
        return tuple(((span,),) for span in self.spans)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Sorting]:
        """Several elements of a result at a time only where ``k`` is 1."""
        return [
            Sorting(
                x=self.x,
                outer=self.outer,
                count=self.count,
                inner=self.inner,
                k=self.k,
                parts=self.parts,
                largest=self.largest,
                latest=self.latest,
                simd=simd,
                units=tuple(
                    unit_for(finisher, pe * self.k, ranges, out)
                    for finisher, ranges, out in zip(finishers, self.ranges, outs, strict=True)
                ),
            )
            for pe, simd in folds_of(self.count, self.inner)
            if simd == 1 or self.k == 1
        ]


@dataclass(frozen=True)
class Sorting(AccumulatorImplementation):
    """Accumulators of ``k`` elements in order, each with its place: a new one is compared with all
    of them at once, and those that it precedes move down.

    Fields as in :class:`TopKernel` and in :class:`~.accumulators.AccumulatorImplementation`;
    ``units`` are the outputs' finishers, of ``pe * k`` lanes.
    """

    x: IntType
    outer: int
    count: int
    inner: int
    k: int
    parts: tuple[str, ...]
    largest: bool
    latest: bool
    simd: int
    units: tuple[FinisherUnit, ...]

    @property
    def pe(self) -> int:
        """Results of a beat."""
        return self.units[0].lanes // self.k

    @property
    def finishing(self) -> tuple[FinisherUnit, ...]:
        """One an output."""
        return self.units

    @property
    def output_names(self) -> tuple[str, ...]:
        """One an output."""
        return tuple(f"o{k}" for k in range(len(self.units)))

    @property
    def place_bits(self) -> int:
        """Bits of a place; none where nobody asks for it."""
        return (self.count - 1).bit_length() if "places" in self.parts else 0

    @property
    def entry_bits(self) -> int:
        """Bits of an element and its place."""
        return self.x.bits + self.place_bits

    @property
    def filled_bits(self) -> int:
        """Bits that say how many elements there are yet; none for one, which the first replaces."""
        return self.k if self.k > 1 else 0

    @property
    def state_bits(self) -> int:
        """Elements with their places, and which of them are there."""
        return self.k * self.entry_bits + self.filled_bits

    @property
    def own_cost(self) -> Cost:
        """A comparison and two multiplexers an element, and a tree of comparisons."""
        bits, entries = self.entry_bits, self.pe * self.k + self.simd - 1
        adders = entries * (self.x.bits + bits) + (self.k > 1) * self.pe * self.k * bits
        own = Cost(adders=adders, registers=self.lanes * bits)
        return own + counter_cost(self.count)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.top.Sorter`."""
        from ..datapath.top import Sorter

        return Sorter(self, name)
