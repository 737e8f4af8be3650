# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What Conv and the pools share: kernel, strides, dilations and pads (ONNX Conv, operator version 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .base import Unsupported


@dataclass(frozen=True)
class Window:
    """A two-dimensional sliding window; one-dimensional ones have a leading 1.

    ``pads`` is (top, left, bottom, right).
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]

    @classmethod
    def of_attributes(
        cls, attributes: Mapping[str, Any], kernel: Sequence[int], spatial: Sequence[int]
    ) -> Window:
        """Read ``strides``, ``dilations``, ``pads``, ``auto_pad`` and ``ceil_mode``."""
        rank = len(kernel)
        if rank not in (1, 2):
            raise Unsupported(f"expected 1 or 2 spatial axes, found {rank}")
        strides = list(attributes.get("strides") or [1] * rank)
        dilations = list(attributes.get("dilations") or [1] * rank)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        auto = attributes.get("auto_pad", "NOTSET")
        if auto == "NOTSET":
            pads = list(attributes.get("pads") or [0] * 2 * rank)
        elif auto == "VALID":
            pads = [0] * 2 * rank
        elif auto in ("SAME_UPPER", "SAME_LOWER"):
            pads = _same(spatial, strides, reach, upper=auto == "SAME_UPPER")
        else:
            raise Unsupported(f"expected a known auto_pad, found {auto!r}")
        if attributes.get("ceil_mode", 0):
            pads = _ceil(spatial, strides, reach, pads)
        if min(pads) < 0:
            raise Unsupported(f"expected pads of at least 0, found {pads}")
        if any(p >= r for p, r in zip(pads, reach * 2, strict=True) if p):
            raise Unsupported(f"expected pads smaller than the kernel {reach}, found {pads}")
        if rank == 1:
            kernel, strides, dilations = [1, *kernel], [1, *strides], [1, *dilations]
            pads = [0, pads[0], 0, pads[1]]
        return cls(
            (kernel[0], kernel[1]),
            (strides[0], strides[1]),
            (dilations[0], dilations[1]),
            (pads[0], pads[1], pads[2], pads[3]),
        )

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output."""
        top, left, bottom, right = self.pads
        sizes = (height + top + bottom, width + left + right)
        out = [
            (size - (k - 1) * d - 1) // s + 1
            for size, k, s, d in zip(
                sizes, self.kernel, self.strides, self.dilations, strict=True
            )
        ]
        return out[0], out[1]

    @property
    def taps(self) -> int:
        """Number of positions in the window."""
        return self.kernel[0] * self.kernel[1]

    def as_attributes(self) -> dict[str, Any]:
        """JSON values for a program's step."""
        return {
            "kernel": list(self.kernel),
            "strides": list(self.strides),
            "dilations": list(self.dilations),
            "pads": list(self.pads),
        }


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


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(height, width, channels) of an ONNX shape (1, C, L) or (1, C, H, W)."""
    if len(shape) == 3:
        return 1, shape[2], shape[1]
    if len(shape) == 4:
        return shape[2], shape[3], shape[1]
    raise Unsupported(f"expected a tensor of 3 or 4 axes, found the shape {list(shape)}")
