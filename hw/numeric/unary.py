# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Real functions of one number that are not affine: what operators say of theirs.

A function is known in two ways: at rational points where its value is rational, exactly; elsewhere
by enclosing balls, as narrow as one asks (python-flint's ``arb``). Floats decide nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flint import arb

Interval = tuple[Fraction, Fraction]
"""Both ends included."""


class DomainError(ValueError):
    """A function is not defined at a number that can occur."""


class Unary(ABC):
    """A real function of one number: a frozen, hashable dataclass of its parameters."""

    @abstractmethod
    def rational(self, x: Fraction) -> Fraction | None:
        """The exact value at a rational number if it is known to be rational, else None.

        Every rational value that can be a tie has to be known here, or no precision decides it.

        Raises
        ------
        DomainError
            If the function is not defined at ``x``.
        """

    @abstractmethod
    def ball(self, x: arb) -> arb:
        """A ball that holds the values at all numbers in a ball, at the precision of the context.

        The narrower ``x`` and the higher the precision, the narrower it is.
        """

    @property
    def turns(self) -> tuple[Interval, ...]:
        """Closed intervals in ascending order, such that the function is monotone on each open gap
        between them, and before the first and behind the last. None for a monotone function.
        """
        return ()

    @property
    def direction(self) -> int | None:
        """1 if it never falls, -1 if it never rises, 0 if it stays; None if it does both, or that
        is not known.
        """
        return None

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """All values in ascending order, if the function is constant but for steps; else none."""
        return ()

    def __call__(self, x: Fraction | arb) -> Fraction | arb:
        """The value at a number: exact where it can be, else a ball."""
        if isinstance(x, Fraction):
            value = self.rational(x)
            if value is not None:
                return value
            return self.ball(ball_of(x))
        return self.ball(x)


def common_direction(ways: Iterable[int]) -> int | None:
    """Of directions the one that none of them is against: 0 if all stay, None if they differ."""
    found = set(ways) - {0}
    return None if len(found) == 2 else sum(found)


def ball_of(x: Fraction) -> arb:
    """The narrowest ball that holds a rational number, at the precision of the context."""
    from flint import arb, fmpq

    return arb(fmpq(x.numerator, x.denominator))


@dataclass(frozen=True)
class Exponential(Unary):
    """``exp(x)``: rises; transcendental at all algebraic numbers but 0 (Lindemann)."""

    def rational(self, x: Fraction) -> Fraction | None:
        """1 at 0."""
        return Fraction(1) if x == 0 else None

    def ball(self, x: arb) -> arb:
        """The library's."""
        return x.exp()


@dataclass(frozen=True)
class Piecewise(Unary):
    """Polynomials with rational coefficients, of degree 2 at most, between rational breaks.

    Attributes
    ----------
    breaks : in ascending order
    pieces : one more; the coefficients of each, the constant first
    at : values at the breaks; where None, that of the piece above

    Raises ValueError if these do not fit together.
    """

    breaks: tuple[Fraction, ...]
    pieces: tuple[tuple[Fraction, ...], ...]
    at: tuple[Fraction | None, ...] = ()

    def __post_init__(self) -> None:
        if len(self.pieces) != len(self.breaks) + 1 or len(self.at) not in (0, len(self.breaks)):
            raise ValueError(
                f"{len(self.breaks)} breaks need {len(self.breaks) + 1} pieces and as many values "
                f"as breaks, not {len(self.pieces)} and {len(self.at)}"
            )
        if any(a >= b for a, b in pairwise(self.breaks)):
            raise ValueError("breaks must ascend")
        if any(not 1 <= len(piece) <= 3 for piece in self.pieces):
            raise ValueError("pieces must have 1 to 3 coefficients, of degree 2 at most")

    @classmethod
    def line(cls, slope: Fraction, offset: Fraction) -> Piecewise:
        """``slope * x + offset``."""
        return cls((), ((offset, slope),))

    @classmethod
    def clamp(cls, floor: Fraction | None, ceil: Fraction | None) -> Piecewise:
        """``min(max(x, floor), ceil)``; a bound may be None."""
        through = (Fraction(0), Fraction(1))
        if floor is not None and ceil is not None and floor >= ceil:
            return cls((), ((ceil,),))
        below: list[tuple[Fraction, ...]] = [] if floor is None else [(floor,)]
        above: list[tuple[Fraction, ...]] = [] if ceil is None else [(ceil,)]
        breaks = tuple(bound for bound in (floor, ceil) if bound is not None)
        return cls(breaks, (*below, through, *above))

    def rational(self, x: Fraction) -> Fraction:
        """Always."""
        index = sum(b <= x for b in self.breaks)
        if index and self.at and self.breaks[index - 1] == x:
            value = self.at[index - 1]
            if value is not None:
                return value
        return _polynomial(self.pieces[index], x)

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """Of pieces of degree 0."""
        if any(any(piece[1:]) for piece in self.pieces):
            return ()
        values = {piece[0] for piece in self.pieces} | {v for v in self.at if v is not None}
        return tuple(sorted(values))

    def ball(self, x: arb) -> arb:
        """The union of what the ball may touch: pieces, and values at breaks."""
        breaks = [ball_of(b) for b in self.breaks]
        values = [
            _polynomial_ball(piece, x)
            for index, piece in enumerate(self.pieces)
            if not (index and x < breaks[index - 1])
            and not (index < len(breaks) and x > breaks[index])
        ]
        for at, point in zip(self.at, breaks, strict=False):
            if at is not None and not (x < point or x > point):
                values.append(ball_of(at))
        total = values[0]
        for value in values[1:]:
            total = total.union(value)
        return total

    def __call__(self, x: Fraction | arb) -> Fraction | arb:
        """The value at a number; exact wherever the function is constant around a ball."""
        if isinstance(x, Fraction):
            return self.rational(x)
        index = sum(bool(x > ball_of(b)) for b in self.breaks)
        piece = self.pieces[index]
        flat = not any(piece[1:])
        if flat and (index == len(self.breaks) or x < ball_of(self.breaks[index])):
            return piece[0]
        return self.ball(x)

    @property
    def turns(self) -> tuple[Interval, ...]:
        """Breaks and vertices where the direction changes, and breaks where the value jumps."""
        points = sorted({*self.breaks, *self._vertices()})
        found: list[Fraction] = []
        before = self._direction(None, points[0] if points else None)
        for index, point in enumerate(points):
            after = self._direction(point, points[index + 1] if index + 1 < len(points) else None)
            if before * after < 0 or self._jumps(point):
                found.append(point)
                before = after
            else:
                before = after or before
        return tuple((point, point) for point in found)

    @property
    def direction(self) -> int | None:
        """That of all pieces, and of all jumps."""
        points = sorted({*self.breaks, *self._vertices()})
        found = [self._direction(*ends) for ends in pairwise((None, *points, None))]
        for index, point in enumerate(self.breaks):
            below, above = (_polynomial(p, point) for p in self.pieces[index : index + 2])
            value = self.rational(point)
            found += [(value > below) - (value < below), (above > value) - (above < value)]
        return common_direction(found)

    def _vertices(self) -> list[Fraction]:
        """Where a parabola turns, inside of its piece."""
        found = []
        for index, piece in enumerate(self.pieces):
            if len(piece) == 3 and piece[2] != 0:
                vertex = -piece[1] / (2 * piece[2])
                above = not index or vertex > self.breaks[index - 1]
                if above and (index == len(self.breaks) or vertex < self.breaks[index]):
                    found.append(vertex)
        return found

    def _direction(self, low: Fraction | None, high: Fraction | None) -> int:
        """Whether it rises (1), falls (-1) or stays between two neighbouring points."""
        if low is None:
            low = (high if high is not None else Fraction(0)) - 1
            high = low + 1 if high is None else high
        high = low + 1 if high is None else high
        third = (high - low) / 3
        first, second = self.rational(low + third), self.rational(high - third)
        return (second > first) - (second < first)

    def _jumps(self, point: Fraction) -> bool:
        """Whether the function is not continuous at a point."""
        if point not in self.breaks:
            return False
        index = self.breaks.index(point)
        below, above = (_polynomial(p, point) for p in self.pieces[index : index + 2])
        return not below == above == self.rational(point)


@dataclass(frozen=True)
class Listed(Unary):
    """Any values at some consecutive integers, such as a column of a table; defined nowhere else.

    Attributes
    ----------
    low : the first integer
    values : one an integer; a double means its exact value
    """

    low: int
    values: tuple[float, ...]

    def rational(self, x: Fraction) -> Fraction:
        """Always.

        Raises
        ------
        DomainError
            If ``x`` is none of the integers.
        """
        index = x - self.low
        if index.denominator != 1 or not 0 <= index < len(self.values):
            last = self.low + len(self.values) - 1
            raise DomainError(f"a table has entries at integers from {self.low} to {last}, not {x}")
        return Fraction(self.values[int(index)])

    def ball(self, x: arb) -> arb:
        """Only exact numbers are known to be integers, and their values are rational."""
        raise DomainError(f"a table has entries at integers only, not at {x}")

    @property
    def turns(self) -> tuple[Interval, ...]:
        """Nothing is known of how it goes from one integer to the next."""
        return ((Fraction(self.low), Fraction(self.low + len(self.values) - 1)),)


def _polynomial(coefficients: Sequence[Fraction], x: Fraction) -> Fraction:
    value = Fraction(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def _polynomial_ball(coefficients: Sequence[Fraction], x: arb) -> arb:
    value = ball_of(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + ball_of(c)
    return value
