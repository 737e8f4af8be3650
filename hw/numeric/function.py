# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact real functions of the accumulators of one channel (rules N2 and N6)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from .qtype import QType, rne
from .unary import Piecewise, Unary, common_direction

if TYPE_CHECKING:
    from flint import arb

FIRST_PRECISION = 64
"""Bits that a value is computed with at first; doubled until its rounding is decided."""

LAST_PRECISION = 1 << 16
"""Bits at which deciding is given up."""


class UndecidedError(ValueError):
    """A value lies so close to a tie that no precision within the limit tells its side."""


class Function(ABC):
    """An exact real function of a channel's accumulators: a frozen, hashable dataclass."""

    @abstractmethod
    def plus(self, constant: Fraction) -> Function:
        """The function plus a constant."""

    @abstractmethod
    def times(self, factor: Fraction) -> Function:
        """The function times a constant."""

    @abstractmethod
    def clamped(self, floor: Fraction | None, ceil: Fraction | None) -> Function:
        """The function followed by ``clamp(., floor, ceil)``; a bound may be None."""

    @abstractmethod
    def then(self, unary: Unary) -> Function:
        """The function followed by another."""

    @property
    @abstractmethod
    def direction(self) -> int | None:
        """1 if it never falls with any accumulator, -1 if it never rises, 0 if it stays; None if it
        does both, or that is not known.
        """

    @abstractmethod
    def exact(self, accs: Sequence[int], out: QType) -> int:
        """The definition that everything is proven against: N2 and N6, then N3.

        Raises
        ------
        DomainError
            If the function is not defined at these accumulators.
        UndecidedError
            If the rounding cannot be decided within ``LAST_PRECISION`` bits.
        """


@dataclass(frozen=True)
class Affine(Function):
    """An exact real function of integers: ``clamp(offset + sum(scale_i * acc_i), floor, ceil)``.

    The form that a multiply-shift can compute.

    Attributes
    ----------
    scales : weight of each accumulator
    offset : what is added to them
    floor, ceil : real bounds (activations such as Relu and Clip), or None

    Raises ValueError for a floor above the ceiling: the order of both clamps would matter.
    """

    scales: tuple[Fraction, ...]
    offset: Fraction
    floor: Fraction | None = None
    ceil: Fraction | None = None

    def __post_init__(self) -> None:
        if self.floor is not None and self.ceil is not None and self.floor > self.ceil:
            raise ValueError(f"floor must not exceed ceil, not {self.floor} > {self.ceil}")

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

    def then(self, unary: Unary) -> Composed:
        """The function followed by another."""
        return Composed(self, (unary,))

    @property
    def direction(self) -> int | None:
        """That of the scales; a clamp keeps it."""
        return common_direction((s > 0) - (s < 0) for s in self.scales)

    def real(self, accs: Sequence[int]) -> Fraction:
        """The exact value (N2)."""
        real = self.offset + sum(
            (s * a for s, a in zip(self.scales, accs, strict=True)), Fraction(0)
        )
        if self.floor is not None:
            real = max(real, self.floor)
        if self.ceil is not None:
            real = min(real, self.ceil)
        return real

    def exact(self, accs: Sequence[int], out: QType) -> int:
        """N2 then N3, in rational arithmetic."""
        return _rounded(self.real(accs), out)

    def ends(self, out: QType) -> tuple[int, int]:
        """Smallest and largest integer that the activation lets through."""
        low, high = out.lo, out.hi
        if self.floor is not None:
            low = min(max(low, rne(self.floor / out.step) + out.zero_point), out.hi)
        if self.ceil is not None:
            high = max(min(high, rne(self.ceil / out.step) + out.zero_point), out.lo)
        return low, high


@dataclass(frozen=True)
class Composed(Function):
    """An affine function followed by others, the first step first."""

    inner: Affine
    steps: tuple[Unary, ...]

    def plus(self, constant: Fraction) -> Composed:
        """The function plus a constant."""
        return self.then(Piecewise.line(Fraction(1), constant))

    def times(self, factor: Fraction) -> Composed:
        """The function times a constant."""
        return self.then(Piecewise.line(factor, Fraction(0)))

    def clamped(self, floor: Fraction | None, ceil: Fraction | None) -> Composed:
        """The function followed by ``clamp(., floor, ceil)``, which does nothing a second time."""
        clamp = Piecewise.clamp(floor, ceil)
        return self if self.steps[-1:] == (clamp,) else self.then(clamp)

    def then(self, unary: Unary) -> Composed:
        """The function followed by another."""
        return replace(self, steps=(*self.steps, unary))

    @property
    def direction(self) -> int | None:
        """What falls of something that falls rises."""
        found = self.inner.direction
        for step in self.steps:
            way = step.direction
            found = None if found is None or way is None else found * way
        return found

    def real(self, accs: Sequence[int], steps: int | None = None) -> Fraction | arb:
        """The value after the first ``steps``, after all by default: exact, or a ball at the
        precision of the context.
        """
        value: Fraction | arb = self.inner.real(accs)
        for step in self.steps[:steps]:
            value = step(value)
        return value

    def exact(self, accs: Sequence[int], out: QType) -> int:
        """Rounded as soon as the ball around the value lies between two ties (N6)."""
        from flint import ctx

        precision = FIRST_PRECISION
        while precision <= LAST_PRECISION:
            with ctx.workprec(precision):
                value = self.real(accs)
                if isinstance(value, Fraction):
                    return _rounded(value, out)
                decided = _decided(value, out)
            if decided is not None:
                return decided
            precision *= 2
        raise UndecidedError(
            f"the value of {self} at {list(accs)} is within 2**-{LAST_PRECISION} of a tie of "
            f"{out}, or it is one that no step knows to be rational; choose another scale for "
            "the output, or state the value in the function's 'rational'"
        )


def _rounded(real: Fraction, out: QType) -> int:
    """Rule N3."""
    return min(max(rne(real / out.step) + out.zero_point, out.lo), out.hi)


def _decided(real: arb, out: QType) -> int | None:
    """The integer that all numbers of a ball become by N3, or None if they become several."""
    from flint import arb, fmpq

    ratio = real / arb(fmpq(out.step.numerator, out.step.denominator))
    # What saturates need not be known; and a number of any size fits then.
    ratio = ratio.max(arb(out.lo - out.zero_point - 1)).min(arb(out.hi - out.zero_point + 1))
    if not ratio.is_finite():
        return None
    shifted = ratio + arb(fmpq(1, 2))
    if shifted.contains_integer():  # a tie is inside, or at the edge
        below, above = ratio.lower().fmpq(), ratio.upper().fmpq()
        low, high = (rne(Fraction(int(end.p), int(end.q))) for end in (below, above))
        if low != high:
            return None
        whole = low
    else:
        floor = shifted.floor().unique_fmpz()
        if floor is None:
            return None
        whole = int(floor)
    return min(max(whole + out.zero_point, out.lo), out.hi)
