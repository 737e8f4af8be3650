# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over channels-last images of any number of axes: where they read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ..finish.base import OnnxWriter
from ..numeric import IntArray

Sizes = tuple[int, ...]
"""A number for each spatial axis, the outermost first: (rows, columns), (planes, rows, columns)."""


@dataclass(frozen=True)
class Geometry:
    """Where a sliding window reads.

    Attributes
    ----------
    size : pixels of an image along each axis, of which there are at least two
    kernel, stride, dilation : as many numbers; all 1 by default
    pads : before each axis, then behind each; all 0 by default

    Output pixel ``o`` reads the pixels ``o * stride + k * dilation - pads[:rank]``; the output size
    is that of ONNX with ``ceil_mode=0``. Pixels that differ along the innermost axis only make a
    *line*: hardware keeps whole lines, so a one-dimensional image is best one pixel wide.
    """

    size: Sizes
    kernel: Sizes = ()
    stride: Sizes = ()
    dilation: Sizes = ()
    pads: Sizes = ()

    def __post_init__(self) -> None:
        if len(self.size) < 2 or min(self.size) < 1:
            raise ValueError(f"size must be two or more numbers of at least 1, not {self.size!r}")
        for name in ("kernel", "stride", "dilation"):
            self._fill(name, self.rank, 1)
        self._fill("pads", 2 * self.rank, 0)
        if min(self.out_size) < 1:
            raise ValueError(
                f"kernel {self.kernel} with dilation {self.dilation} does not fit in an image of "
                f"{' x '.join(map(str, self.size))} with pads {self.pads}; pad more or shrink the "
                "kernel"
            )

    def _fill(self, name: str, count: int, least: int) -> None:
        """Replace no numbers by the least ones, which is what they stand for; refuse others."""
        values = getattr(self, name) or (least,) * count
        if len(values) != count or min(values) < least:
            raise ValueError(
                f"{name} of {self.rank} axes must be {count} numbers of at least {least}, "
                f"not {values!r}"
            )
        object.__setattr__(self, name, values)

    def over(self, images: int) -> Geometry:
        """The same window over each of several images, one after another: layers of a volume."""
        if images == 1:
            return self
        return Geometry(
            (images, *self.size),
            (1, *self.kernel),
            (1, *self.stride),
            (1, *self.dilation),
            (0, *self.begins, 0, *self.ends),
        )

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.size)

    @property
    def begins(self) -> Sizes:
        """Pads before each axis."""
        return self.pads[: self.rank]

    @property
    def ends(self) -> Sizes:
        """Pads behind each axis."""
        return self.pads[self.rank :]

    @cached_property
    def reach(self) -> Sizes:
        """Distance from the first to the last tap along each axis."""
        return tuple((k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def out_size(self) -> Sizes:
        """Pixels of the result along each axis."""
        axes = zip(self.size, self.begins, self.ends, self.reach, self.stride, strict=True)
        return tuple((n + begin + end - r - 1) // s + 1 for n, begin, end, r, s in axes)

    @cached_property
    def pixels(self) -> int:
        """Pixels of an image."""
        return math.prod(self.size)

    @cached_property
    def out_pixels(self) -> int:
        """Pixels of the result."""
        return math.prod(self.out_size)

    @property
    def width(self) -> int:
        """Pixels of a line."""
        return self.size[-1]

    @property
    def lines(self) -> int:
        """Lines of an image."""
        return math.prod(self.size[:-1])

    @property
    def steps(self) -> Sizes:
        """Pixels, in raster order, from one to the next along each axis."""
        return tuple(math.prod(self.size[axis + 1 :]) for axis in range(self.rank))

    @cached_property
    def taps(self) -> int:
        """Pixels under the window."""
        return math.prod(self.kernel)

    @property
    def starts(self) -> tuple[IntArray, ...]:
        """For each axis, where the windows of its output pixels begin."""
        axes = zip(self.out_size, self.stride, self.begins, strict=True)
        return tuple(np.arange(n) * s - begin for n, s, begin in axes)

    @property
    def padded(self) -> bool:
        """Whether any tap of any output pixel lies outside of the image."""
        axes = zip(self.size, self.begins, self.reach, self.stride, self.out_size, strict=True)
        return any(begin or (out - 1) * s + r >= n for n, begin, r, s, out in axes)

    @property
    def needed(self) -> IntArray:
        """For each output pixel, in raster order, the last pixel that its window may read."""
        axes = zip(self.starts, self.reach, self.size, self.steps, strict=True)
        each = [(at + r).clip(0, n - 1) * step for at, r, n, step in axes]
        return reduce(np.add.outer, each).ravel()

    @property
    def last_lines(self) -> IntArray:
        """For each output line, in raster order, the last line that its windows may read."""
        axes = zip(self.starts[:-1], self.reach, self.size, self.steps, strict=False)
        each = [(at + r).clip(0, n - 1) * (step // self.width) for at, r, n, step in axes]
        return reduce(np.add.outer, each).ravel()

    @property
    def kept(self) -> IntArray:
        """For each output line, in raster order, the first line that it or a later one reads;
        all of them if none is.
        """
        first, inside = np.zeros(1, np.int64), np.ones(1, np.int64)
        for axis, at in enumerate(self.starts[:-1]):
            here = at.clip(0, self.size[axis]) * (self.steps[axis] // self.width)
            first = (first[:, None] + np.multiply.outer(inside, here)).ravel()
            inside = np.multiply.outer(inside, self.passing(axis)).ravel()
        return first

    @property
    def span(self) -> int:
        """Fewest lines in memory with which no window waits for ever."""
        return int((self.last_lines - self.kept).max()) + 1

    def passing(self, axis: int) -> npt.NDArray[np.bool_]:
        """For each output pixel along an axis, whether its windows give pixels up one by one.

        Not if the next one along the axis also begins before the image, or on its first pixel: then
        all are still read. Not if it begins behind the image: then none are.
        """
        at = self.starts[axis]
        return (at > -self.stride[axis]) & (at < self.size[axis])


def windows(
    x: npt.NDArray[Any], geometry: Geometry, pad_value: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """For each output pixel the pixels under its window: (N, *out_size, *kernel, C), a view of one
    copy of the images.
    """
    if x.shape[1:-1] != geometry.size:
        sizes = ", ".join(map(str, geometry.size))
        raise ValueError(f"x must have shape (N, {sizes}, C), not {x.shape}")
    axes = list(zip(geometry.begins, geometry.size, geometry.ends, strict=True))
    whole = (len(x), *map(sum, axes), x.shape[-1])
    padded = np.full(whole, pad_value, dtype)
    padded[:, *(slice(begin, begin + size) for begin, size, _ in axes)] = x
    reach = tuple(r + 1 for r in geometry.reach)
    rank = geometry.rank
    found = np.lib.stride_tricks.sliding_window_view(padded, reach, tuple(range(1, rank + 1)))
    places = [slice(None, None, step) for step in geometry.stride]
    read = [slice(None, None, step) for step in geometry.dilation]
    return np.moveaxis(found[:, *places, :, *read], rank + 1, -1)


def taps(x: npt.NDArray[Any], geometry: Geometry, pad_value: int) -> Iterator[npt.NDArray[Any]]:
    """For each tap, the pixels that it reads: views of shape (N, *out_size, C)."""
    read = windows(x, geometry, pad_value, x.dtype)
    for place in product(*map(range, geometry.kernel)):
        at: tuple[Any, ...] = (..., *place, slice(None))
        yield read[at]


def padded_image(
    writer: OnnxWriter,
    stream: str,
    geometry: Geometry,
    channels: int,
    pad_value: int,
    dtype: Any = np.float32,
) -> str:
    """ONNX nodes: a flat stream of one image, channels last, as a padded image, channels first."""
    rank = geometry.rank
    shaped = writer.reshape(stream, [1, *geometry.size, channels])
    image = writer.op("Transpose", shaped, perm=[0, rank + 1, *range(1, rank + 1)])
    if not any(geometry.pads):
        return image
    pads = writer.constant([0, 0, *geometry.begins, 0, 0, *geometry.ends], np.int64)
    return writer.op("Pad", image, pads, writer.constant(pad_value, dtype))


def pixels_of(writer: OnnxWriter, image: str, geometry: Geometry, channels: int) -> str:
    """ONNX nodes: a result, channels first, as pixels in stream order, (pixels, channels)."""
    last = writer.op("Transpose", image, perm=[0, *range(2, geometry.rank + 2), 1])
    return writer.reshape(last, [-1, channels])
