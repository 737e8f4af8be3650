# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of pools: the largest value or the sum under a window, channel by channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..timing.cost import Cost, counter_cost, outlet_cost
from .base import Accumulators, Kernel, StreamPort, check_width
from .convolve import EXACT_FLOAT_BITS, exact_convolution
from .finishing import unit_for
from .folds import lane_counts, window_cost
from .geometry import Geometry, padded_image, pixels_of, taps
from .windowed import WindowImplementation


def pool_windows(
    x: AnyArray,
    geometry: Geometry,
    mode: str,
    *,
    pad_value: int = 0,
) -> IntArray:
    """Largest value ("max") or sum under the window, for each channel: int64 (N, ..., C).

    Taps outside of the image read ``pad_value``, which takes part like any other value.
    """
    total: IntArray | None = None
    for pixels in taps(x.astype(np.int64), geometry, pad_value):
        if total is None:
            total = pixels.copy()
        elif mode == "max":
            np.maximum(total, pixels, out=total)
        else:
            total += pixels
    assert total is not None
    return total


@dataclass(frozen=True)
class PoolKernel(Kernel):
    """Maximum or sum under a window of a channels-last image.

    Attributes
    ----------
    geometry : the window and the image's size
    channels : of the image
    x : type of its integers
    mode : "max" or "sum"
    pad_value : what taps outside of the image read, like any other value: the lowest ``x`` for
        "max" if they are not to count
    start : what sums start from
    factors : for each axis, what the sums of its output pixels are multiplied by; none for 1.
        (Where an average leaves padding out, sums near the border are of fewer pixels.)
    """

    geometry: Geometry
    channels: int
    x: IntType
    mode: str
    pad_value: int
    start: int = 0
    factors: tuple[tuple[int, ...], ...] = ()

    name = "pool"

    def __post_init__(self) -> None:
        if self.mode not in ("max", "sum"):
            raise ValueError(f"mode must be 'max' or 'sum', not {self.mode!r}")
        size = self.geometry.out_size
        if self.mode == "max" and (self.start or self.factors):
            raise ValueError("a maximum has no start and no factors")
        if self.factors and tuple(map(len, self.factors)) != size:
            raise ValueError(
                f"there must be factors for {size} output pixels along each axis, not for "
                f"{tuple(map(len, self.factors))}"
            )
        check_width([self.sums, self.ranges[0][0][0]], self.geometry.taps)

    @property
    def sums(self) -> Range:
        """Range of the largest, or of the sums, before any factor."""
        count = 1 if self.mode == "max" else self.geometry.taps
        return self.x.lo * count + self.start, self.x.hi * count + self.start

    @property
    def scale(self) -> IntArray:
        """What the sum of each output pixel is multiplied by, if there are factors."""
        return reduce(np.multiply.outer, [np.array(each, np.int64) for each in self.factors])

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """See :func:`pool_windows`."""
        (x,) = streams
        g = self.geometry
        images = x.reshape(len(x), *g.size, self.channels)
        total = pool_windows(images, g, self.mode, pad_value=self.pad_value) + self.start
        if self.factors:
            total = total * self.scale[None, ..., None]
        return ((total,),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """MaxPool, or a convolution with ones."""
        (stream,) = streams
        g = self.geometry
        if self.mode == "sum":
            ones = np.ones((self.channels, 1, *g.kernel), np.int64)
            total = exact_convolution(
                writer, stream, g, self.channels, self.x, self.pad_value, ones, self.channels
            )
            if self.start:
                total = writer.op("Add", total, writer.constant(self.start, np.float64))
            if self.factors:
                total = writer.op("Mul", total, writer.constant(self.scale, np.float64))
            return ((pixels_of(writer, total, g, self.channels),),)
        dtype = np.float32 if self.x.bits <= EXACT_FLOAT_BITS else np.float64
        image = padded_image(writer, stream, g, self.channels, self.pad_value, dtype)
        pooled = writer.op(
            "MaxPool",
            image,
            kernel_shape=list(g.kernel),
            strides=list(g.stride),
            dilations=list(g.dilation),
        )
        wide = writer.cast(pooled, np.float64)
        return ((pixels_of(writer, wide, g, self.channels),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """All values of the type, times the taps for a sum, and the factors."""
        largest = math.prod(max(factors) for factors in self.factors)
        low, high = self.sums
        span = min(low, low * largest), max(high, high * largest)
        return (((span,),) * self.channels,)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedPooling]:
        """Any number of lanes."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        return [
            FoldedPooling(
                geometry=self.geometry,
                channels=self.channels,
                lanes=lanes,
                x=self.x,
                mode=self.mode,
                pad_value=self.pad_value,
                unit=unit_for(finisher, lanes, ranges, out),
                sums=self.sums,
                start=self.start,
                factors=self.factors,
            )
            for lanes in lane_counts(self.channels)
        ]


@dataclass(frozen=True)
class FoldedPooling(WindowImplementation):
    """One tap of ``lanes`` channels each cycle.

    For each output pixel there are ``channels / lanes`` passes of a cycle a tap.

    Attributes
    ----------
    geometry, channels, x, mode, pad_value, sums, start, factors : as in :class:`PoolKernel`
    lanes : channels at a time, in and out
    unit : the finisher
    lines : of the image in memory; None for :func:`~midwire.hw.timing.components.window_lines`
    depth : of the output FIFO; None for just enough for full throughput
    """

    geometry: Geometry
    channels: int
    lanes: int
    x: IntType
    mode: str
    pad_value: int
    unit: FinisherUnit
    sums: Range
    start: int = 0
    factors: tuple[tuple[int, ...], ...] = ()
    lines: int | None = None
    depth: int | None = None

    @property
    def folds(self) -> int:
        """Beats of a pixel."""
        return -(-self.channels // self.lanes)

    @property
    def passes(self) -> int:
        """One a beat."""
        return self.folds

    @property
    def steps(self) -> int:
        """A tap each."""
        return self.geometry.taps

    @property
    def pipeline(self) -> int:
        """Cycles from the last step of a pass to the written result: memory, operands, accumulator,
        product if there are factors, then the finisher.
        """
        return 3 + bool(self.factors) + self.unit.latency

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The image."""
        size = self.geometry.pixels * self.channels
        return (StreamPort.of(self.x, self.lanes, size, self.channels),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The pooled image."""
        size = self.geometry.out_pixels * self.channels
        return (StreamPort.of(self.unit.out, self.lanes, size, self.channels),)

    @property
    def cost(self) -> Cost:
        """A line buffer; a comparator or adder a lane, and a product if there are factors; the
        finisher and the output FIFO.
        """
        bits = IntType.holding(*self.sums).bits
        cost = Cost(adders=bits * self.lanes, registers=bits * self.lanes)
        if self.factors:
            scale = math.prod(max(factors) for factors in self.factors).bit_length()
            wide = IntType.holding(*self.unit.ranges[0]).bits * self.lanes
            cost += Cost(products=((bits, scale),) * self.lanes, registers=wide + scale)
            for factors in self.factors:
                cost += counter_cost(len(factors))
        cost += window_cost(
            self.geometry,
            self.lanes * self.x.bits,
            folds=self.folds,
            passes=self.passes,
            steps=self.steps,
            lines=self.memory_lines,
        )
        outlet = outlet_cost(self.lanes * self.unit.out.bits + 1, self.outlet_depth)
        return cost + self.unit.cost + outlet

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.pool.FoldedPool`."""
        from ..datapath.pool import FoldedPool

        return FoldedPool(self, name)
