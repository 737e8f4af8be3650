# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact convolution of integers, in numpy and in ONNX operators.

Tensors are integer arrays of shape ``(N, *size, C)``; results are int64. Arithmetic is exact: sums
go through BLAS in float32 or float64 only where every partial sum is an integer that the type
holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..finish.base import MAX_EXACT_DOUBLE, OnnxWriter
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from .geometry import Geometry, padded_image, windows

EXACT_FLOAT_BITS = 24
"""Integers of so many bits are exact in float32."""

_EXACT_FLOAT = 1 << EXACT_FLOAT_BITS


def convolve(
    x: npt.NDArray[Any],
    weights: npt.NDArray[Any],
    geometry: Geometry,
    *,
    pad_value: int = 0,
    groups: int = 1,
) -> IntArray:
    """Accumulators of a convolution: ``sum(x * weights)`` over taps and channels, exact.

    Parameters
    ----------
    x : integers (N, *size, C)
    weights : integers (O, *kernel, C / groups)
    geometry : the window
    pad_value : what taps outside of the image read (the zero point of raw ``x``)
    groups : as in ONNX Conv

    Returns
    -------
    int64 array (N, *out_size, O)
    """
    outputs = len(weights)
    total = np.empty((len(x), *geometry.out_size, outputs), np.int64)
    rows, done = total.reshape(-1, outputs), 0
    for part in convolve_parts(x, weights, geometry, pad_value=pad_value, groups=groups):
        rows[done : done + len(part)] = part
        done += len(part)
    return total


