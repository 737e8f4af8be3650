# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact numpy reference of the streaming components.

Tensors are integer arrays of shape ``(N, H, W, C)``; results are int64. A dense layer is a
convolution with ``H = W = 1``, a 1-D convolution one with ``H = 1`` or ``W = 1``. Arithmetic is
exact: sums go through BLAS in float32 or float64 only where every partial sum is an integer that
the type holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..numeric import IntArray, Requantiser

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Where a sliding window reads.

    Attributes
    ----------
    height, width : int
        Pixels of an image.
    kernel, stride, dilation : (rows, columns)
    pads : (top, left, bottom, right)

    Output pixel ``(oy, ox)`` reads the pixels ``(oy * stride + ky * dilation - top, ...)``; the
    output size is that of ONNX with ``ceil_mode=0``.
    """

    height: int
    width: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        for name in ("kernel", "stride", "dilation"):
            if len(getattr(self, name)) != 2 or min(getattr(self, name)) < 1:
                raise ValueError(
                    f"{name} must be two numbers of at least 1 (rows, columns), "
                    f"not {getattr(self, name)!r}"
                )
        if min(self.pads) < 0:
            raise ValueError(
                "pads must be four numbers of at least 0 (top, left, bottom, right), "
                f"not {self.pads!r}"
            )
        if self.out_height < 1 or self.out_width < 1:
            raise ValueError(
                f"kernel {self.kernel} with dilation {self.dilation} does not fit in an image of "
                f"{self.height} x {self.width} with pads {self.pads}; pad more or shrink the kernel"
            )

    @property
    def reach(self) -> Pair:
        """Distance from the first to the last tap, in rows and columns."""
        return (
            (self.kernel[0] - 1) * self.dilation[0],
            (self.kernel[1] - 1) * self.dilation[1],
        )

    @property
    def out_height(self) -> int:
        """Rows of the result."""
        top, _, bottom, _ = self.pads
        return (self.height + top + bottom - self.reach[0] - 1) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        """Columns of the result."""
        _, left, _, right = self.pads
        return (self.width + left + right - self.reach[1] - 1) // self.stride[1] + 1

    @property
    def taps(self) -> int:
        """Pixels under the window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def padded(self) -> bool:
        """Whether any tap of any output pixel lies outside of the image."""
        top, left, _, _ = self.pads
        return bool(
            top
            or left
            or (self.out_height - 1) * self.stride[0] + self.reach[0] >= self.height
            or (self.out_width - 1) * self.stride[1] + self.reach[1] >= self.width
        )


def taps(x: npt.NDArray[Any], geometry: Geometry, pad_value: int) -> Iterator[npt.NDArray[Any]]:
    """For each tap (ky, kx), the pixels that it reads: views of shape (N, OH, OW, C)."""
    _check_images(x, geometry)
    top, left, bottom, right = geometry.pads
    padded = np.pad(
        x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=x.dtype.type(pad_value)
    )
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    for ky in range(geometry.kernel[0]):
        rows = slice(ky * dh, ky * dh + (geometry.out_height - 1) * sh + 1, sh)
        for kx in range(geometry.kernel[1]):
            columns = slice(kx * dw, kx * dw + (geometry.out_width - 1) * sw + 1, sw)
            yield padded[:, rows, columns, :]


def conv2d(
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
    x : integers (N, H, W, C)
    weights : integers (O, kh, kw, C / groups)
    geometry : the window
    pad_value : what taps outside of the image read (the zero point of raw ``x``)
    groups : as in ONNX Conv

    Returns
    -------
    int64 array (N, OH, OW, O)
    """
    outputs, kh, kw, depth = weights.shape
    if (kh, kw) != geometry.kernel:
        raise ValueError(f"weights have a {kh} x {kw} kernel, the geometry has {geometry.kernel}")
    if x.shape[-1] != depth * groups or outputs % groups:
        raise ValueError(
            f"weights {weights.shape} in {groups} groups need {depth * groups} input channels and "
            f"a multiple of {groups} outputs; x has {x.shape[-1]} channels"
        )
    peak = max(_peak(x), abs(pad_value)) * _peak(weights) * kh * kw * depth
    dtype = _exact_type(peak)
    w = weights.astype(dtype).reshape(groups, outputs // groups, kh * kw, depth)
    total: npt.NDArray[Any] | None = None
    for tap, pixels in enumerate(taps(x.astype(dtype), geometry, pad_value)):
        if groups == 1:
            part = pixels @ w[0, :, tap, :].T
        else:
            split = pixels.reshape(*pixels.shape[:-1], groups, depth)
            if depth == 1:
                part = split * w[:, :, tap, 0]
            else:
                part = np.einsum("nhwgi,goi->nhwgo", split, w[:, :, tap, :])
            part = part.reshape(*pixels.shape[:-1], outputs)
        total = part if total is None else total + part
    assert total is not None
    return total.astype(np.int64)


def pool(
    x: npt.NDArray[Any],
    geometry: Geometry,
    mode: Literal["max", "sum"],
    *,
    pad_value: int = 0,
) -> IntArray:
    """Largest value or sum under the window, for each channel: int64 (N, OH, OW, C).

    Taps outside of the image read ``pad_value``, which takes part like any other value.
    """
    if mode not in ("max", "sum"):
        raise ValueError(f"mode must be 'max' or 'sum', not {mode!r}")
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


def requantise(requantiser: Requantiser, *accs: npt.NDArray[Any]) -> IntArray:
    """Rule N5 on accumulators whose last axis is the channel axis."""
    return requantiser.apply(*(acc.astype(np.int64) for acc in accs))


def add(requantiser: Requantiser, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> IntArray:
    """Sum of two quantised tensors: rule N5 with two terms."""
    if a.shape != b.shape:
        raise ValueError(f"both tensors must have one shape, not {a.shape} and {b.shape}")
    return requantise(requantiser, a, b)


def _check_images(x: npt.NDArray[Any], geometry: Geometry) -> None:
    if x.ndim != 4 or x.shape[1:3] != (geometry.height, geometry.width):
        raise ValueError(
            f"x must have shape (N, {geometry.height}, {geometry.width}, C), not {x.shape}"
        )


def _peak(array: npt.NDArray[Any]) -> int:
    return max(abs(int(array.min())), abs(int(array.max()))) if array.size else 0


def _exact_type(peak: int) -> npt.DTypeLike:
    """Fastest type in which sums of integers up to ``peak`` in magnitude are exact."""
    if peak <= 1 << 24:
        return np.float32
    if peak <= 1 << 53:
        return np.float64
    if peak < 1 << 63:
        return np.int64
    raise ValueError(f"accumulators of up to {peak} do not fit in 63 bits; use fewer bits")
