# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Conv (ONNX operator versions 1, 11, 22): one and two spatial axes, dense or depthwise.

Integer meaning, for output channel ``o`` at pixel ``p``:
``acc[o] = sum(x[p + tap, c] * w[o, tap, c])`` over the raw integers ``x`` (the zero point not taken
off), where taps outside the image read the zero point. The real number is
``s_x * s_w[o] * (acc[o] - z_x * sum(w[o])) + bias[o]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import onnx

from ...hw.datapath import conv as hardware
from ...hw.kernels.integer import Geometry
from ...hw.numeric import Affine, IntArray, QType
from ..ir.dataflow import Folding, Stage
from ..ir.quant import Core, QNode, QTensor
from ..quantise.grids import DYADIC_ABOVE
from . import _build
from ._model import one_node, weights
from .base import Case, Const, ImportContext, Imported, Op, Unsupported, one
from .window import image_shape, window_attributes, window_of


def per_channel_grid(values: np.ndarray, bits: int) -> Const:
    """Weights (channels first) on a symmetric grid a channel:
    ``scale = max|w| / (2**(bits-1) - 1)``.

    With activations on grids of powers of two (see ``grids``), scales of few bits keep requantisers
    exact: 4 bits, and within 8 bits of the largest one.
    """
    flat = values.reshape(values.shape[0], -1).astype(np.float64)
    top = (1 << (bits - 1)) - 1
    peak = np.abs(flat).max(axis=1) if flat.size else np.zeros(len(flat))
    steps = np.maximum(peak / max(top, 1), np.finfo(np.float32).tiny)
    if bits > DYADIC_ABOVE:
        mantissa, exponent = np.frexp(np.maximum(steps, steps.max(initial=0) / 256))
        steps = np.ldexp(np.ceil(mantissa * 16) / 16, exponent)
    scale = np.where(peak > 0, steps, 1.0).astype(np.float32)
    shape = (-1, *[1] * (values.ndim - 1))
    q = np.clip(np.rint(values / scale.astype(np.float64).reshape(shape)), -top - 1, top)
    return Const(
        q.astype(np.int64),
        scale.reshape(shape),
        np.zeros_like(scale, np.int64).reshape(shape),
        chosen=True,
    )


def channel_scales(weight: Const, channels: int) -> list[Fraction]:
    """The weights' scale for each output channel (axis 0)."""
    assert weight.scale is not None
    spread = np.broadcast_to(weight.scale, weight.shape).reshape(channels, -1)
    if not np.array_equal(spread.min(axis=1), spread.max(axis=1)):
        raise Unsupported("expected one weight scale for each output channel, found more")
    return [Fraction(float(s)) for s in spread[:, 0]]


def centred(weight: Const) -> IntArray:
    """Weights with their zero point taken off."""
    assert weight.zero_point is not None
    return (weight.values.astype(np.int64) - weight.zero_point).astype(np.int64)


