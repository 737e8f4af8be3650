# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX operators by their definition, in rational arithmetic: an opinion that shares no code with
the product.

A tensor is an array of Python integers and one unit, so nothing rounds and nothing overflows. What
stands not in ``_RULES`` (functions with irrational values, and whoever adds an operator and nothing
else) is what ONNX's own reference implementation says, in double, give or take ``ROOM``.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from midwire.compiler.ops.conv import per_channel_grid
from midwire.hw.numeric import QType

Array = np.ndarray[Any, Any]

ROOM = 2.0**-22
"""How far the reference implementation may be off: ONNX writes constants as float32."""


@dataclass(frozen=True)
class Exact:
    """The real numbers ``ints * unit``."""

    ints: Array
    unit: Fraction

    @classmethod
    def of(cls, values: Array) -> Exact:
        """Floats as they are, or integers."""
        if values.dtype.kind in "iub" or values.dtype == object:
            return cls(np.asarray(values, object), Fraction(1))
        parts = [Fraction(float(v)) for v in values.ravel()]
        unit = Fraction(1, max((p.denominator for p in parts), default=1))
        flat = np.empty(values.size, object)
        flat[:] = [int(p / unit) for p in parts]
        return cls(flat.reshape(values.shape), unit)

    def at(self, unit: Fraction) -> Array:
        """The integers for a unit that divides this one."""
        factor = self.unit / unit
        assert factor.denominator == 1
        return self.ints * int(factor)

    def __mul__(self, other: Exact) -> Exact:
        return Exact(self.ints * other.ints, self.unit * other.unit)

    def __add__(self, other: Exact) -> Exact:
        unit = common(self.unit, other.unit)
        return Exact(self.at(unit) + other.at(unit), unit)

    def times(self, factor: Fraction) -> Exact:
        return Exact(self.ints, self.unit * factor) if factor else Exact(self.ints * 0, self.unit)

    def change(self, function: Callable[[Array], Array]) -> Exact:
        """Elements moved."""
        return Exact(function(self.ints), self.unit)

    def rounded(self, step: Fraction, zero_point: int, lo: int, hi: int) -> Array:
        """Rule N3: half to even, then the zero point, then the clamp."""
        ratio = self.unit / step
        n, d = ratio.numerator, ratio.denominator
        scaled = self.ints * n
        floor = scaled // d
        rest = (scaled - floor * d) * 2
        up = (rest > d) | ((rest == d) & (floor % 2 == 1))
        q = floor + up.astype(object) + zero_point
        return np.minimum(np.maximum(q, lo), hi)

    def grid(self, qtype: QType) -> Array:
        """Integers on the grid of a type, int64."""
        q = self.rounded(Fraction(qtype.scale), qtype.zero_point, qtype.lo, qtype.hi)
        return np.asarray(q, np.int64)


def common(a: Fraction, b: Fraction) -> Fraction:
    """The largest unit that both are multiples of."""
    top = math.gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    return Fraction(top, a.denominator * b.denominator)


Attributes = Mapping[str, Any]
Inputs = Sequence[Exact | None]