def convolve_parts(
    x: npt.NDArray[Any],
    weights: npt.NDArray[Any],
    geometry: Geometry,
    *,
    pad_value: int = 0,
    groups: int = 1,
) -> Iterator[IntArray]:
    """:func:`convolve` a part of the pixels at a time, in their order: int64 (pixels, O) each."""
    outputs, *kernel, depth = weights.shape
    if tuple(kernel) != geometry.kernel:
        raise ValueError(f"weights have a kernel {kernel}, the geometry has {geometry.kernel}")
    if x.shape[-1] != depth * groups or outputs % groups:
        raise ValueError(
            f"weights {weights.shape} in {groups} groups need {depth * groups} input channels and "
            f"a multiple of {groups} outputs; x has {x.shape[-1]} channels"
        )
    # No sum of some of an output's products, in any order, is larger.
    sums = np.abs(weights.astype(np.int64)).reshape(outputs, -1).sum(axis=1)
    dtype = _exact_type(max(_peak(x), abs(pad_value)) * _peak(sums))
    read = windows(x, geometry, pad_value, dtype)
    w = weights.astype(dtype).reshape(groups, outputs // groups, geometry.taps * depth)
    sums_of = _sums_by_channel if depth == 1 < groups else _sums
    for part in _parts((len(x), *geometry.out_size), geometry.taps * depth * groups):
        yield sums_of(read[part], w).reshape(-1, outputs).astype(np.int64)


_PART = 1 << 18
"""Integers that windows read, of which sums are made at a time: what a processor's cache holds."""


def _parts(shape: Sequence[int], each: int) -> Iterator[tuple[slice, ...]]:
    """Parts of an array, of about :data:`_PART` integers if every element is ``each`` of them."""
    if not shape:
        yield ()
        return
    inner = each * math.prod(shape[1:])
    step = max(1, _PART // inner)
    for begin in range(0, shape[0], step):
        here = slice(begin, begin + step)
        if inner <= _PART:
            yield (here,)
        else:
            yield from ((here, *rest) for rest in _parts(shape[1:], each))


def _sums(read: npt.NDArray[Any], w: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums of windows (..., *kernel, C), as products of matrices (groups, outputs, inputs)."""
    groups, outputs, inputs = w.shape
    depth = read.shape[-1] // groups
    split = np.moveaxis(read.reshape(*read.shape[:-1], groups, depth), -2, 0)
    found = np.ascontiguousarray(split).reshape(groups, -1, inputs) @ w.transpose(0, 2, 1)
    return found.transpose(1, 0, 2).reshape(-1, groups * outputs)


def _sums_by_channel(read: npt.NDArray[Any], w: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same where each channel is a group: a matrix of one row is slower than sums of rows."""
    kernel = read.shape[read.ndim // 2 : -1]
    places = enumerate(np.ndindex(*kernel))
    parts = (read[..., *place, :, None] * w[:, :, tap] for tap, place in places)
    total = next(parts)
    for part in parts:
        total += part
    return total


def _peak(array: npt.NDArray[Any]) -> int:
    return max(abs(int(array.min())), abs(int(array.max()))) if array.size else 0


def _exact_type(peak: int) -> npt.DTypeLike:
    """Fastest type in which sums of integers up to ``peak`` in magnitude are exact."""
    if peak <= _EXACT_FLOAT:
        return np.float32
    if peak <= MAX_EXACT_DOUBLE:
        return np.float64
    if peak < 1 << 63:
        return np.int64
    raise ValueError(f"accumulators of up to {peak} do not fit in 63 bits; use fewer bits")


def exact_convolution(
    writer: OnnxWriter,
    stream: str,
    geometry: Geometry,
    channels: int,
    x: IntType,
    pad_value: int,
    weight: AnyArray,
    group: int,
) -> str:
    """ONNX nodes: accumulators in double, channels first, of a flat stream of integers.

    Parameters
    ----------
    stream : float32, or double where ``x`` has more than 24 bits
    weight : integers (O, I / group, *kernel)
    """
    if x.bits <= EXACT_FLOAT_BITS:
        image = padded_image(writer, stream, geometry, channels, pad_value)
        return _convolve(writer, image, weight, geometry, group, max(-x.lo, x.hi))
    # Two digits that float32 holds, joined in double.
    unit = writer.constant(1 << 16, np.float64)
    high = writer.op("Floor", writer.op("Div", stream, unit))
    low = writer.op("Sub", stream, writer.op("Mul", high, unit))
    parts = []
    for digit, pad, peak in (
        (high, pad_value >> 16, max(-x.lo, x.hi) // (1 << 16) + 1),
        (low, pad_value & 0xFFFF, 0xFFFF),
    ):
        single = writer.cast(digit, np.float32)
        image = padded_image(writer, single, geometry, channels, pad)
        parts.append(_convolve(writer, image, weight, geometry, group, peak))
    return writer.op("Add", writer.op("Mul", parts[0], unit), parts[1])


def _convolve(
    writer: OnnxWriter, image: str, weight: AnyArray, geometry: Geometry, group: int, peak: int
) -> str:
    """An exact convolution, in double, of a padded image of integers of at most ``peak``.

    Convolutions run in float32 on integers whose partial sums stay below 2**24, so no order of
    summation, fused multiply-add or vector width can change them; one with larger sums is split
    into digits, taps and groups of channels that do stay below, and joined in double.

    Parameters
    ----------
    weight : integers (O, I / group, *kernel), of all taps of the window or some of them
    """
    largest = int(np.abs(weight).max(initial=0))
    if int(_of_taps(weight).max()) * peak >= _EXACT_FLOAT:
        # Not even one channel's sum is exact.
        split = _by_digits if max(peak, largest) > _LEAST_DIGITS else _by_taps
        return split(writer, image, weight, geometry, group, peak)
    total = ""
    for begin, end in _channel_groups(weight, peak):
        part = image
        if end - begin < weight.shape[1]:
            bounds = [writer.constant([v], np.int64) for v in (begin, end, 1)]
            part = writer.op("Slice", image, *bounds)
        conv = writer.op(
            "Conv",
            part,
            writer.constant(weight[:, begin:end], np.float32),
            strides=list(geometry.stride),
            dilations=list(geometry.dilation),
            kernel_shape=list(weight.shape[2:]),
            group=group,
        )
        wide = writer.cast(conv, np.float64)
        total = writer.op("Add", total, wide) if total else wide
    return total


_LEAST_DIGITS = 3
"""Integers of larger magnitude have halves that are smaller."""


def _by_digits(
    writer: OnnxWriter, image: str, weight: AnyArray, geometry: Geometry, group: int, peak: int
) -> str:
    """:func:`_convolve` of both halves of the bits of the wider factor."""
    largest = int(np.abs(weight).max())
    bits = (max(peak, largest).bit_length() + 1) // 2
    if peak >= largest:
        scale = writer.constant(1 << bits, np.float32)
        high = writer.op("Floor", writer.op("Div", image, scale))
        low = writer.op("Sub", image, writer.op("Mul", high, scale))
        upper = _convolve(writer, high, weight, geometry, group, (peak >> bits) + 1)
        lower = _convolve(writer, low, weight, geometry, group, (1 << bits) - 1)
    else:
        mask = (1 << bits) - 1
        upper = _convolve(writer, image, weight >> bits, geometry, group, peak)
        lower = _convolve(writer, image, weight & mask, geometry, group, peak)
    shifted = writer.op("Mul", upper, writer.constant(1 << bits, np.float64))
    return writer.op("Add", shifted, lower)


def _by_taps(
    writer: OnnxWriter, image: str, weight: AnyArray, geometry: Geometry, group: int, peak: int
) -> str:
    """:func:`_convolve` of both halves of the window, each of the pixels that it reads."""
    axis = int(np.argmax(weight.shape[2:]))
    pixels = geometry.out_size[axis]
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    parts: list[str] = []
    first = 0
    for part in np.array_split(weight, 2, axis=2 + axis):
        taps_of_part = part.shape[2 + axis]
        behind = first + (pixels - 1) * stride + (taps_of_part - 1) * dilation + 1
        bounds = [writer.constant([v], np.int64) for v in (first, behind, 2 + axis)]
        read = writer.op("Slice", image, *bounds)
        parts.append(_convolve(writer, read, part, geometry, group, peak))
        first += taps_of_part * dilation
    return writer.op("Add", *parts)


def _of_taps(weight: AnyArray) -> AnyArray:
    """Sums of the magnitudes of a kernel's taps: (O, I / group)."""
    return np.abs(weight).reshape(*weight.shape[:2], -1).sum(axis=2)


def _channel_groups(weight: AnyArray, peak: int) -> list[tuple[int, int]]:
    """Runs of input channels whose sums stay exact in float32 for every output channel."""
    reach = _of_taps(weight).max(axis=0) * peak
    groups: list[tuple[int, int]] = []
    begin, total = 0, 0
    for index, size in enumerate(int(r) for r in reach):
        if size >= _EXACT_FLOAT:
            raise AssertionError(f"one channel sums to {size}, which float32 cannot hold")
        if total + size >= _EXACT_FLOAT:
            groups.append((begin, index))
            begin, total = index, 0
        total += size
    return [*groups, (begin, len(reach))]
