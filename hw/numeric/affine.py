# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact real functions of accumulators (rule N2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .qtype import QType, rne


@dataclass(frozen=True)
class Affine:
    """An exact real function of integers: ``clamp(offset + sum(scale_i * acc_i), floor, ceil)``.

    One for each output channel. ``floor`` and ``ceil`` are real bounds (activations such as Relu
    and Clip), or None.
    """

    scales: tuple[Fraction, ...]
    offset: Fraction
    floor: Fraction | None = None
    ceil: Fraction | None = None

    def plus(self, constant: Fraction) -> Affine:
        """The function plus a constant; bounds move with it."""
        return Affine(
            self.scales,
            self.offset + constant,
            None if self.floor is None else self.floor + constant,
            None if self.ceil is None else self.ceil + constant,
        )

    def times(self, factor: Fraction) -> Affine:
        """The function times a constant; a negative factor swaps the bounds."""
        low = None if self.floor is None else self.floor * factor
        high = None if self.ceil is None else self.ceil * factor
        if factor < 0:
            low, high = high, low
        return Affine(tuple(s * factor for s in self.scales), self.offset * factor, low, high)

    def clamped(self, floor: Fraction | None, ceil: Fraction | None) -> Affine:
        """The function followed by ``clamp(., floor, ceil)``."""
        low, high = self.floor, self.ceil
        if floor is not None:
            low = floor if low is None else max(low, floor)
            high = None if high is None else max(high, floor)
        if ceil is not None:
            high = ceil if high is None else min(high, ceil)
            low = None if low is None else min(low, ceil)
        return Affine(self.scales, self.offset, low, high)

    def exact(self, accs: Sequence[int], out: QType) -> int:
        """N2 then N3, in rational arithmetic: the definition that everything is proven against."""
        real = self.offset + sum(
            (s * a for s, a in zip(self.scales, accs, strict=True)), Fraction(0)
        )
        if self.floor is not None:
            real = max(real, self.floor)
        if self.ceil is not None:
            real = min(real, self.ceil)
        return min(max(rne(real / out.step) + out.zero_point, out.lo), out.hi)

    def ends(self, out: QType) -> tuple[int, int]:
        """Smallest and largest integer that the activation lets through."""
        low, high = out.lo, out.hi
        if self.floor is not None:
            low = min(max(low, rne(self.floor / out.step) + out.zero_point), out.hi)
        if self.ceil is not None:
            high = max(min(high, rne(self.ceil / out.step) + out.zero_point), out.lo)
        return low, high


Function = Affine