def _pads(attributes: Attributes, spatial: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Begin and end pads, by the text of the ONNX specification."""
    rank = len(spatial)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", "VALID"):
        return list(attributes.get("pads", [0] * 2 * rank)) if auto == "NOTSET" else [0] * 2 * rank
    begins, ends = [], []
    for size, k, s, d in zip(spatial, kernel, strides, dilations, strict=True):
        out = math.ceil(size / s)
        need = max((out - 1) * s + (k - 1) * d + 1 - size, 0)
        begins.append(need // 2 if auto == "SAME_UPPER" else need - need // 2)
        ends.append(need - begins[-1])
    return begins + ends


def _windows(x: Array, attributes: Attributes, kernel: Sequence[int], fill: Any) -> Array:
    """(N, C, out..., taps) of an image of any rank; taps in the padding hold ``fill``, and those
    beyond it, of ceil_mode, None.
    """
    spatial = x.shape[2:]
    rank = len(spatial)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    pads = _pads(attributes, spatial, kernel)
    rounding = math.ceil if attributes.get("ceil_mode", 0) else math.floor
    outs = []
    for axis in range(rank):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        padded = spatial[axis] + pads[axis] + pads[axis + rank]
        count = rounding((padded - reach) / strides[axis]) + 1
        if rounding is math.ceil and (count - 1) * strides[axis] >= spatial[axis] + pads[axis]:
            count -= 1  # no window starts in the end padding
        outs.append(count)
    result = np.empty((*x.shape[:2], *outs, math.prod(kernel)), object)
    for out in np.ndindex(*outs):
        for tap, offset in enumerate(np.ndindex(*kernel)):
            at = [
                o * s + k * d - p
                for o, s, k, d, p in zip(out, strides, offset, dilations, pads[:rank], strict=True)
            ]
            inside = all(0 <= a < n for a, n in zip(at, spatial, strict=True))
            padded = all(a < n + p for a, n, p in zip(at, spatial, pads[rank:], strict=True))
            result[(slice(None), slice(None), *out, tap)] = (
                x[(slice(None), slice(None), *at)] if inside else fill if padded else None
            )
    return result


def _conv(attributes: Attributes, inputs: Inputs) -> Exact:
    x, w = inputs[0], inputs[1]
    assert x is not None and w is not None
    group = attributes.get("group", 1)
    kernel = w.ints.shape[2:]
    windows = _windows(x.ints, attributes, kernel, 0)
    weights = w.ints.reshape(*w.ints.shape[:2], -1)
    depth, per = w.ints.shape[1], w.ints.shape[0] // group
    outs = windows.shape[2:-1]
    result = np.empty((x.ints.shape[0], w.ints.shape[0], *outs), object)
    for o in range(w.ints.shape[0]):
        first = o // per * depth
        part = np.moveaxis(windows[:, first : first + depth], 1, -2)  # (N, out..., depth, taps)
        result[:, o] = (part * weights[o]).sum(axis=(-1, -2))
    total = Exact(result, x.unit * w.unit)
    if len(inputs) > 2 and inputs[2] is not None:
        bias = inputs[2]
        return total + bias.change(lambda b: b.reshape(-1, *[1] * len(outs)))
    return total


def _conv_transpose(attributes: Attributes, inputs: Inputs) -> Exact:
    """Every input pixel adds its kernel to the whole result; pads then cut it out of that."""
    x, w = inputs[0], inputs[1]
    assert x is not None and w is not None
    spatial, kernel = x.ints.shape[2:], w.ints.shape[2:]
    rank, group = len(spatial), attributes.get("group", 1)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    extra = attributes.get("output_padding", [0] * rank)
    whole = [
        s * (n - 1) + d * (k - 1) + 1 + e
        for s, n, d, k, e in zip(strides, spatial, dilations, kernel, extra, strict=True)
    ]
    depth, per = x.ints.shape[1] // group, w.ints.shape[1]
    result = np.zeros((x.ints.shape[0], per * group, *whole), object)
    for g in range(group):
        pixels = x.ints[:, g * depth : (g + 1) * depth]
        for tap in np.ndindex(*kernel):
            weights = w.ints[(slice(g * depth, (g + 1) * depth), slice(None), *tap)]
            part = np.moveaxis(np.tensordot(pixels, weights, axes=(1, 0)), -1, 1)
            at = tuple(
                slice(t * d, t * d + s * (n - 1) + 1, s)
                for t, d, s, n in zip(tap, dilations, strides, spatial, strict=True)
            )
            result[(slice(None), slice(g * per, (g + 1) * per), *at)] += part
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    pads = attributes.get("pads", [0] * 2 * rank)
    begins, outs = [], []
    for axis in range(rank):
        out = attributes.get("output_shape", [0] * rank)[axis]
        if auto.startswith("SAME"):
            out = out or spatial[axis] * strides[axis]
        if out:
            total = whole[axis] - out
            begins.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
        else:
            begins.append(pads[axis])
            out = whole[axis] - pads[axis] - pads[axis + rank]
        outs.append(out)
    cut = tuple(slice(b, b + n) for b, n in zip(begins, outs, strict=True))
    summed = Exact(result[(slice(None), slice(None), *cut)], x.unit * w.unit)
    if len(inputs) > 2 and inputs[2] is not None:
        return summed + inputs[2].change(lambda b: b.reshape(-1, *[1] * rank))
    return summed


def _matmul(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    a, b = inputs
    assert a is not None and b is not None
    return Exact(a.ints @ b.ints, a.unit * b.unit)


def _gemm(attributes: Attributes, inputs: Inputs) -> Exact:
    a, b = inputs[0], inputs[1]
    assert a is not None and b is not None
    left = a.ints.T if attributes.get("transA", 0) else a.ints
    right = b.ints.T if attributes.get("transB", 0) else b.ints
    product = Exact(left @ right, a.unit * b.unit).times(Fraction(attributes.get("alpha", 1.0)))
    if len(inputs) > 2 and inputs[2] is not None:
        return product + inputs[2].times(Fraction(attributes.get("beta", 1.0)))
    return product


def _max_pool(attributes: Attributes, inputs: Inputs) -> Exact:
    (x,) = inputs
    assert x is not None
    kernel = attributes["kernel_shape"]
    windows = _windows(x.ints, attributes, kernel, None)
    flat = windows.reshape(-1, windows.shape[-1])
    best = np.empty(len(flat), object)
    best[:] = [max(v for v in row if v is not None) for row in flat]
    return Exact(best.reshape(windows.shape[:-1]), x.unit)


def _average_pool(attributes: Attributes, inputs: Inputs) -> Exact:
    (x,) = inputs
    assert x is not None
    kernel = attributes["kernel_shape"]
    include = attributes.get("count_include_pad", 0)
    windows = _windows(x.ints, attributes, kernel, 0 if include else None)
    flat = windows.reshape(-1, windows.shape[-1])
    common_count = math.lcm(*range(1, windows.shape[-1] + 1))
    means = np.empty(len(flat), object)
    for index, row in enumerate(flat):
        values = [v for v in row if v is not None]
        means[index] = sum(values) * (common_count // len(values))
    return Exact(means.reshape(windows.shape[:-1]), x.unit / common_count)


def _global_max(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    (x,) = inputs
    assert x is not None
    axes = tuple(range(2, x.ints.ndim))
    return x.change(lambda a: np.max(a, axis=axes, keepdims=True))


def _mean(x: Exact, axes: Sequence[int], keep: bool) -> Exact:
    count = math.prod(x.ints.shape[axis] for axis in axes)
    return Exact(x.ints.sum(axis=tuple(axes), keepdims=keep), x.unit / count)


def _global_average(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    (x,) = inputs
    assert x is not None
    return _mean(x, range(2, x.ints.ndim), True)


def _reduced(attributes: Attributes, inputs: Inputs) -> tuple[Exact, tuple[int, ...], bool]:
    """A tensor, the axes of its reduction, and whether they are kept."""
    x = inputs[0]
    assert x is not None
    axes = attributes.get("axes")
    if len(inputs) > 1 and inputs[1] is not None:
        axes = [int(v) for v in inputs[1].ints.ravel()]
    return x, tuple(axes or range(x.ints.ndim)), bool(attributes.get("keepdims", 1))


def _reduce(reduce: Any) -> Callable[[Attributes, Inputs], Exact]:
    def rule(attributes: Attributes, inputs: Inputs) -> Exact:
        x, axes, keep = _reduced(attributes, inputs)
        return x.change(lambda a: np.asarray(reduce(a, axis=axes, keepdims=keep), object))

    return rule


def _reduce_sum_square(attributes: Attributes, inputs: Inputs) -> Exact:
    x, axes, keep = _reduced(attributes, inputs)
    total = np.asarray((x.ints * x.ints).sum(axis=axes, keepdims=keep), object)
    return Exact(total, x.unit * x.unit)


def _reduce_mean(attributes: Attributes, inputs: Inputs) -> Exact:
    return _mean(*_reduced(attributes, inputs))


def _add(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    a, b = inputs
    assert a is not None and b is not None
    return a + b


def _sub(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    a, b = inputs
    assert a is not None and b is not None
    return a + b.times(Fraction(-1))


def _mul(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    a, b = inputs
    assert a is not None and b is not None
    return a * b


def _div(attributes: Attributes, inputs: Inputs) -> Exact:
    a, b = inputs
    assert a is not None and b is not None
    if bits := attributes.get("bits", 0):  # rule N19 of the number contract, by its text
        ratio = np.frompyfunc(
            lambda c, d: round(Fraction(2**bits * c * (-1 if d < 0 else 1), max(1, abs(d)))), 2, 1
        )
        return Exact(ratio(a.ints, b.ints), a.unit / b.unit / 2**bits)
    # What is divided by zero saturates: zero is as good as what is far below all other divisors.
    ints = np.where(b.ints == 0, 1, b.ints * 2**60)
    product = math.lcm(*(int(v) for v in ints.ravel()))
    inverse = Exact(product // ints, 2**60 / (b.unit * product))
    return a * inverse


def _batch_normalization(attributes: Attributes, inputs: Inputs) -> Exact:
    """``scale / sqrt(variance + epsilon)`` is rounded to a double once: it need not be rational."""
    x, scale, bias, mean, variance = inputs
    assert x is not None and scale is not None and bias is not None and mean is not None
    assert variance is not None
    reals = [v.ints.astype(float) * float(v.unit) for v in (scale, variance)]
    factor = Exact.of(reals[0] / np.sqrt(reals[1] + attributes.get("epsilon", 1e-5)))

    def channels(value: Exact) -> Exact:
        return value.change(lambda a: a.reshape(-1, *[1] * (x.ints.ndim - 2)))

    centred = x + channels(mean).times(Fraction(-1))
    return centred * channels(factor) + channels(bias)


def _bounded(x: Exact, low: Exact | None, high: Exact | None) -> Exact:
    for bound, choose in ((low, np.maximum), (high, np.minimum)):
        if bound is not None:
            unit = common(x.unit, bound.unit)
            x = Exact(choose(x.at(unit), bound.at(unit)), unit)
    return x


def _relu(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    (x,) = inputs
    assert x is not None
    return x.change(lambda a: np.maximum(a, 0))


def _clip(attributes: Attributes, inputs: Inputs) -> Exact:
    x = inputs[0]
    assert x is not None
    bounds = [*inputs[1:], None, None][:2]
    for index, name in enumerate(("min", "max")):
        if name in attributes:
            bounds[index] = Exact.of(np.array(attributes[name], np.float64))
    return _bounded(x, bounds[0], bounds[1])


def _extreme(choose: Any) -> Callable[[Attributes, Inputs], Exact]:
    def rule(attributes: Attributes, inputs: Inputs) -> Exact:
        del attributes
        operands = [x for x in inputs if x is not None]
        total = operands[0]
        for other in operands[1:]:
            unit = common(total.unit, other.unit)
            total = Exact(choose(total.at(unit), other.at(unit)), unit)
        return total

    return rule


def _prelu(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    x, slope = inputs
    assert x is not None and slope is not None
    return x.change(lambda a: np.maximum(a, 0)) + x.change(lambda a: np.minimum(a, 0)) * slope


def _where(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    mask, a, b = inputs
    assert mask is not None and a is not None and b is not None
    unit = common(a.unit, b.unit)
    return Exact(np.where(mask.ints.astype(bool), a.at(unit), b.at(unit)), unit)


def _pad(attributes: Attributes, inputs: Inputs) -> Exact:
    x = inputs[0]
    assert x is not None
    amounts = attributes.get("pads")
    if amounts is None:
        assert inputs[1] is not None
        amounts = [int(v) for v in inputs[1].ints]
    rank = x.ints.ndim
    widths = [(amounts[i], amounts[i + rank]) for i in range(rank)]
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant":
        return x.change(lambda a: np.pad(a, widths, mode=mode))
    inside = np.pad(np.zeros(x.ints.shape, object), widths, constant_values=1)
    total = x.change(lambda a: np.pad(a, widths, constant_values=0))
    if len(inputs) > 2 and inputs[2] is not None:
        total = total + Exact(inside * inputs[2].ints, inputs[2].unit)
    return total


def _gather(attributes: Attributes, inputs: Inputs) -> Exact:
    x, indices = inputs
    assert x is not None and indices is not None
    axis = attributes.get("axis", 0)
    # ONNX has no row beyond the ends; here it is the nearest one (rule N16).
    at = np.clip(indices.ints.astype(np.int64), -x.ints.shape[axis], x.ints.shape[axis] - 1)
    return x.change(lambda a: np.take(a, at, axis))


def _reshaped(attributes: Attributes, inputs: Inputs) -> Exact:
    """The shape comes from the model's declared output, see :func:`evaluate`."""
    del attributes
    assert inputs[0] is not None
    return inputs[0]


def _transpose(attributes: Attributes, inputs: Inputs) -> Exact:
    (x,) = inputs
    assert x is not None
    return x.change(lambda a: a.transpose(attributes.get("perm", range(a.ndim)[::-1])))


def _grid_inputs(attributes: Attributes, inputs: Inputs) -> tuple[Exact, Exact, Array | int]:
    """Tensor, scale and zero point, the last two broadcastable to the first."""
    x, scale = inputs[0], inputs[1]
    assert x is not None and scale is not None
    zero = inputs[2].ints if len(inputs) > 2 and inputs[2] is not None else None
    axis = attributes.get("axis", 1)

    def spread(array: Array) -> Array:
        if array.size == 1:
            return array.reshape(())
        return array.reshape([-1 if i == axis % x.ints.ndim else 1 for i in range(x.ints.ndim)])

    return x, scale.change(spread), 0 if zero is None else spread(zero)


def _dequantize(attributes: Attributes, inputs: Inputs) -> Exact:
    x, scale, zero = _grid_inputs(attributes, inputs)
    return Exact(x.ints - zero, x.unit) * scale


def _concat(attributes: Attributes, inputs: Inputs) -> Exact:
    parts = [x for x in inputs if x is not None]
    unit = parts[0].unit
    for part in parts:
        unit = common(unit, part.unit)
    return Exact(np.concatenate([p.at(unit) for p in parts], attributes["axis"]), unit)


def _split(attributes: Attributes, inputs: Inputs) -> Exact:
    """The whole; see :func:`_parts`."""
    del attributes
    assert inputs[0] is not None
    return inputs[0]


def _parts(attributes: Attributes, inputs: Inputs, count: int) -> list[Exact]:
    """The outputs of a Split."""
    x, *sizes = inputs
    assert x is not None
    axis = attributes.get("axis", 0)
    most = -(-x.ints.shape[axis] // count)
    lengths = attributes.get("split", [most] * (count - 1))
    if sizes and sizes[0] is not None:
        lengths = [int(v) for v in sizes[0].ints]
    cuts = np.cumsum(lengths)[: count - 1]
    return [Exact(part, x.unit) for part in np.split(x.ints, cuts, axis)]


def _top_k(attributes: Attributes, inputs: Inputs) -> Exact:
    """The whole; see :func:`_order`."""
    del attributes
    assert inputs[0] is not None
    return inputs[0]


def _order(attributes: Attributes, inputs: Inputs) -> Exact:
    """Places of the best: of equal ones, those that come first."""
    x, k = inputs
    assert x is not None and k is not None
    sign = -1 if attributes.get("largest", 1) else 1
    order = np.argsort(x.ints * sign, attributes.get("axis", -1), kind="stable")
    return Exact.of(order.take(range(int(k.ints[0])), attributes.get("axis", -1)))


def _best(sign: int) -> Callable[[Attributes, Inputs], Exact]:
    """The place of the largest number times a sign."""

    def rule(attributes: Attributes, inputs: Inputs) -> Exact:
        (x,) = inputs
        assert x is not None
        axis = attributes.get("axis", 0)
        last = attributes.get("select_last_index", 0)
        a = np.flip(x.ints, axis) if last else x.ints
        found = np.argmax(a * sign, axis=axis, keepdims=bool(attributes.get("keepdims", 1)))
        return Exact.of(x.ints.shape[axis] - 1 - found if last else found)

    return rule


def _slice(attributes: Attributes, inputs: Inputs) -> Exact:
    x = inputs[0]
    assert x is not None
    bounds = [[int(v) for v in i.ints] for i in inputs[1:] if i is not None]
    bounds = bounds or [attributes["starts"], attributes["ends"], attributes["axes"]]
    steps = bounds[3] if len(bounds) > 3 else [1] * len(bounds[0])
    at = [slice(None)] * x.ints.ndim
    for start, end, axis, step in zip(*bounds[:3], steps, strict=True):
        at[axis] = slice(start, end, step)
    return x.change(lambda a: a[tuple(at)])


def _depth_to_space(attributes: Attributes, inputs: Inputs) -> Exact:
    (x,) = inputs
    assert x is not None
    size = attributes["blocksize"]
    columns = attributes.get("mode", b"DCR") == b"CRD"
    n, c, h, w = x.ints.shape
    out = np.empty((n, c // size**2, h * size, w * size), object)
    for at in np.ndindex(*out.shape):
        _, k, y, z = at
        block = (y % size) * size + z % size
        depth = k * size**2 + block if columns else block * (c // size**2) + k
        out[at] = x.ints[at[0], depth, y // size, z // size]
    return Exact(out, x.unit)


def _space_to_depth(attributes: Attributes, inputs: Inputs) -> Exact:
    (x,) = inputs
    assert x is not None
    size = attributes["blocksize"]
    rows = [x.ints[:, :, i::size, j::size] for i in range(size) for j in range(size)]
    if attributes.get("mode", b"DCR") == b"DCR":
        return Exact(np.concatenate(rows, 1), x.unit)
    stacked = np.stack(rows, 2)  # (N, C, blocks, H, W): those of a channel follow each other
    return Exact(stacked.reshape(len(stacked), -1, *stacked.shape[3:]), x.unit)


def _expand(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    x, shape = inputs
    assert x is not None and shape is not None
    ones = np.ones([int(v) for v in shape.ints], object)
    return x.change(lambda a: a * ones)


def _tile(attributes: Attributes, inputs: Inputs) -> Exact:
    del attributes
    x, repeats = inputs
    assert x is not None and repeats is not None
    return x.change(lambda a: np.tile(a, [int(n) for n in repeats.ints]))


def _resize(attributes: Attributes, inputs: Inputs) -> Exact:
    """By scales, axis by axis."""
    x, scales = inputs[0], inputs[-1]
    assert x is not None and scales is not None
    mode = attributes.get("mode", b"nearest").decode()
    place = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if attributes["opset"] < 11:
        place = "asymmetric"
    for axis, k in enumerate(scales.ints.ravel()):
        size = x.ints.shape[axis]
        # A third, say, is no float32.
        factor = (int(k) * scales.unit).limit_denominator(1000)
        if factor == 1:
            continue
        places = [_place(place, i, size, factor) for i in range(int(size * factor))]
        if mode == "nearest":
            floors = "nearest_mode" in attributes or attributes["opset"] < 11
            half = Fraction(0) if floors else Fraction(1, 2)
            near = [math.floor(at) if floors else math.ceil(at - half) for at in places]
            x = Exact(x.ints.take(np.clip(near, 0, size - 1), axis), x.unit)
        else:
            x = _interpolated(x, axis, places, _linear if mode == "linear" else _cubic)
    return x


def _place(mode: str, k: int, size: int, factor: Fraction) -> Fraction:
    """Where the elements of a resized axis lie in the old one."""
    if mode == "align_corners":
        return k * Fraction(size - 1, int(size * factor) - 1)
    half = Fraction(int(mode != "asymmetric"), 2)
    return (k + half) / factor - half


def _linear(distance: Fraction) -> Fraction:
    return max(1 - abs(distance), Fraction(0))


def _cubic(distance: Fraction) -> Fraction:
    x, a = abs(distance), Fraction(-3, 4)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else Fraction(0)


def _interpolated(
    x: Exact, axis: int, places: Sequence[Fraction], weight: Callable[[Fraction], Fraction]
) -> Exact:
    """Each new element weighs old ones by their distance; the outermost go on beyond the ends."""
    size = x.ints.shape[axis]
    parts = []
    for place in places:
        reach = range(math.floor(place) - 1, math.floor(place) + 3)
        taps = [
            Exact(x.ints.take([min(max(i, 0), size - 1)], axis), x.unit).times(weight(place - i))
            for i in reach
            if weight(place - i)
        ]
        parts.append(sum(taps[1:], start=taps[0]))
    unit = parts[0].unit
    for part in parts:
        unit = common(unit, part.unit)
    return Exact(np.concatenate([part.at(unit) for part in parts], axis), unit)


def _exponential(x: Fraction) -> Fraction:
    """Near enough that no rounding to an integer of 31 bits turns on the rest."""
    with decimal.localcontext() as context:
        context.prec = 60
        return Fraction((decimal.Decimal(x.numerator) / decimal.Decimal(x.denominator)).exp())


def _softmax(attributes: Attributes, inputs: Inputs) -> Exact:
    """Rule N9 of the number contract, by its text; ``bits`` is P."""
    (x,) = inputs
    assert x is not None
    joined, bits = attributes["opset"] < 13, attributes["bits"]
    axis = attributes.get("axis", 1 if joined else -1) % x.ints.ndim
    moved = np.moveaxis(x.ints, [] if joined else axis, [] if joined else -1)
    groups = moved.reshape(-1, math.prod(x.ints.shape[axis:]) if joined else x.ints.shape[axis])
    f = bits + 1 + groups.shape[1].bit_length()
    found = np.empty(groups.shape, object)
    for at, group in enumerate(groups):
        e = [round(2**f * _exponential((int(q) - max(group)) * x.unit)) for q in group]
        found[at] = [round(Fraction(2**bits * v, sum(e))) for v in e]
    result = np.moveaxis(found.reshape(moved.shape), [] if joined else -1, [] if joined else axis)
    return Exact(result, Fraction(1, 2**bits))


def _log_softmax(attributes: Attributes, inputs: Inputs) -> Exact:
    """The logarithm of the rule's shares; none of 0 is on any grid."""
    shares = _softmax(attributes, inputs)
    found = np.empty(shares.ints.shape, object)
    with decimal.localcontext() as context:
        context.prec = 60
        for at in np.ndindex(found.shape):
            share = decimal.Decimal(int(shares.ints[at])) / 2 ** attributes["bits"]
            found[at] = round(Fraction(share.ln()) * 2**120) if share else -(2**180)
    return Exact(found, Fraction(1, 2**120))


def _deviation(attributes: Attributes, x: Exact, count: int, centred: bool) -> Exact:
    """Rules N10 and N11 of the number contract, by their text; ``bits`` is P, ``root`` is H.

    ``count`` elements that follow each other are a group.
    """
    p, h, n = attributes["bits"], attributes["root"], count
    epsilon = Fraction(float(np.float32(attributes.get("epsilon", 1e-5))))
    added = max(1, round(4**h * n**2 * epsilon / x.unit**2))
    groups = x.ints.reshape(-1, n)
    found = np.empty(groups.shape, object)
    for at, group in enumerate(groups):
        total = sum(group) if centred else 0
        w = n * sum(q * q for q in group) - total**2
        r = math.isqrt(int(4**h * w + added))
        found[at] = [round(Fraction(int(2 ** (p + h) * (n * q - total)), r)) for q in group]
    return Exact(found.reshape(x.ints.shape), Fraction(1, 2**p))


def _scaled(x: Exact, parameters: Inputs) -> Exact:
    """Times the first parameter and plus the second, where they are given."""
    for parameter, join in zip(parameters, (Exact.__mul__, Exact.__add__), strict=False):
        if parameter is not None:
            x = join(x, parameter)
    return x


def _normalised(attributes: Attributes, inputs: Inputs) -> Exact:
    """Rule N15 of the number contract, by its text."""
    (x,) = inputs
    assert x is not None
    p, h = attributes["bits"], attributes["root"]
    power = 0 if "norm" in attributes else attributes.get("p", 2)
    moved = np.moveaxis(x.ints, attributes.get("axis", -1), -1)
    groups = moved.reshape(-1, moved.shape[-1])
    found = np.empty(groups.shape, object)
    for at, group in enumerate(groups):
        norm = math.isqrt(int(4**h * sum(q * q for q in group) + 1))
        if power < 2:
            norm = sum(abs(q) for q in group) if power else max(group)
            norm = norm or 1
        found[at] = [round(Fraction(int(2 ** (p + h) * q), int(norm))) for q in group]
    back = np.moveaxis(found.reshape(moved.shape), -1, attributes.get("axis", -1))
    return Exact(back, Fraction(1, 2**p))


def _over_last(attributes: Attributes, inputs: Inputs, centred: bool) -> Exact:
    x, *parameters = inputs
    assert x is not None
    axis = attributes.get("axis", -1) % x.ints.ndim
    count = math.prod(x.ints.shape[axis:])
    return _scaled(_deviation(attributes, x, count, centred), parameters)


def _layer_normalization(attributes: Attributes, inputs: Inputs) -> Exact:
    return _over_last(attributes, inputs, True)


def _rms_normalization(attributes: Attributes, inputs: Inputs) -> Exact:
    return _over_last(attributes, inputs, False)


def _group_normalization(attributes: Attributes, inputs: Inputs) -> Exact:
    """As many groups as ``num_groups`` says; else one a channel."""
    x, *parameters = inputs
    assert x is not None
    channels = x.ints.shape[1]
    count = math.prod(x.ints.shape[1:]) // attributes.get("num_groups", channels)

    def along(parameter: Array) -> Array:
        return parameter.reshape(channels, *[1] * (x.ints.ndim - 2))

    own = [None if each is None else each.change(along) for each in parameters]
    return _scaled(_deviation(attributes, x, count, True), own)


@dataclass(frozen=True)
class Cell:
    """A direction of a recurrent layer as the compiler chose it (rule N12).

    Attributes
    ----------
    one : ``2**A``
    steps : ``2**F``
    reach : half the entries of a table
    gates : for each, weights over x and over h, a bias for both, and what a sum of 1 stands for
    curves : activations f, g, h
    linear : whether a GRU's reset stands behind the product
    """

    one: int
    steps: int
    reach: int
    gates: list[tuple[Array, Array, Array, Fraction]]
    curves: list[Callable[[Fraction], Fraction]]
    linear: bool

    def sums(self, x: Array, h: Array) -> list[tuple[Array, Array]]:
        """Of each gate, over x and over h, as places in a table."""
        return [
            ((w @ x + bias[0]) * unit * self.steps, (r @ h + bias[1]) * unit * self.steps)
            for w, r, bias, unit in self.gates
        ]

    def entries(self, letter: int, places: Array) -> Array:
        """What an activation makes of places."""
        found = np.empty(places.size, object)
        for k, place in enumerate(places):
            whole = min(max(round(place), -self.reach), self.reach - 1)
            found[k] = round(self.one * self.curves[letter](Fraction(whole, self.steps)))
        return found

    def shared(self, products: Array) -> Array:
        """Products of two numbers of ``A`` bits, rounded to as many."""
        return _rounded(products, Fraction(1, self.one))


def _recurrent(attributes: Attributes, inputs: Inputs, step: Step) -> list[Exact]:
    """Rules N12 to N14, N18 of the number contract, by their text: all states, the last ones, and
    the last ones of the cell, of every sequence of a batch.
    """
    x = inputs[0]
    assert x is not None
    each = [_sequence(attributes, inputs, step, k) for k in range(x.ints.shape[1])]
    return [
        Exact(np.concatenate([part.ints for part in parts], axis=-2), parts[0].unit)
        for parts in zip(*each, strict=True)
    ]


def _sequence(attributes: Attributes, inputs: Inputs, step: Step, number: int) -> list[Exact]:
    """Of one sequence. ``layers`` has, for each direction, what the compiler chose: A, F, S, and
    where products lie.
    """
    given = [*inputs, *[None] * 7][:7]
    x, w, r, bias = given[:4]
    assert x is not None and w is not None and r is not None
    steps, directions, units = x.ints.shape[0], w.ints.shape[0], r.ints.shape[2]
    found = np.empty((steps, directions, 1, units), object)
    last, cells = (np.empty((directions, 1, units), object) for _ in range(2))
    count = len(attributes["activations"]) // directions
    curves = _curves(attributes, count)
    one = 1
    for at, chosen in enumerate(attributes["layers"]):
        grid = chosen["grid"]
        one, reach = 2 ** grid["bits"], 2 ** (grid["span"] + grid["steps"])
        h, c = (
            _rounded(first.ints[at, number], first.unit * one)
            if first is not None
            else np.zeros(units, object)
            for first in given[5:]
        )
        gates = []
        for gate, lane in enumerate(chosen["lanes"]):
            rows = slice(gate * units, (gate + 1) * units)
            unit, left = Fraction(1, 2 ** lane["fraction"]), (lane["x_left"], lane["h_left"])
            own_w = _rounded(w.ints[at, rows], w.unit * x.unit / (unit * 2 ** left[0]))
            own_r = _rounded(r.ints[at, rows], r.unit / (one * unit * 2 ** left[1]))
            added = np.zeros((2, units), object)
            if bias is not None:
                both = bias.ints[at].reshape(2, -1)[:, rows]
                added = _rounded(both.ravel(), bias.unit / unit).reshape(2, units)
            gates.append((own_w * 2 ** left[0], own_r * 2 ** left[1], added, unit))
        linear = bool(attributes.get("linear_before_reset", 0))
        own = curves[at * count : (at + 1) * count]
        cell = Cell(one, 2 ** grid["steps"], reach, gates, own, linear)
        backwards = at == 1 or attributes.get("direction") == b"reverse"
        for t in reversed(range(steps)) if backwards else range(steps):
            h, c = step(cell, x.ints[t, number], h, c)
            found[t, at, 0] = last[at, 0] = h
        cells[at, 0] = c
    return [Exact(array, Fraction(1, one)) for array in (found, last, cells)]


def _rounded(ints: Array, unit: Fraction) -> Array:
    """Multiples of a unit, rounded half to even."""
    found = np.empty(ints.size, object)
    found[:] = [round(int(v) * unit) for v in ints.ravel()]
    return found.reshape(ints.shape)


def _logistic(x: Fraction) -> Fraction:
    return 1 / (1 + _exponential(-x))


def _tangent(x: Fraction) -> Fraction:
    return 2 * _logistic(2 * x) - 1


def _hard(alpha: Fraction, beta: Fraction, x: Fraction) -> Fraction:
    return min(max(alpha * x + beta, Fraction(0)), Fraction(1))


def _clipped(clip: Fraction, curve: Callable[[Fraction], Fraction], x: Fraction) -> Fraction:
    return curve(min(max(x, -clip), clip))


def _curves(attributes: Attributes, count: int) -> list[Callable[[Fraction], Fraction]]:
    """Activations of all directions, so many each."""
    alphas, betas = (iter(attributes.get(f"activation_{word}", ())) for word in ("alpha", "beta"))
    clip = Fraction(attributes.get("clip", 0))
    known = {b"Sigmoid": _logistic, b"Tanh": _tangent, b"Relu": lambda x: max(x, Fraction(0))}
    found: list[Callable[[Fraction], Fraction]] = []
    for k, name in enumerate(attributes["activations"]):
        if name == b"HardSigmoid":
            alpha, beta = next(alphas, float(np.float32(0.2))), next(betas, 0.5)
            known[name] = partial(_hard, Fraction(alpha), Fraction(beta))
        curve = known[name]
        # The activation of an LSTM's cell reads what is not clipped.
        found.append(partial(_clipped, clip, curve) if clip and k % count != 2 else curve)
    return found


def _lstm_step(cell: Cell, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, o, f, g = (
        cell.entries(letter, p + q)
        for letter, (p, q) in zip((0, 0, 0, 1), cell.sums(x, h), strict=True)
    )
    c = cell.shared(f * c + i * g)
    return cell.shared(o * cell.entries(2, c * Fraction(cell.steps, cell.one))), c


def _gru_step(cell: Cell, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    sums = cell.sums(x, h)
    z, r = (cell.entries(0, p + q) for p, q in sums[:2])
    if cell.linear:
        p, q = sums[2]
        q = q * r * Fraction(1, cell.one)
    else:
        p, q = cell.sums(x, cell.shared(r * h))[2]
    return cell.shared((cell.one - z) * cell.entries(1, p + q) + z * h), c


def _rnn_step(cell: Cell, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    ((p, q),) = cell.sums(x, h)
    return cell.entries(0, p + q), c


Step = Callable[[Cell, Array, Array, Array], tuple[Array, Array]]
"""Both states behind a step, of an element of the sequence and the states before."""

_STEPS: dict[str, tuple[Step, tuple[bytes, ...]]] = {
    "GRU": (_gru_step, (b"Sigmoid", b"Tanh")),
    "LSTM": (_lstm_step, (b"Sigmoid", b"Tanh", b"Tanh")),
    "RNN": (_rnn_step, (b"Tanh",)),
}
"""Recurrent operators, and their activations by default."""


_DOMAINS = {"Acos": (-1.0, 1.0), "Acosh": (1.0, math.inf), "Asin": (-1.0, 1.0)}
"""Beyond their ends, where ONNX has no number, the value at the nearest."""


_RULES: dict[str, Callable[[Attributes, Inputs], Exact]] = {
    "Add": _add,
    "ArgMax": _best(1),
    "ArgMin": _best(-1),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _dequantize,
    "Div": _div,
    "Dropout": _reshaped,
    "Expand": _expand,
    "Flatten": _reshaped,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _global_max,
    "GroupNormalization": _group_normalization,
    "Identity": _reshaped,
    "InstanceNormalization": _group_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax,
    "LpNormalization": _normalised,
    "Normalizer": _normalised,
    "MatMul": _matmul,
    "Max": _extreme(np.maximum),
    "MaxPool": _max_pool,
    "Min": _extreme(np.minimum),
    "Mul": _mul,
    "PRelu": _prelu,
    "Pad": _pad,
    "RMSNormalization": _rms_normalization,
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce_mean,
    "ReduceMin": _reduce(np.min),
    "ReduceSum": _reduce(np.sum),
    "ReduceSumSquare": _reduce_sum_square,
    "Relu": _relu,
    "Reshape": _reshaped,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _reshaped,
    "Sub": _sub,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _reshaped,
    "Upsample": _resize,
    "Where": _where,
}


def _reference(model: onnx.ModelProto, node: onnx.NodeProto, inputs: Inputs, lean: int) -> Exact:
    """One node by ONNX's reference implementation."""
    feeds = {
        name: x.ints.astype(np.float64) * float(x.unit)
        for name, x in zip(node.input, inputs, strict=True)
        if x is not None
    }
    if node.op_type in _DOMAINS:
        feeds = {name: x.clip(*_DOMAINS[node.op_type]) for name, x in feeds.items()}
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, x.shape)
            for n, x in feeds.items()
        ],
        [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.DOUBLE, None)],
    )
    alone = helper.make_model(graph, opset_imports=model.opset_import)
    with np.errstate(divide="ignore"):
        (result,) = ReferenceEvaluator(alone).run(None, feeds)
    # What is not finite saturates, as a very large number does.
    finite = np.nan_to_num(np.asarray(result, np.float64), posinf=2.0**60, neginf=-(2.0**60))
    return Exact.of(finite + lean * ROOM * (1 + np.abs(finite)))


def evaluate(
    model: onnx.ModelProto,
    feeds: Mapping[str, Exact],
    constants: Mapping[str, Exact] | None = None,
    measured: Mapping[str, Exact] | None = None,
    lean: int = 0,
    chosen: Mapping[str, Any] | None = None,
) -> dict[str, Exact]:
    """Every tensor of a model, batch 1.

    ``constants`` replace initialisers by name. Where a tensor is ``measured``, what reads it gets
    that instead of the exact value, so that every operator can be judged by itself. ``lean`` is -1
    or 1 for the lower and the upper end of what is not known exactly. ``chosen`` has the
    ``bits`` (P) and ``root`` bits (H) that the compiler chose for normalisations, and
    ``layers`` for recurrent ones.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in [*inferred.value_info, *inferred.output]
    }
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    values: dict[str, Exact] = {name: Exact.of(a) for name, a in arrays.items()}
    values.update(constants or {})
    values.update(feeds)
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attributes |= {**(chosen or {}), "opset": model.opset_import[0].version}
        if node.op_type == "Constant":
            arrays[node.output[0]] = numpy_helper.to_array(attributes["value"])
            values[node.output[0]] = Exact.of(arrays[node.output[0]])
            continue
        inputs = [
            None if not name else (measured or {}).get(name, values[name]) for name in node.input
        ]
        if node.op_type == "QuantizeLinear":
            kind = arrays[node.input[2]].dtype if len(node.input) > 2 else np.dtype(np.uint8)
            x, scale, zero = _grid_inputs(attributes, inputs)
            info = np.iinfo(kind)
            ends = (int(info.min), int(info.max))
            if scale.ints.size == 1:
                q = x.rounded(scale.unit * int(scale.ints), int(zero), *ends)
            else:
                q = np.empty(x.ints.shape, object)
                steps = np.broadcast_to(scale.ints, q.shape)
                zeros = np.broadcast_to(zero, q.shape)
                for at in np.ndindex(q.shape):
                    ratio = int(x.ints[at]) * x.unit / (scale.unit * int(steps[at]))
                    q[at] = min(max(round(ratio) + int(zeros[at]), ends[0]), ends[1])
            values[node.output[0]] = Exact(q, Fraction(1))
            continue
        if node.op_type in _STEPS:
            step, curves = _STEPS[node.op_type]
            directions = 2 if attributes.get("direction") == b"bidirectional" else 1
            attributes.setdefault("activations", list(curves) * directions)
            made = _recurrent(attributes, inputs, step)
            values.update(zip(node.output, made, strict=False))
            continue
        if node.op_type not in _RULES:
            values[node.output[0]] = _reference(model, node, inputs, lean)
            continue
        result = _RULES[node.op_type](attributes, inputs)
        if _RULES[node.op_type] is _reshaped:
            shape = [d or 1 for d in shapes[node.output[0]]]
            result = result.change(lambda a, shape=shape: a.reshape(shape))  # type: ignore[misc]
        if node.op_type == "Split":
            parts = _parts(attributes, inputs, len(node.output))
            values.update(zip(node.output, parts, strict=True))
            continue
        if node.op_type == "TopK":
            places = values[node.output[1]] = _order(attributes, inputs)
            order, axis = places.ints.astype(np.int64), attributes.get("axis", -1)
            result = Exact(np.take_along_axis(result.ints, order, axis), result.unit)
        values[node.output[0]] = result
    return values


def weight_grid(weights: Array, bits: int, axis: int = 0) -> Exact:
    """Weights on a symmetric grid for each output channel, rounded by rule N3.

    How far apart a grid's points are is the compiler's choice, and taken from it.
    """
    moved = np.moveaxis(weights, axis, 0)
    scales = per_channel_grid(moved, bits).scale
    assert scales is not None
    top = 2 ** (bits - 1) - 1
    total: list[Exact] = []
    for channel, scale in zip(moved, scales.ravel(), strict=True):
        step = Fraction(float(scale))
        total.append(Exact(Exact.of(channel).rounded(step, 0, -top - 1, top), step))
    unit = total[0].unit
    for part in total:
        unit = common(unit, part.unit)
    return Exact(np.moveaxis(np.stack([part.at(unit) for part in total]), 0, axis), unit)


@dataclass(frozen=True)
class Arithmetic:
    """What tests use of this file."""

    exact = Exact
    evaluate = staticmethod(evaluate)
    weight_grid = staticmethod(weight_grid)
    rules = tuple(sorted((*_RULES, *_STEPS, "QuantizeLinear")))


@pytest.fixture(scope="session")
def arithmetic() -> Arithmetic:
    return Arithmetic()
