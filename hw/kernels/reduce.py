# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reductions: one number for all elements along some axes that follow each other in the stream.

Elements are added up as they come, so a global pool needs an accumulator for each channel and no
image in memory. Rules, cited by tests as V1 and V2:

V1. A tensor is ``outer`` times ``count`` times ``inner`` elements; result ``(o, i)`` is of the
    elements ``(o, 0, i)`` to ``(o, count - 1, i)``.
V2. Every beat is taken at once; those of the last element along ``count`` need a slot for their
    result, the others do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth, tree_stages
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.moving import scatter
from .base import Accumulators, Finished, Kernel, StreamPort, check_width
from .finishing import unit_for
from .folds import lane_choices, tree_cost

MODES = ("sum", "squares", "max", "min")

RING = 4
"""Most accumulators of a lane that are registers; more are in a memory."""


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
        folds = [(pe, 1) for pe in lane_choices(self.inner)]
        if self.inner == 1:
            folds = [(1, simd) for simd in lane_choices(self.count)]
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
            for pe, simd in folds
            if self.channels == 1 or self.channels % pe == 0
        ]


@dataclass(frozen=True)
class Accumulating(Finished):
    """``pe`` accumulators at a time, or one that takes ``simd`` elements at a time.

    Attributes
    ----------
    x, outer, count, inner, mode, zero : as in :class:`ReduceKernel`
    simd : elements of one result in a beat; 1 where there are several results in it
    unit : the finisher, of ``pe`` lanes
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
    def lanes(self) -> int:
        """Elements of a beat."""
        return self.pe * self.simd

    @property
    def folds(self) -> int:
        """Accumulators that take turns, one a beat."""
        return self.inner // self.pe

    @property
    def steps(self) -> int:
        """Times that each accumulator's turn comes for a result."""
        return self.count // self.simd

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The tensor."""
        return (StreamPort(self.x, self.lanes, self.cycles),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """A beat for each turn of the accumulators."""
        return (StreamPort(self.unit.out, self.pe, self.outer * self.folds),)

    @property
    def cycles(self) -> int:
        """A beat a cycle."""
        return self.outer * self.steps * self.folds

    @property
    def arithmetic(self) -> int:
        """Cycles from a beat to what it adds: operands, squares, tree."""
        return 1 + (self.mode == "squares") + tree_stages(self.simd)

    @property
    def pipeline(self) -> int:
        """Cycles from the last beat to its result at the output FIFO: arithmetic, accumulator, then
        the finisher.
        """
        return self.arithmetic + 1 + self.unit.latency

    @property
    def latency(self) -> int:
        """The pipeline and the output FIFO."""
        return self.pipeline + 1

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Squares, trees, accumulators, counters, finisher and output FIFO."""
        acc = IntType.holding(*self.unit.ranges[0]).bits
        bits = self.x.bits + bool(self.zero)
        own = Cost(adders=acc * self.pe, registers=(acc * self.pe + bits * self.lanes))
        if self.mode == "squares":
            own += Cost(products=((bits, bits),) * self.lanes, registers=2 * bits * self.lanes)
        own += tree_cost(self.simd, 2 * bits if self.mode == "squares" else bits)
        if self.folds > RING:
            own += Cost(memories=((acc * self.pe, self.folds),), registers=self.arithmetic)
        else:
            own += Cost(registers=acc * self.pe * (self.folds - 1))
        for count in (self.folds, self.steps):
            own += counter_cost(count)
        return own + outlet_cost(self.pe * self.unit.out.bits + 1, self.depth) + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """What is only added up is dropped, as far as handshakes go (V2); see
        :func:`~midwire.hw.timing.moving.scatter`.
        """
        turn = [((self.steps - 1) * self.folds, -1), (self.folds, 0)]
        blocks, to = zip(*((size, k) for size, k in turn if size), strict=True)
        scatter(
            schedule,
            name,
            inputs[0],
            outputs,
            turn=blocks,
            to=to,
            latencies=[self.pipeline],
            depths=[self.depth],
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.reduce.Accumulator`."""
        from ..datapath.reduce import Accumulator

        return Accumulator(self, name)
