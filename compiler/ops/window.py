# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What Conv and the pools share: kernel, strides, dilations and pads (ONNX Conv, operator version
11).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...hw.kernels.geometry import Geometry
from .base import Unsupported

MOST_AXES = 3
"""Spatial axes. The hardware has no limit, but neither ONNX's reference nor ONNX Runtime pools
more.
"""

MOST_PLACES = 1 << 25
"""Pixels of a padded image, and taps of a window."""


MOST_STEP = 1 << 12
"""Of strides, dilations and pads."""


def window_of(
    attributes: Mapping[str, Any], kernel: Sequence[int], shape: Sequence[int]
) -> Geometry:
    """Read ``strides``, ``dilations``, ``pads``, ``auto_pad`` and ``ceil_mode`` for a tensor
    (images, channels, *spatial).

    One-dimensional windows are windows over an image one pixel wide. Several images of one sample
    (frames of a video, windows of a picture, signals of sensors) come one after another.
    """
    images, spatial = shape[0], shape[2:]
    rank = len(kernel)
    if len(spatial) != rank:
        raise Unsupported(
            f"expected a kernel of {len(spatial)} axes as the input has, found {list(kernel)}"
        )
    strides = list(attributes.get("strides") or [1] * rank)
    dilations = list(attributes.get("dilations") or [1] * rank)
    for name, values in (("strides", strides), ("dilations", dilations)):
        check_list(name, values, rank, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = list(attributes.get("pads") or [0] * 2 * rank)
        check_list("pads", pads, 2 * rank, 0)
    elif auto == "VALID":
        pads = [0] * 2 * rank
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(spatial, strides, reach, upper=auto == "SAME_UPPER")
    else:
        raise Unsupported(f"expected a known auto_pad, found {auto!r}")
    if attributes.get("ceil_mode", 0):
        pads = _ceil(spatial, strides, reach, pads)
    _check_padded(kernel, [sum(sizes) for sizes in zip(spatial, pads, pads[rank:], strict=False)])
    try:
        return Geometry(
            planar(spatial),
            kernel=planar(kernel),
            stride=planar(strides),
            dilation=planar(dilations),
            pads=(*planar(pads[:rank], 0), *planar(pads[rank:], 0)),
        ).over(images)
    except ValueError as error:
        raise Unsupported(str(error)) from error


def check_list(
    name: str, values: Sequence[int], count: int, least: int, most: int = MOST_STEP
) -> None:
    """Refuse a list of another length, or of numbers that make no sense."""
    if len(values) != count or min(values) < least:
        raise Unsupported(f"expected {count} {name} of at least {least}, found {values}")
    if max(values) > most:
        raise Unsupported(f"expected {name} of at most {most}, found {values}")


def _check_padded(kernel: Sequence[int], padded: Sequence[int]) -> None:
    """A few bytes of a model name any size."""
    if math.prod(padded) > MOST_PLACES or math.prod(kernel) > MOST_PLACES:
        raise Unsupported(
            f"expected at most {MOST_PLACES} pixels with their pads, and taps, found {padded} and "
            f"{list(kernel)}"
        )


def check_kernel_shape(attributes: Mapping[str, Any], kernel: list[int]) -> None:
    """Refuse a ``kernel_shape`` that is not that of the weights."""
    if list(attributes.get("kernel_shape") or kernel) != kernel:
        raise Unsupported(
            f"expected kernel_shape {kernel} as the weights have, "
            f"found {attributes['kernel_shape']}"
        )


def planar(values: Sequence[int], fill: int = 1) -> tuple[int, ...]:
    """Values of spatial axes, of two at least: one axis is an image one pixel wide.

    (A line buffer keeps whole rows, so one pixel high would keep all of it.)
    """
    return (*map(int, values), *[fill] * (2 - len(values)))


def _same(
    spatial: Sequence[int], strides: Sequence[int], reach: Sequence[int], *, upper: bool
) -> list[int]:
    """SAME padding: output is ``ceil(size / stride)``, the odd pixel goes to the end for UPPER."""
    begins: list[int] = []
    ends: list[int] = []
    for size, stride, extent in zip(spatial, strides, reach, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        small = total // 2
        begins.append(small if upper else total - small)
        ends.append(total - begins[-1])
    return begins + ends


def _ceil(
    spatial: Sequence[int], strides: Sequence[int], reach: Sequence[int], pads: Sequence[int]
) -> list[int]:
    """Pads that make the floor formula give ONNX's ceil_mode size.

    A window that would start in the end padding is left out, as ONNX and PyTorch do.
    """
    rank = len(spatial)
    mended = list(pads)
    for axis, (size, stride, extent) in enumerate(zip(spatial, strides, reach, strict=True)):
        padded = size + pads[axis] + pads[axis + rank]
        count = -(-(padded - extent) // stride) + 1
        if (count - 1) * stride >= size + pads[axis]:
            count -= 1
        mended[axis + rank] += max(0, (count - 1) * stride + extent - padded)
    return mended


def image_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Sizes of the spatial axes of an ONNX shape (N, C, ...), of which there are one to three."""
    if 3 <= len(shape) <= 2 + MOST_AXES:
        return tuple(shape[2:])
    raise Unsupported(
        f"expected a tensor of 3 to {2 + MOST_AXES} axes, found the shape {list(shape)}"
    )
