# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of what goes element by element: streams of one order and shape, taken as they are.

One stream that a finisher takes to another grid, or the sum of several, each with its own scale:
the terms of the finisher are the streams. Or the largest or smallest of streams on one grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, outlet_cost
from .base import PART, Accumulators, Finished, Kernel, StreamPort
from .finishing import unit_for
from .folds import lane_choices, lane_counts

_MODES = ("terms", "max", "min")


@dataclass(frozen=True)
class EltwiseKernel(Kernel):
    """Streams as the terms of one finisher, or the largest or smallest of them as its only one.

    Attributes
    ----------
    xs : types of their integers
    elements : of each
    depth : length of the innermost axis of the streams
    channels : of the finisher: ``depth`` where it differs along that axis, 1 where it does not, or
        several times ``depth`` where it differs along further axes; they divide the elements
    mode : "terms", "max" or "min"
    """

    xs: tuple[IntType, ...]
    elements: int
    depth: int
    channels: int
    mode: str = "terms"

    name = "eltwise"

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ValueError(f"mode must be {', '.join(_MODES)}, not {self.mode!r}")
        whole = self.channels == 1 or not self.channels % self.depth
        if not whole or self.elements % max(self.channels, self.depth):
            raise ValueError(
                f"channels must be 1 or a multiple of the depth {self.depth} that divides the "
                f"elements; found {self.channels} channels and {self.elements} elements"
            )

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The streams, or the extreme of them."""
        shape = (-1, self.channels)
        terms = tuple(x.astype(np.int64).reshape(len(x), *shape) for x in streams)
        if self.mode == "terms":
            return (terms,)
        return (((np.maximum if self.mode == "max" else np.minimum).reduce(terms),),)

    def run_parts(self, *streams: AnyArray) -> Iterator[tuple[Accumulators, ...]]:
        """The same, some rows of channels at a time."""
        rows = [x.reshape(-1, self.channels) for x in streams]
        step = max(1, PART // self.channels)
        for begin in range(0, len(rows[0]), step):
            yield self.run(*(x[begin : begin + step] for x in rows))

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The streams, or the extreme of them, in double."""
        shape = [-1, self.channels]
        terms = tuple(writer.reshape(writer.cast(x, np.float64), shape) for x in streams)
        if self.mode == "terms":
            return (terms,)
        return ((writer.op(self.mode.capitalize(), *terms),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """All values of the types."""
        terms: tuple[Range, ...] = tuple((x.lo, x.hi) for x in self.xs)
        if self.mode != "terms":
            choose = max if self.mode == "max" else min
            terms = ((choose(lo for lo, _ in terms), choose(hi for _, hi in terms)),)
        return ((terms,) * self.channels,)

    def uniform(self) -> EltwiseKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedEltwise]:
        """Any number of lanes for the channels of one axis; else those that divide it, so that a
        finisher's beats are full.
        """
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        one_axis = 1 < self.channels == self.depth
        lanes = lane_counts(self.depth) if one_axis else lane_choices(self.depth)
        return [
            FoldedEltwise(
                self.xs, self.elements, self.depth, unit_for(finisher, n, ranges, out), self.mode
            )
            for n in lanes
        ]


@dataclass(frozen=True)
class FoldedEltwise(Finished):
    """A beat of every stream each cycle, one finisher a lane.

    Attributes
    ----------
    xs, elements, run : types, elements and innermost axis of the streams
    unit : the finisher, one term a stream, or one term
    mode : as in :class:`EltwiseKernel`
    depth : of the output FIFO; None for just enough for full throughput
    """

    xs: tuple[IntType, ...]
    elements: int
    run: int
    unit: FinisherUnit
    mode: str = "terms"
    depth: int | None = None

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The streams."""
        lanes = self.unit.lanes
        return tuple(StreamPort.of(x, lanes, self.elements, self.run) for x in self.xs)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The result."""
        return (StreamPort.of(self.unit.out, self.unit.lanes, self.elements, self.run),)

    @property
    def input_names(self) -> tuple[str, ...]:
        """One a term."""
        return tuple(f"i{k}" for k in range(len(self.xs)))

    @property
    def cycles(self) -> int:
        """One beat a cycle."""
        return self.outputs[0].beats

    @property
    def outlet_depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline) if self.depth is None else self.depth

    @property
    def cost(self) -> Cost:
        """Comparisons, the finisher and the output FIFO."""
        width = self.unit.lanes * self.unit.out.bits + 1
        own = Cost()
        if self.mode != "terms":
            compared = 2 * max(x.bits for x in self.xs) * (len(self.xs) - 1)
            own = Cost(adders=self.unit.lanes * compared)
        return own + self.unit.cost + outlet_cost(width, self.outlet_depth)

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """A joining pipeline of one beat each cycle (rule T5)."""
        (o,) = outputs
        schedule.stream(name, inputs, o, latency=self.unit.latency, depth=self.outlet_depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.eltwise.Eltwise`."""
        from ..datapath.eltwise import Eltwise

        return Eltwise(self, name)