def _dense(weight: Const, group: int) -> Const:
    """Weights of a grouped convolution for one group: real zeros between the groups."""
    channels, depth = weight.shape[0] // group, weight.shape[1]

    def spread(array: np.ndarray, fill: np.ndarray) -> np.ndarray:
        wide = np.repeat(fill[:, :1], depth * group, axis=1)
        for g in range(group):
            rows, columns = slice(g * channels, (g + 1) * channels), g * depth
            wide[rows, columns : columns + depth] = array[rows]
        return wide

    if weight.scale is None:
        return Const(spread(weight.values, np.zeros_like(weight.values)))
    full = weight.map(lambda array: array)
    assert full.scale is not None and full.zero_point is not None
    return Const(
        spread(full.values, full.zero_point),
        spread(full.scale, full.scale),
        spread(full.zero_point, full.zero_point),
    )


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """A convolution with constant weights (O, I/group, kh, kw) and an optional constant bias
    (O,).
    """

    weight: Const
    bias: Const | None
    window: Geometry
    group: int = 1
    merged: int = 1

    onnx_types = ("Conv",)

    def __repr__(self) -> str:
        w = self.window
        shape = f"weight={self.weight.shape}, strides={w.stride}, pads={w.pads}"
        return f"Conv({shape}, group={self.group})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Weights and bias must be constant. Groups that are not one a channel become dense."""
        attributes = context.attributes(node)
        weight = context.const(node.input[1])
        if weight is None:
            raise Unsupported("expected constant weights, found computed ones")
        bias = None
        if len(node.input) > 2 and node.input[2]:
            bias = context.const(node.input[2])
            if bias is None:
                raise Unsupported("expected a constant bias, found a computed one")
        shape = context.shape(node.input[0])
        group = int(attributes.get("group", 1))
        channels, depth, merged = weight.shape[0], weight.shape[1], 1
        if depth * group != shape[1] or channels % group:
            raise Unsupported(
                f"expected {group} groups to divide the channels, found {shape[1]} channels in, "
                f"{channels} out and weights for {depth} a group"
            )
        if group != 1 and not channels == group == shape[1]:
            weight, merged, group = _dense(weight, group), group, 1
        kernel = list(weight.shape[2:])
        if list(attributes.get("kernel_shape") or kernel) != kernel:
            raise Unsupported(
                f"expected kernel_shape {kernel} as the weights have, "
                f"found {attributes['kernel_shape']}"
            )
        window = window_of(attributes, kernel, shape[2:])
        if weight.values.ndim == 3:
            weight = weight.map(lambda array: array[:, :, :, None])
        return one(cls(weight, bias, window, group, merged), [node.input[0]])

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Output elements times taps times channels of a group."""
        del inputs
        return int(np.prod(output)) * self.window.taps * self.weight.shape[1] // self.merged

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    def quantise_weights(self, bits: int) -> Op:
        """Symmetric, one scale an output channel."""
        if self.weight.scale is not None:
            return self
        return replace(self, weight=per_channel_grid(self.weight.values, bits))

    def lower(self, inputs: Sequence[QTensor], output: tuple[int, ...]) -> Core:
        """See the module's docstring."""
        del output
        (x,) = inputs
        weight = centred(self.weight).transpose(0, 2, 3, 1)
        scales = channel_scales(self.weight, weight.shape[0])
        bias = self.bias.exact() if self.bias else [Fraction(0)] * weight.shape[0]
        return ConvCore(
            self.window,
            image_shape(x.shape)[2],
            x.qtype,
            weight,
            scales,
            bias,
            self.group > 1,
            1,
            self.weight.chosen,
        )

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Strides, SAME padding that is asymmetric, dilation, depthwise, one axis, a bias."""
        shape = (1, 4, 6, 5)

        def conv(name: str, out: tuple[int, ...], w: np.ndarray, **attributes: Any) -> Case:
            bias = weights(7, w.shape[0])
            return Case(
                f"conv_{name}", one_node("Conv", [shape], out, {1: w, 2: bias}, **attributes)
            )

        yield conv("1x1", (1, 6, 6, 5), weights(1, 6, 4, 1, 1))
        yield conv("same", (1, 4, 6, 5), weights(2, 4, 4, 3, 3), pads=[1, 1, 1, 1])
        yield conv(
            "same_upper_s2",
            (1, 4, 3, 3),
            weights(3, 4, 4, 3, 3),
            strides=[2, 2],
            auto_pad="SAME_UPPER",
        )
        yield conv("1x1_s2", (1, 2, 3, 3), weights(4, 2, 4, 1, 1), strides=[2, 2])
        yield conv("dilated", (1, 2, 2, 1), weights(5, 2, 4, 3, 3), dilations=[2, 2])
        yield conv("depthwise", (1, 4, 6, 5), weights(6, 4, 1, 3, 3), pads=[1, 1, 1, 1], group=4)
        yield conv("groups", (1, 6, 4, 3), weights(9, 6, 2, 3, 3), group=2)
        line = one_node("Conv", [(1, 4, 9)], (1, 6, 7), {1: weights(8, 6, 4, 3)})
        yield Case("conv_1d", line)


class ConvCore(Core):
    """Dense or depthwise convolution of a channels-last image; matrix products are images of 1 x 1.

    Parameters
    ----------
    window : the sliding window and the input's height and width
    channels_in : channels of the input
    weight : int64 (O, kh, kw, I); I is 1 for depthwise
    scales, bias : real, one an output channel
    adjustable : whether midwire chose the scales
    """

    kernel = "conv"

    def __init__(
        self,
        window: Geometry,
        channels_in: int,
        x: QType,
        weight: IntArray,
        scales: Sequence[Fraction],
        bias: Sequence[Fraction],
        depthwise: bool,
        channel_axis: int,
        adjustable: bool,
    ) -> None:
        self.adjustable = adjustable
        self.image = (window.height, window.width, channels_in)
        self.window = window
        self.x = x
        self.depthwise = depthwise
        self.channel_axis = channel_axis
        self.weight = weight
        self.attributes = {
            **window_attributes(window, channels_in),
            "depthwise": depthwise,
            "pad_value": x.zero_point,
        }
        self.arrays = {"weight": weight}
        flat = weight.reshape(weight.shape[0], -1)
        sums = [int(s) for s in flat.sum(axis=1)]
        self.functions = tuple(
            Affine((x.step * scale,), offset - x.step * scale * x.zero_point * total)
            for scale, offset, total in zip(scales, bias, sums, strict=True)
        )
        highs = np.maximum(flat * x.lo, flat * x.hi).sum(axis=1)
        lows = np.minimum(flat * x.lo, flat * x.hi).sum(axis=1)
        self.ranges = tuple(((int(lo), int(hi)),) for lo, hi in zip(lows, highs, strict=True))
        self.out_image = (window.out_height, window.out_width, weight.shape[0])
        self.macs = self.out_image[0] * self.out_image[1] * flat.size

    def foldings(self) -> list[Folding]:
        """Lanes divide channels; depthwise lanes are the same on both sides."""
        channels_in, channels_out = self.image[2], self.weight.shape[0]
        if self.depthwise:
            return [Folding(n, n) for n in _build.divisors(channels_out)]
        return [
            Folding(pe, simd)
            for pe in _build.divisors(channels_out)
            for simd in _build.divisors(channels_in)
        ]

    def cycles(self, folding: Folding) -> int:
        """Pixels x taps x channel folds x neuron folds, or the input's beats where those are
        more.
        """
        pixels = self.out_image[0] * self.out_image[1] * self.window.taps
        beats = int(np.prod(self.image)) // folding.simd
        if self.depthwise:
            return max(beats, pixels * (self.image[2] // folding.pe))
        neuron_folds = self.weight.shape[0] // folding.pe
        return max(beats, pixels * (self.image[2] // folding.simd) * neuron_folds)

    def stage(self, node: QNode, out: QType, folding: Folding, name: str) -> Stage:
        """PE x SIMD multiply-accumulate behind a line buffer."""
        lo, hi = int(self.weight.min()), int(self.weight.max())
        weight = _build.shape_for(lo, hi)
        shared: dict[str, Any] = {
            "x": _build.shape_of(self.x),
            "weight": weight,
            "out": _build.shape_of(out),
            "accumulator": self.acc_range,
            "requantiser": node.requantiser,
            "pad_value": self.x.zero_point,
        }
        channels_in, channels_out = self.image[2], self.weight.shape[0]

        @cache
        def component() -> hardware.FoldedConv | hardware.FoldedDepthwise:
            if self.depthwise:
                return hardware.FoldedDepthwise(
                    name, self.window, channels=channels_in, lanes=folding.pe, **shared
                )
            return hardware.FoldedConv(
                name,
                self.window,
                channels_in=channels_in,
                channels_out=channels_out,
                pe=folding.pe,
                simd=folding.simd,
                **shared,
            )

        lanes = folding.pe if self.depthwise else folding.pe * folding.simd
        words = self.weight.size // lanes
        multiplier = int(np.abs(node.requantiser.multiplier).max()).bit_length() + 1
        products = [(self.x.bits, weight.width)] * lanes
        products += [(self.acc_bits[0], multiplier)] * folding.pe
        return _build.make_stage(
            name,
            node.name,
            component,
            inputs=[_build.port(self.x, folding.simd, int(np.prod(self.image)))],
            output=_build.port(out, folding.pe, int(np.prod(self.out_image))),
            folding=folding,
            cycles=self.cycles(folding),
            images=component().files(self.weight),
            products=products,
            memories=[
                (lanes * weight.width, words),
                (
                    folding.simd * self.x.bits,
                    component().rows * self.image[1] * (channels_in // folding.simd),
                ),
            ],
        )
