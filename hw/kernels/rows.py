# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of a table: an integer comes in, and a row of as many elements as the table has columns goes
out.

The table itself is the finisher. An element is a function of the integer alone, another one in each
column, so a bias, an activation and the rounding that follow a look-up are in its entries and take
no hardware. Rules, cited by tests as J1 and J2:

J1. The accumulator of every element of a row is ``clip(q + wrap if q < 0 else q, low, high)`` of
    the integer ``q``: negative ones count from the end of ``wrap`` entries, and what no entry is
    there for reads the nearest one.
J2. A row goes out a beat at a time; its integer is taken with the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.moving import repeat
from .base import Accumulators, Finished, Kernel, StreamPort
from .finishing import unit_for
from .folds import lane_choices, lane_counts


@dataclass(frozen=True)
class RowsKernel(Kernel):
    """Every integer, bounded, once for each element of its row (J1).

    Attributes
    ----------
    x : type of the integers
    count : of a tensor
    width : elements of a row
    low, high : the ends of the table
    wrap : what negative integers gain; 0 if they gain nothing
    channels : of the finisher: ``width``, or 1 if all columns are alike

    Raises
    ------
    ValueError
        If there are no integers or no columns, the ends are in the wrong order, or channels are
        neither.
    """

    x: IntType
    count: int
    width: int
    low: int
    high: int
    wrap: int
    channels: int

    name = "rows"

    def __post_init__(self) -> None:
        if self.count < 1 or self.width < 1 or self.wrap < 0:
            raise ValueError(
                "count and width must be at least 1 and wrap at least 0, not "
                f"{self.count}, {self.width} and {self.wrap}"
            )
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, not {self.low} > {self.high}")
        if self.channels not in (1, self.width):
            raise ValueError(f"channels must be 1 or {self.width}, not {self.channels}")

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The bounded integers, (N, count * width / channels, channels)."""
        q = streams[0].astype(np.int64)
        bounded = np.clip(np.where(q < 0, q + self.wrap, q), self.low, self.high)
        rows = np.repeat(bounded, self.width, axis=1)
        return ((rows.reshape(len(q), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Where, Clip and Expand."""
        q = writer.cast(streams[0], np.float64)
        if self.wrap:
            wrapped = writer.op("Add", q, writer.constant(self.wrap, np.float64))
            negative = writer.op("Less", q, writer.constant(0, np.float64))
            q = writer.op("Where", negative, wrapped, q)
        ends = [writer.constant(end, np.float64) for end in (self.low, self.high)]
        column = writer.reshape(writer.op("Clip", q, *ends), [self.count, 1])
        shape = writer.constant([self.count, self.width], np.int64)
        return ((writer.reshape(writer.op("Expand", column, shape), [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """The ends of the table."""
        return ((((self.low, self.high),),) * self.channels,)

    def uniform(self) -> RowsKernel:
        """All columns are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedRows]:
        """Any number of lanes; those that divide a row where one channel stands for all."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        lanes = lane_counts(self.width) if self.channels > 1 else lane_choices(self.width)
        return [
            FoldedRows(
                self.x,
                self.count,
                self.width,
                self.low,
                self.high,
                self.wrap,
                unit_for(finisher, n, ranges, out),
            )
            for n in lanes
        ]


@dataclass(frozen=True)
class FoldedRows(Finished):
    """A beat of a row each cycle (J2), one finisher a lane.

    Attributes
    ----------
    x, count, width, low, high, wrap : as in :class:`RowsKernel`
    unit : the finisher
    """

    x: IntType
    count: int
    width: int
    low: int
    high: int
    wrap: int
    unit: FinisherUnit

    @property
    def folds(self) -> int:
        """Beats of a row."""
        return -(-self.width // self.unit.lanes)

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """An integer a beat."""
        return (StreamPort(self.x, 1, self.count),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The rows."""
        elements = self.count * self.width
        return (StreamPort.of(self.unit.out, self.unit.lanes, elements, self.width),)

    @property
    def cycles(self) -> int:
        """One beat a cycle."""
        return self.count * self.folds

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Sum and comparisons of the integer, the counter of beats, finisher and output FIFO."""
        steps = bool(self.wrap) + 2 * (self.x.lo < self.low) + 2 * (self.x.hi > self.high)
        own = Cost(adders=steps * self.x.bits) + counter_cost(self.folds)
        width = self.unit.lanes * self.unit.out.bits + 1
        return own + self.unit.cost + outlet_cost(width, self.depth)

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.repeat`."""
        (i,), (o,) = inputs, outputs
        latency, depth = self.unit.latency, self.depth
        repeat(schedule, name, i, o, times=self.folds, latency=latency, depth=depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.rows.RowReader`."""
        from ..datapath.rows import RowReader

        return RowReader(self, name)
