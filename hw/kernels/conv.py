# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of convolutions and of matrix products with constants (images of 1 x 1 pixels).

``acc[o] = sum(x[p + tap, c] * w[o, tap, c])`` over the raw integers ``x`` (the zero point not taken
off), where taps outside of the image read ``pad_value``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.images import pack_image
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..timing.components import Edge, Schedule, outlet_depth, tree_stages, window_rows
from ..timing.cost import Cost, counter_cost, outlet_cost
from .adder_solver import digit_count
from .base import Accumulators, Implementation, Kernel, StreamPort
from .convolve import conv2d, exact_convolution
from .finishing import filled, finish_file
from .folds import lane_counts, tree_cost, window_cost
from .geometry import Geometry, pixels_of
from .unrolled import UnrolledDense, unrolled


@dataclass(frozen=True, eq=False)
class ConvKernel(Kernel):
    """Dense or depthwise convolution of a channels-last image.

    Attributes
    ----------
    geometry : the window and the image's height and width
    channels : of the input
    x : type of its integers
    weight : int64 (O, kh, kw, I); I is 1 for depthwise
    depthwise : whether output channel ``o`` reads input channel ``o`` only
    pad_value : what taps outside of the image read: the zero point of ``x``
    """

    geometry: Geometry
    channels: int
    x: IntType
    weight: IntArray
    depthwise: bool
    pad_value: int

    name = "conv"

    def __post_init__(self) -> None:
        depth = 1 if self.depthwise else self.channels
        expected = (*self.geometry.kernel, depth)
        if self.weight.ndim != 4 or self.weight.shape[1:] != expected:
            raise ValueError(
                f"weights must have shape (O, kh, kw, I) = (O, {', '.join(map(str, expected))}), "
                f"not {self.weight.shape}"
            )
        if self.depthwise and len(self.weight) != self.channels:
            raise ValueError(
                f"depthwise weights of {self.channels} channels need as many outputs, "
                f"not {len(self.weight)}"
            )

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return len(self.weight)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """See :func:`~.convolve.conv2d`."""
        (x,) = streams
        g = self.geometry
        images = x.reshape(len(x), g.height, g.width, self.channels)
        groups = self.channels if self.depthwise else 1
        return ((conv2d(images, self.weight, g, pad_value=self.pad_value, groups=groups),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """See :func:`~.convolve.exact_convolution`."""
        (stream,) = streams
        total = exact_convolution(
            writer,
            stream,
            self.geometry,
            self.channels,
            self.x,
            self.pad_value,
            self.weight.transpose(0, 3, 1, 2),
            self.channels if self.depthwise else 1,
        )
        return ((pixels_of(writer, total, self.outputs),),)

    @cached_property
    def _spans(self) -> tuple[Range, ...]:
        """For each output channel, the range of its accumulator."""
        flat = self.weight.reshape(self.outputs, -1)
        highs = np.maximum(flat * self.x.lo, flat * self.x.hi).sum(axis=1)
        lows = np.minimum(flat * self.x.lo, flat * self.x.hi).sum(axis=1)
        return tuple((int(lo), int(hi)) for lo, hi in zip(lows, highs, strict=True))

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """Each weight times the worse end of ``x``."""
        return (tuple((span,) for span in self._spans),)

    @property
    def macs(self) -> int:
        """Output pixels times weights."""
        return self.geometry.out_height * self.geometry.out_width * self.weight.size

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Implementation]:
        """Any number of lanes on both sides; the same ones for depthwise."""
        (finisher,), (out,) = finishers, outs
        span = min(lo for lo, _ in self._spans), max(hi for _, hi in self._spans)
        kind = IntType.holding(int(self.weight.min()), int(self.weight.max()))
        found: list[Implementation] = []
        for pe in lane_counts(self.outputs):
            unit = filled(finisher, pe).unit(pe, (span,), out)
            for simd in [pe] if self.depthwise else lane_counts(self.channels):
                found.append(
                    FoldedConvolution(
                        geometry=self.geometry,
                        channels_in=self.channels,
                        channels_out=self.outputs,
                        depthwise=self.depthwise,
                        pe=pe,
                        simd=simd,
                        x=self.x,
                        weight=kind,
                        pad_value=self.pad_value,
                        unit=unit,
                    )
                )
        return found

    @property
    def _is_dense(self) -> bool:
        """Whether it is a product of a matrix and vectors: pixels by themselves, none left out."""
        return self.geometry == Geometry(self.geometry.height, self.geometry.width) and (
            not self.depthwise
        )

    @cached_property
    def digits(self) -> int:
        """Signed digits of all weights."""
        return digit_count(self.weight[:, 0, 0]) if self._is_dense else 0

    def unrolled(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Implementation | None:
        """A dense layer as an adder graph, unless it is too large."""
        if not self._is_dense:
            return None
        (finisher,), (out,) = finishers, outs
        vectors = self.geometry.height * self.geometry.width
        return unrolled(self.weight, self.x, self._spans, finisher, out, vectors)

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """Weights, and the finisher's parameters."""
        (finisher,) = finishers
        if isinstance(implementation, UnrolledDense):
            return finisher.images(implementation.unit, finish_file(name))
        assert isinstance(implementation, FoldedConvolution)
        images = {f"{name}_weights.hex": implementation.weight_image(self.weight)}
        finish = filled(finisher, implementation.pe)
        return images | finish.images(implementation.unit, finish_file(name))


@dataclass(frozen=True)
class FoldedConvolution(Implementation):
    """``pe`` x ``simd`` multipliers; for depthwise, ``pe`` of them.

    Dense: for each output pixel there are ``channels_out / pe`` passes of ``kh * kw * channels_in /
    simd`` cycles, and each gives one beat of ``pe`` channels. Depthwise: ``channels / pe`` passes
    of ``kh * kw`` cycles. Where lanes do not divide channels, weights of zero fill them up.

    Attributes
    ----------
    geometry, pad_value, depthwise : as in :class:`ConvKernel`
    channels_in, channels_out : of the images
    pe, simd : output channels, input channels at a time
    x, weight : types of the factors
    unit : the finisher, of ``pe`` lanes
    rows : image rows in memory; None for :func:`~midwire.hw.timing.components.window_rows`
    depth : of the output FIFO; None for just enough for full throughput
    """

    geometry: Geometry
    channels_in: int
    channels_out: int
    depthwise: bool
    pe: int
    simd: int
    x: IntType
    weight: IntType
    pad_value: int
    unit: FinisherUnit
    rows: int | None = None
    depth: int | None = None

    @property
    def folds(self) -> int:
        """Beats of an input pixel."""
        return -(-self.channels_in // self.simd)

    @property
    def passes(self) -> int:
        """Beats of an output pixel."""
        return -(-self.channels_out // self.pe)

    @property
    def steps(self) -> int:
        """Cycles of a pass."""
        return self.geometry.taps * (1 if self.depthwise else self.folds)

    @property
    def weight_lanes(self) -> int:
        """Weights of a memory word: one a multiplier."""
        return self.pe * (1 if self.depthwise else self.simd)

    @property
    def pipeline(self) -> int:
        """Cycles from the last step of a pass to the written result: memory, operands, products,
        adder tree, accumulator, then the finisher.
        """
        return 4 + tree_stages(1 if self.depthwise else self.simd) + self.unit.latency

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The image."""
        size = self.geometry.height * self.geometry.width * self.channels_in
        return (StreamPort.of(self.x, self.simd, size, self.channels_in),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The result's image."""
        size = self.geometry.out_height * self.geometry.out_width * self.channels_out
        return (StreamPort.of(self.unit.out, self.pe, size, self.channels_out),)

    @property
    def cycles(self) -> int:
        """Pixels x taps x channel folds x neuron folds, or the input's beats if those are more."""
        pixels = self.geometry.out_height * self.geometry.out_width
        return max(self.inputs[0].beats, pixels * self.passes * self.steps)

    @property
    def latency(self) -> int:
        """Steps of a pass, the pipeline, and the output FIFO."""
        return self.steps + self.pipeline + 1

    @property
    def memory_rows(self) -> int:
        """Image rows in memory."""
        return window_rows(self.geometry) if self.rows is None else self.rows

    @property
    def outlet_depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(self.steps, self.pipeline) if self.depth is None else self.depth

    @property
    def cost(self) -> Cost:
        """Multipliers, adder trees, accumulators, weights, line buffer, finisher, output FIFO."""
        product = self.x.bits + self.weight.bits
        acc = IntType.holding(*self.unit.ranges[0]).bits * self.pe
        words = self.weight_lanes * self.weight.bits, self.steps * self.passes
        cost = Cost(
            products=((self.x.bits, self.weight.bits),) * self.weight_lanes,
            adders=acc,
            registers=words[0] + self.weight_lanes * product + acc,
            roms=(words,),
        )
        tree = tree_cost(1 if self.depthwise else self.simd, product)
        cost += Cost(adders=tree.adders * self.pe, registers=tree.registers * self.pe)
        cost += counter_cost(words[1])
        cost += window_cost(
            self.geometry,
            self.simd * self.x.bits,
            folds=self.folds,
            passes=self.passes,
            steps=self.steps,
            rows=self.memory_rows,
        )
        return (
            cost + self.unit.cost + outlet_cost(self.pe * self.unit.out.bits + 1, self.outlet_depth)
        )

    def weight_image(self, weight: IntArray) -> str:
        """Weights (O, kh, kw, I) in the order of the memory.

        Dense: one word for each (pass, ky, kx, fold), whose lanes are (output channel, input
        channel). Depthwise: one word for each (pass, ky, kx).
        """
        outputs, kh, kw, inputs = weight.shape
        extra = (self.passes * self.pe - outputs, 0, 0, 0)
        if not self.depthwise:
            extra = (*extra[:3], self.folds * self.simd - inputs)
        full = np.pad(weight, [(0, count) for count in extra])
        split = full.reshape(self.passes, self.pe, kh, kw, -1, full.shape[3] // self._words_deep)
        words = split.transpose(0, 2, 3, 4, 1, 5).reshape(-1, self.weight_lanes)
        return pack_image(words, self.weight.bits)

    @property
    def _words_deep(self) -> int:
        return 1 if self.depthwise else self.folds

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """A windowed component (rules T3, T4)."""
        schedule.window(
            name,
            inputs[0],
            outputs[0],
            geometry=self.geometry,
            folds=self.folds,
            passes=self.passes,
            steps=self.steps,
            latency=self.pipeline,
            rows=self.memory_rows,
            depth=self.outlet_depth,
        )

    def component(self, name: str) -> Any:
        """See :mod:`midwire.hw.datapath.conv`."""
        from ..datapath.conv import FoldedConv, FoldedDepthwise

        return FoldedDepthwise(self, name) if self.depthwise else FoldedConv(self, name)
