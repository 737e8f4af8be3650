# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Conv (ONNX operator versions 1, 11, 22): one to three spatial axes, dense or depthwise.

Integer meaning, for output channel ``o`` at pixel ``p``:
``acc[o] = sum(x[p + tap, c] * w[o, tap, c])`` over the raw integers ``x`` (the zero point not taken
off), where taps outside the image read the zero point. The real number is
``s_x * s_w[o] * (acc[o] - z_x * sum(w[o])) + bias[o]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray, Layout
from ...hw.kernels.conv import ConvKernel
from ...hw.kernels.geometry import Geometry, taps
from ...hw.numeric import Affine, Function, IntArray, QType
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ..quantise.grids import DYADIC_ABOVE
from ._model import one_node, weights
from .base import Case, Const, ImportContext, Imported, Op, Unsupported, one, vector
from .window import check_kernel_shape, image_axes, window_of

_PEEK = 16
"""Weights of a channel that are looked at before all the others are."""

_FEW = 7
"""Multiples of a unit that are looked for in weights: those of 4 bits."""


def per_channel_grid(values: np.ndarray, bits: int) -> Const:
    """Weights (channels first) on a symmetric grid a channel: ``scale = max|w| / top``, where
    ``top`` is ``2**(bits-1) - 1``, or less if that holds all weights of the channel exactly: 1 for
    binary and ternary ones.

    With activations on grids of powers of two (see ``grids``), scales of few bits keep finishers
    exact: 4 bits, and within 8 bits of the largest one.
    """
    flat = values.reshape(values.shape[0], -1).astype(np.float64)
    top = (1 << (bits - 1)) - 1
    peak = np.abs(flat).max(axis=1) if flat.size else np.zeros(len(flat))
    steps = np.maximum(peak / max(top, 1), np.finfo(np.float32).tiny)
    exact = _exact_steps(flat, peak, min(_FEW, top))
    if bits > DYADIC_ABOVE:
        mantissa, exponent = np.frexp(np.maximum(steps, steps.max(initial=0) / 256))
        steps = np.ldexp(np.ceil(mantissa * 16) / 16, exponent)
        exact[np.frexp(exact)[0] * 16 % 1 != 0] = 0
    steps = np.where(exact > 0, exact, steps)
    scale = np.where(peak > 0, steps, 1.0).astype(np.float32)
    shape = (-1, *[1] * (values.ndim - 1))
    q = np.clip(np.rint(values / scale.astype(np.float64).reshape(shape)), -top - 1, top)
    return Const(
        q.astype(np.int64),
        scale.reshape(shape),
        np.zeros_like(scale, np.int64).reshape(shape),
        chosen=True,
    )


def _exact_steps(flat: np.ndarray, peak: np.ndarray, most: int) -> np.ndarray:
    """For each row of float32 numbers the largest unit of which all are multiples, at most ``most``
    times it, as float32 multiplies; 0 where there is none.

    ``peak`` is the largest size in each row.
    """
    found = np.zeros(len(flat))
    few = flat[:, :_PEEK]  # hardly any other row gets past these
    for count in range(1, most + 1):
        unit = (peak / count).astype(np.float32)
        open_ = np.flatnonzero((found == 0) & (unit > 0))
        open_ = open_[_multiples(few[open_], unit[open_])]
        open_ = open_[_multiples(flat[open_], unit[open_])]
        found[open_] = unit[open_]
    return found


