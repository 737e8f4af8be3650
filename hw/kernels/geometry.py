# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over channels-last images: where they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..finish.base import OnnxWriter

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


def _check_images(x: npt.NDArray[Any], geometry: Geometry) -> None:
    if x.ndim != 4 or x.shape[1:3] != (geometry.height, geometry.width):
        raise ValueError(
            f"x must have shape (N, {geometry.height}, {geometry.width}, C), not {x.shape}"
        )


def padded_image(
    writer: OnnxWriter,
    stream: str,
    geometry: Geometry,
    channels: int,
    pad_value: int,
    dtype: Any = np.float32,
) -> str:
    """ONNX nodes: a flat stream of one image, channels last, as a padded NCHW image."""
    shaped = writer.reshape(stream, [1, geometry.height, geometry.width, channels])
    image = writer.op("Transpose", shaped, perm=[0, 3, 1, 2])
    top, left, bottom, right = geometry.pads
    if not any(geometry.pads):
        return image
    pads = writer.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return writer.op("Pad", image, pads, writer.constant(pad_value, dtype))


def pixels_of(writer: OnnxWriter, image: str, channels: int) -> str:
    """ONNX nodes: an NCHW image as pixels in stream order, (pixels, channels)."""
    return writer.reshape(writer.op("Transpose", image, perm=[0, 2, 3, 1]), [-1, channels])
