# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reductions: one number for all elements along some axes that follow each other in the stream.

Elements are added up as they come, so a global pool needs an accumulator for each channel and no
image in memory; see :mod:`.accumulators`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..timing.cost import Cost
from .accumulators import AccumulatorImplementation, folds_of
from .base import Accumulators, Finished, Kernel, check_width
from .finishing import unit_for
from .folds import tree_cost

MODES = ("sum", "squares", "max", "min")


@dataclass(frozen=True)
class ReduceKernel(Kernel):
    """The sum, the sum of squares, the largest or the smallest of elements (V1).

    Attributes
    ----------
    x : type of the elements
    outer, count, inner : as in V1
    mode : one of :data:`MODES`
    zero : what is taken off every element before it is squared; 0 for the other modes
    channels : of the finisher: length of the innermost axis of the result, or 1 if all are alike

    Raises
    ------
    ValueError
        If the axes do not fit, or (WidthError) an accumulator may be too wide.
    """

    x: IntType
    outer: int
    count: int
    inner: int
    mode: str
    zero: int = 0
    channels: int = 1

    name = "reduce"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if min(self.outer, self.count, self.inner, self.channels) < 1:
            raise ValueError(
                "outer, count, inner and channels must be at least 1, not "
                f"{self.outer}, {self.count}, {self.inner} and {self.channels}"
            )
        if self.outer * self.inner % self.channels:
            raise ValueError(
                f"{self.outer * self.inner} results are not a multiple of {self.channels} channels"
            )
        if self.zero and self.mode != "squares":
            raise ValueError(f"zero must be 0 for the mode {self.mode}, not {self.zero}")
        check_width([self.span], self.count)

    @property
    def elements(self) -> int:
        """Elements of a tensor."""
        return self.outer * self.count * self.inner

    @property
    def term(self) -> Range:
        """Range of what an element adds."""
        low, high = self.x.lo - self.zero, self.x.hi - self.zero
        if self.mode != "squares":
            return low, high
        return 0, max(low * low, high * high)

    @property
    def span(self) -> Range:
        """Range of the accumulators."""
        low, high = self.term
        times = self.count if self.mode in ("sum", "squares") else 1
        return low * times, high * times

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """Exact results, (N, results / channels, channels)."""
        (x,) = streams
        wide = x.astype(np.int64).reshape(len(x), self.outer, self.count, self.inner) - self.zero
        if self.mode == "squares":
            wide = wide * wide
        reduce = {"max": np.maximum, "min": np.minimum}.get(self.mode, np.add).reduce
        return ((reduce(wide, axis=2).reshape(len(x), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A reduction in double, which holds every partial sum."""
        (x,) = streams
        shape = [self.outer, self.count, self.inner]
        wide = writer.reshape(writer.cast(x, np.float64), shape)
        if self.mode == "squares":
            centred = writer.op("Sub", wide, writer.constant(self.zero, np.float64))
            wide = writer.op("Mul", centred, centred)
        if self.mode in ("max", "min"):
            total = writer.op(f"Reduce{self.mode.capitalize()}", wide, axes=[1], keepdims=0)
        else:
            total = writer.op("ReduceSum", wide, writer.constant([1], np.int64), keepdims=0)
        return ((writer.reshape(total, [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """The same for all channels."""
        return (((self.span,),) * self.channels,)

    def uniform(self) -> ReduceKernel:
        """All results are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Accumulating]:
        """Any lanes that divide the inner elements; where there is one, that divide the count."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        return [
            Accumulating(
                x=self.x,
                outer=self.outer,
                count=self.count,
                inner=self.inner,
                mode=self.mode,
                zero=self.zero,
                simd=simd,
                unit=unit_for(finisher, pe, ranges, out),
            )
            for pe, simd in folds_of(self.count, self.inner)
            if self.channels == 1 or self.channels % pe == 0
        ]


@dataclass(frozen=True)
class Accumulating(AccumulatorImplementation, Finished):
    """Fields as in :class:`ReduceKernel` and in :class:`~.accumulators.AccumulatorImplementation`;
    ``unit`` is the finisher, of ``pe`` lanes.
    """

    x: IntType
    outer: int
    count: int
    inner: int
    mode: str
    zero: int
    simd: int
    unit: FinisherUnit

    @property
    def pe(self) -> int:
        """Results of a beat."""
        return self.unit.lanes

    @property
    def squares(self) -> bool:
        """Elements may be squared."""
        return self.mode == "squares"

    @property
    def state_bits(self) -> int:
        """Bits of the largest accumulator."""
        return IntType.holding(*self.unit.ranges[0]).bits

    @property
    def own_cost(self) -> Cost:
        """Squares, trees and adders."""
        bits = self.x.bits + bool(self.zero)
        own = Cost(adders=self.state_bits * self.pe, registers=bits * self.lanes)
        if self.squares:
            own += Cost(products=((bits, bits),) * self.lanes, registers=2 * bits * self.lanes)
        return own + tree_cost(self.simd, 2 * bits if self.squares else bits)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.reduce.Accumulator`."""
        from ..datapath.reduce import Accumulator

        return Accumulator(self, name)
