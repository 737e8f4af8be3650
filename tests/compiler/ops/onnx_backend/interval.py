# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Interval:
    """Tensors between two, element by element. Of integers and truth values, both are the same."""

    lo: Array
    hi: Array

    @classmethod
    def at(cls, *values: Array) -> Interval:
        """The hull of some tensors of one shape; reals become doubles."""
        arrays = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in values]
        if arrays[0].dtype.kind != "f":
            return cls(arrays[0], arrays[0])
        return cls(np.minimum.reduce(arrays), np.maximum.reduce(arrays))

    @property
    def is_point(self) -> bool:
        """Whether there is one tensor in it."""
        return self.lo is self.hi or bool(np.array_equal(self.lo, self.hi))

    @property
    def middle(self) -> Array:
        """Halfway between the two."""
        return (self.lo + self.hi) / 2

    @property
    def radius(self) -> Array:
        """Half of what is between the two."""
        return (self.hi - self.lo) / 2

    def reshaped(self, shape: tuple[int, ...]) -> Interval:
        """The same elements in another shape."""
        return Interval(self.lo.reshape(shape), self.hi.reshape(shape))

    def __getitem__(self, index: int) -> Interval:
        """A part along the first axis."""
        return Interval(self.lo[index], self.hi[index])

    @classmethod
    def stacked(cls, parts: Sequence[Interval]) -> Interval:
        """Along a new first axis."""
        return cls(np.stack([x.lo for x in parts]), np.stack([x.hi for x in parts]))

    @property
    def least(self) -> Array:
        """The smallest size of each element."""
        nearest = np.minimum(np.abs(self.lo), np.abs(self.hi))
        return np.where((self.lo < 0) & (self.hi > 0), 0, nearest)

    @property
    def most(self) -> Array:
        """The largest."""
        return np.maximum(np.abs(self.lo), np.abs(self.hi))

    def clipped(self, low: float, high: float) -> Interval:
        """What becomes of it where values saturate."""
        return Interval(self.lo.clip(low, high), self.hi.clip(low, high))

    def widened(self, by: Array | float) -> Interval:
        """With as much added at either side."""
        return Interval(self.lo - by, self.hi + by)

    def plus(self, other: Interval) -> Interval:
        """Sums."""
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def scaled(self, by: Array) -> Interval:
        """Products with numbers of at least 0."""
        return Interval(self.lo * by, self.hi * by)

    def times(self, other: Interval) -> Interval:
        """Products, element by element."""
        ends = (self.lo, self.hi), (other.lo, other.hi)
        return Interval.at(*(x * y for x in ends[0] for y in ends[1]))

    def applied(self, x: Interval) -> Interval:
        """Products of a matrix with a vector, each summed."""
        middle = self.middle @ x.middle
        size, rest = np.abs(self.middle), self.radius
        return Interval.at(middle).widened(size @ x.radius + rest @ (np.abs(x.middle) + x.radius))
