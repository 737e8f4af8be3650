# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Signal to quantisation noise ratios, which not every pair of tensors has a number for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .formats.tensor import AnyArray

NOT_MEASURED = "not measured"
"""What stands for a ratio's :attr:`Sqnr.text` where there is none."""


@dataclass(frozen=True)
class Sqnr:
    """A ratio: ``db`` is None where there is no noise, or (``silent``) noise and no signal."""

    db: float | None
    silent: bool = False

    @property
    def level(self) -> float:
        """The ratio in dB as a number that compares: infinite without noise or without signal."""
        if self.db is None:
            return -math.inf if self.silent else math.inf
        return self.db

    @property
    def text(self) -> str:
        """The ratio for people: "12.3 dB", "bit-equal" or "noise and no signal"."""
        if self.db is None:
            return "noise and no signal" if self.silent else "bit-equal"
        return f"{self.db:.1f} dB"


_PIECE = 1 << 16
"""Elements that are compared at a time: copies in double of so many stay in a processor's cache."""


def pieces(*arrays: AnyArray) -> Iterator[tuple[AnyArray, ...]]:
    """Arrays of one shape as pieces of equal places, as many elements as is good to compute with at
    a time.
    """
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, max(1, flat[0].size), _PIECE):
        yield tuple(array[start : start + _PIECE] for array in flat)


class SignalAndNoise:
    """The powers of a signal and of the noise on it, summed over all elements that were added."""

    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0

    def add(self, want: AnyArray, got: AnyArray) -> None:
        """What should be, and what is, of one shape."""
        for own, other in pieces(want, got):
            wide = own.astype(np.float64)
            self.signal += float(np.square(wide).sum())
            self.noise += float(np.square(wide - other).sum())

    @property
    def sqnr(self) -> Sqnr:
        """Their ratio."""
        if self.signal == 0 or self.noise == 0:
            return Sqnr(None, silent=self.noise != 0)
        return Sqnr(10 * math.log10(self.signal / self.noise))
