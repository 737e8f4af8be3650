# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What kernels share that take two computed streams in step, each without its zero point."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..finish.base import OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from .base import Kernel


@dataclass(frozen=True)
class PairKernel(Kernel, ABC):
    """Base of kernels of two streams: frozen dataclasses, whose further fields hold the axes.

    Attributes
    ----------
    xs : types of the integers of both streams
    zeros : what each stream's integers mean zero by: its zero point
    """

    xs: tuple[IntType, IntType]
    zeros: tuple[int, int]

    @property
    def factors(self) -> tuple[Range, Range]:
        """Range of each stream, without its zero point."""
        (a, b), (za, zb) = self.xs, self.zeros
        return (a.lo - za, a.hi - za), (b.lo - zb, b.hi - zb)

    def without_zeros(self, streams: Sequence[AnyArray]) -> tuple[AnyArray, AnyArray]:
        """Both streams as ``run`` gets them, less their zero points."""
        a, b = (x.astype(np.int64) - zero for x, zero in zip(streams, self.zeros, strict=True))
        return a, b

    def without_zeros_onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[str, str]:
        """The same in double."""
        a, b = (
            writer.op("Sub", writer.cast(x, np.float64), writer.constant(zero, np.float64))
            for x, zero in zip(streams, self.zeros, strict=True)
        )
        return a, b


def check_channels(channels: int, inner: int) -> None:
    """Refuse a finisher whose channels are neither one nor those of the innermost axis."""
    if channels not in (1, inner):
        raise ValueError(f"channels must be 1 or {inner}, not {channels}")