def _multiples(rows: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Whether each row has only multiples of its unit."""
    columns = unit[:, None]
    nearest = np.rint(rows / columns).astype(np.float32) * columns
    return np.asarray((nearest == rows.astype(np.float32)).all(axis=1))


def _tap_means(window: Geometry, image: AnyArray) -> AnyArray:
    """What each tap reads on average over the output pixels: (channels, *kernel).

    ``image`` is (images, channels, *spatial).
    """
    channels = image.shape[1]
    last = np.moveaxis(image, 1, -1).reshape(1, *window.size, channels)
    means = [read.reshape(-1, channels).mean(axis=0) for read in taps(last, window, 0)]
    return np.stack(means, axis=1).reshape(channels, *window.kernel)


def shifted(bias: Const | None, shift: AnyArray) -> Const:
    """A bias (or none) less a real number a channel."""
    own = 0.0 if bias is None else bias.real
    return Const((own - shift).astype(np.float32))


def channel_scales(weight: Const, channels: int) -> list[Fraction]:
    """The weights' scale for each output channel (axis 0)."""
    scales = _scales(weight, channels)
    if scales is None:
        raise Unsupported("expected one weight scale for each output channel, found more")
    return [Fraction(float(s)) for s in scales]


def _scales(weight: Const, channels: int) -> AnyArray | None:
    """One scale for each output channel; None if some have several."""
    assert weight.scale is not None
    spread = np.broadcast_to(weight.scale, weight.shape).reshape(channels, -1)
    first: AnyArray = spread[:, 0]
    return first if (spread == first[:, None]).all() else None


def centred(weight: Const) -> IntArray:
    """Weights with their zero point taken off."""
    assert weight.zero_point is not None
    return (weight.values.astype(np.int64) - weight.zero_point).astype(np.int64)


def dense(weight: Const, group: int) -> Const:
    """Weights (O, I/group, ...) of a grouped convolution for one group: real zeros between the
    groups.
    """
    if group == 1:
        return weight
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
class WeightedOp(Op):
    """Base of operators with constant weights, whose first axis is that of the output channels, and
    an optional constant bias (O,).
    """

    weight: Const
    bias: Const | None

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    def quantise_weights(self, bits: int) -> Op:
        """Symmetric, one scale an output channel. Weights with several (a scale for each block of
        inputs, as models are stored in 4 bits) are the reals that they stand for.
        """
        given = self.weight
        if given.scale is not None and _scales(given, len(given.values)) is not None:
            return self
        return replace(self, weight=per_channel_grid(given.real.astype(np.float32), bits))

    def loses(self, bits: int) -> bool:
        """Unless they are few multiples of one number."""
        made = self.quantise_weights(bits)
        assert isinstance(made, WeightedOp)
        own, rounded = (op.weight.real.astype(np.float32) for op in (self, made))
        return made is not self and not np.array_equal(own, rounded)


@dataclass(frozen=True, eq=False)
class Conv(WeightedOp):
    """A convolution with weights (O, I/group, *kernel)."""

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
        weight = weights_of(context, node)
        shape = context.shape(node.input[0])
        image_axes(shape)
        if len(weight.shape) != len(shape):
            raise Unsupported(
                f"expected weights of {len(shape)} axes as the input has, "
                f"found the shape {list(weight.shape)}"
            )
        group = int(attributes.get("group", 1))
        channels, depth, merged = weight.shape[0], weight.shape[1], 1
        if depth * group != shape[1] or channels % group:
            raise Unsupported(
                f"expected weights that {group} group{'' if group == 1 else 's'} of the channels "
                f"fit, found {shape[1]} channels in, {channels} out and weights for {depth} a group"
            )
        bias = bias_of(context, node, channels)
        if group != 1 and not channels == group == shape[1]:
            weight, merged, group = dense(weight, group), group, 1
        kernel = list(weight.shape[2:])
        check_kernel_shape(attributes, kernel)
        window = window_of(attributes, kernel, shape)
        weight = weight.map(lambda array: array.reshape(*array.shape[:2], *window.kernel))
        return one(cls(weight, bias, window, group, merged), [node.input[0]])

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Output elements times taps times channels of a group."""
        del inputs
        return int(np.prod(output)) * self.window.taps * self.weight.shape[1] // self.merged

    def corrected(self, real: Op, mean: AnyArray) -> Op:
        """By the mean that each tap reads over all output pixels, padding included."""
        assert isinstance(real, Conv)
        error = self.weight.real - real.weight.real
        means = _tap_means(self.window, mean)
        if self.group > 1:
            shift = (error[:, 0] * means).reshape(len(error), -1).sum(axis=1)
        else:
            shift = np.tensordot(error, means, axes=means.ndim)
        return replace(self, bias=shifted(self.bias, shift))

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        weight = np.moveaxis(centred(self.weight), 1, -1)
        scales = channel_scales(self.weight, weight.shape[0])
        bias = self.bias.exact() if self.bias else [Fraction(0)] * weight.shape[0]
        kernel = ConvKernel(
            self.window,
            x.shape[1],
            x.qtype.integers,
            weight,
            self.group > 1,
            x.qtype.zero_point,
        )
        functions = convolution(kernel, x.qtype, scales, bias)
        layout = Layout.channels_last(output.shape)
        return single(kernel, Meaning(functions, 1, layout, self.weight.chosen))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Strides, SAME padding that is asymmetric, dilation, depthwise, a bias; other ranks."""
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
        video = (1, 2, 4, 3, 4)

        def volume(name: str, out: tuple[int, ...], w: np.ndarray, **attributes: Any) -> Case:
            bias = weights(7, w.shape[0])
            return Case(
                f"conv_3d_{name}", one_node("Conv", [video], out, {1: w, 2: bias}, **attributes)
            )

        yield volume("same", (1, 3, 4, 3, 4), weights(10, 3, 2, 3, 3, 3), pads=[1] * 6)
        yield volume(
            "strides",
            (1, 3, 3, 2, 2),
            weights(11, 3, 2, 2, 1, 3),
            strides=[2, 2, 1],
            pads=[1, 0, 0, 1, 0, 0],
        )
        yield volume("dilated", (1, 2, 2, 3, 2), weights(12, 2, 2, 2, 1, 2), dilations=[2, 1, 2])
        yield volume("depthwise", (1, 2, 2, 2, 3), weights(13, 2, 1, 3, 2, 2), group=2)


def weights_of(context: ImportContext, node: onnx.NodeProto) -> Const:
    """The weights of a convolution."""
    weight = context.const(node.input[1])
    if weight is None:
        raise Unsupported("expected constant weights, found computed ones")
    return weight


def bias_of(context: ImportContext, node: onnx.NodeProto, channels: int) -> Const | None:
    """The bias of a convolution, if it has one."""
    if len(node.input) <= 2 or not node.input[2]:
        return None
    return vector(context, node.input[2], "bias", channels)


def convolution(
    kernel: ConvKernel,
    x: QType,
    scales: Sequence[Fraction],
    bias: Sequence[Fraction],
) -> list[Function]:
    """The real number that each output channel's accumulator stands for (see the module)."""
    sums = kernel.weight.reshape(kernel.outputs, -1).sum(axis=1)
    return [
        Affine((x.step * scale,), offset - x.step * scale * x.zero_point * int(total))
        for scale, offset, total in zip(scales, bias, sums, strict=True)
    ]
