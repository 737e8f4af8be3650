# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Division: Softmax, by a deviation or a norm, by another tensor (rules N8 to N11, N15, N19).

Each has one right answer, an integer of ``bits`` fractional bits for each element, found with
integers only. What follows (scale, shift, rounding to the output's grid) is an exact function of it
as of any accumulator. The forms in ONNX compute in double, where every intermediate is an integer
below 2**53.

N8. ``quotient(a, b)`` is ``rne(a / b)``, and ``root(n)`` is ``floor(sqrt(n))``.
N9. Softmax over ``n`` integers ``q`` of scale ``s``: ``e = rne(2**F * exp(s * (q - max q)))``
    (correctly rounded, N6), and the result is ``quotient(2**P * e, sum e)``, for ``P`` fractional
    bits and ``F = P + 1 + bits of n``. It is within 3/4 of a unit ``2**-P`` of the real softmax.
N10. Layer normalisation: ``c = n * q - sum q``, ``w = n * sum q**2 - (sum q)**2``, ``r =
    root(4**H * w + E)`` with ``E = max(1, rne(4**H * n**2 * epsilon / s**2))``; the result is
    ``quotient(2**(P + H) * c, r)``. ``H``, at most ``P``, is the largest for which all stays below
    2**51.
N11. Division by the root of the mean square (RMSNormalization): the same with ``c = n * (q -
    zero_point)`` and ``w = n * sum (q - zero_point)**2``.
N15. Division by a norm: ``c = q - zero_point``; ``r = max(1, sum |c|)`` and ``H = 0`` for L1, ``r =
    root(4**H * sum c**2 + E)`` with ``E = max(1, rne(4**H * epsilon / s**2))`` for L2; the result
    is ``quotient(2**(P + H) * c, r)``. By the largest (MAX of ``ai.onnx.ml``), ``m = max c``:
    ``ratio(c, m)``.
N19. The quotient of two tensors: ``ratio(c, d) = quotient(2**P * c * sign d, max(1, |d|))`` of both
    without their zero points, with a sign of 1 where ``d`` is 0.

Why N9 is that close: each ``e`` is off by at most 1/2 and their sum, at least ``2**F``, by ``n /
2``; so the quotient is off by at most ``(n + 1) / 2**(F + 1) <= 2**-(P + 2)``, and half a unit more
when it is rounded. Why N10 is: ``c / sqrt(w + n**2 * epsilon / s**2)`` is the real result, of at
most ``sqrt(n)``; ``r`` is below ``2**H`` times that root by less than 1, and ``E`` off by at most
1: a part of at most ``2 / r`` of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from .function import Affine
from .qtype import IntArray, QType, rne
from .unary import Exponential

if TYPE_CHECKING:
    from ..finish.base import OnnxWriter

EXACT = 1 << 51
"""Integers up to here, and four times it, are exact in double."""

MAX_SOFTMAX_BITS = 16
"""Widest integers of a softmax: there is an exponential for each of their differences."""


def quotient(a: IntArray, b: IntArray) -> IntArray:
    """``rne(a / b)`` of int64 arrays, ``b`` positive (N8)."""
    whole, rest = np.divmod(a, b)
    up = (2 * rest > b) | ((2 * rest == b) & (whole % 2 == 1))
    return whole + up


def root(n: IntArray) -> IntArray:
    """``floor(sqrt(n))`` of an int64 array from 0 to ``EXACT`` (N8)."""
    found = np.floor(np.sqrt(n.astype(np.float64))).astype(np.int64)
    found = found - (found * found > n)
    return found + ((found + 1) * (found + 1) <= n)


def quotient_onnx(writer: OnnxWriter, a: str, b: str) -> str:
    """The same on doubles that hold integers with ``|a| + b`` below 2**53.

    The floor of the rounded quotient is at most 1 off, so the rest, an exact difference of integers
    below 2**53, tells and mends it.
    """
    one, two = (writer.constant(np.array(v), np.float64) for v in (1.0, 2.0))
    guess = writer.op("Floor", writer.op("Div", a, b))
    rest = writer.op("Sub", a, writer.op("Mul", guess, b))
    over = writer.cast(writer.op("GreaterOrEqual", rest, b), np.float64)
    under = writer.cast(
        writer.op("Less", rest, writer.constant(np.array(0.0), np.float64)), np.float64
    )
    step = writer.op("Sub", over, under)
    whole = writer.op("Add", guess, step)
    twice = writer.op("Mul", writer.op("Sub", rest, writer.op("Mul", step, b)), two)
    half = writer.constant(np.array(0.5), np.float64)
    even = writer.op("Mul", writer.op("Floor", writer.op("Mul", whole, half)), two)
    odd = writer.op("Sub", whole, even)
    above = writer.cast(writer.op("Greater", twice, b), np.float64)
    tie = writer.cast(writer.op("Equal", twice, b), np.float64)
    up = writer.op("Add", above, writer.op("Mul", tie, odd))
    return writer.op("Add", whole, writer.op("Min", up, one))


def root_onnx(writer: OnnxWriter, n: str) -> str:
    """The same on doubles that hold integers from 0 to ``EXACT``; mended by comparing squares."""
    one = writer.constant(np.array(1.0), np.float64)
    guess = writer.op("Floor", writer.op("Sqrt", n))
    square = writer.op("Mul", guess, guess)
    lower = writer.op("Sub", guess, writer.cast(writer.op("Greater", square, n), np.float64))
    upper = writer.op("Add", lower, one)
    reached = writer.op("LessOrEqual", writer.op("Mul", upper, upper), n)
    return writer.op("Add", lower, writer.cast(reached, np.float64))


def ratio(c: IntArray, d: IntArray, bits: int) -> IntArray:
    """``c`` over ``d`` of either sign, in units of ``2**-bits`` (N19)."""
    return quotient(np.where(d < 0, -c, c) << bits, abs(d).clip(1))


def ratio_onnx(writer: OnnxWriter, c: str, d: str, bits: int) -> str:
    """The same on doubles."""
    zero, one, unit = (writer.constant(np.array(v), np.float64) for v in (0.0, 1.0, 2.0**bits))
    scaled = writer.op("Mul", c, unit)
    signed = writer.op("Where", writer.op("Less", d, zero), writer.op("Neg", scaled), scaled)
    return quotient_onnx(writer, signed, writer.op("Max", writer.op("Abs", d), one))


def powers(table: IntArray, q: IntArray) -> IntArray:
    """``e`` of N9 for integers, whose last axis is a group."""
    return table[q.max(axis=-1, keepdims=True) - q]


def powers_onnx(writer: OnnxWriter, table: IntArray, q: str) -> str:
    """The same on doubles."""
    largest = writer.op("ReduceMax", q, axes=[-1], keepdims=1)
    index = writer.cast(writer.op("Sub", largest, q), np.int64)
    return writer.op("Gather", writer.constant(table, np.float64), index, axis=0)


def shares(e: IntArray, bits: int) -> IntArray:
    """``quotient(2**bits * e, sum e)``: the last axis is a group that is not all zeros."""
    return quotient(e << bits, e.sum(axis=-1, keepdims=True))


def shares_onnx(writer: OnnxWriter, e: str, bits: int) -> str:
    """The same on doubles."""
    total = writer.op("ReduceSum", e, writer.constant(np.array([-1]), np.int64), keepdims=1)
    unit = writer.constant(np.array(2.0**bits), np.float64)
    return quotient_onnx(writer, writer.op("Mul", e, unit), total)


@lru_cache(maxsize=64)
def _exponentials(step: Fraction, count: int, fraction: int) -> tuple[int, ...]:
    """``rne(2**fraction * exp(-step * d))`` for ``d`` from 0 to ``count - 1``.

    Each is the one before times ``exp(-step)``, as a ball; where that touches a tie of two
    integers, the value alone is rounded.
    """
    from flint import arb, ctx, fmpq

    exact = Affine((-step,), Fraction(0)).then(Exponential()).times(Fraction(1 << fraction))
    whole = QType(32, False, 1.0)
    found: list[int] = []
    with ctx.workprec(_EXPONENTIAL_BITS):
        factor = (-arb(fmpq(step.numerator, step.denominator))).exp()
        value, half = arb(1 << fraction), arb(0.5)
        while len(found) < count and (not found or found[-1]):
            shifted = value + half
            floor = None if shifted.contains_integer() else shifted.floor().unique_fmpz()
            found.append(exact.exact([len(found)], whole) if floor is None else int(floor))
            value = value * factor
    return (*found, *[0] * (count - len(found)))  # they fall, so all behind a 0 are 0


_EXPONENTIAL_BITS = 160
"""Of the product's mantissa. A factor adds a unit to its radius: with 2**17 of them and results of
31 bits, the radius is below 2**-100.
"""


@dataclass(frozen=True, eq=False)
class SoftmaxRule:
    """Softmax over the last axis (N9).

    Attributes
    ----------
    table : int64; ``e`` for differences of 0, 1, 2, ... from the largest integer
    bits : fractional bits of the result, which is from 0 to ``2**bits``
    """

    table: IntArray
    bits: int

    @classmethod
    def of(cls, x: QType, count: int, bits: int) -> Self:
        """For ``count`` integers of a type.

        Raises ValueError if more bits are needed than double arithmetic has, or the integers have
        too many for a table of their differences.
        """
        if x.bits > MAX_SOFTMAX_BITS:
            raise ValueError(
                f"a softmax of integers of {x.bits} bits needs a table of 2**{x.bits} "
                f"exponentials; use a grid of at most {MAX_SOFTMAX_BITS} bits"
            )
        fraction = bits + 1 + count.bit_length()
        if bits > cls.most_bits(count):
            raise ValueError(
                f"a softmax over {count} elements to {bits} bits needs exponentials of {fraction} "
                "bits, more than 31; use fewer bits for the result"
            )
        return cls(np.array(_exponentials(x.step, x.hi - x.lo + 1, fraction)), bits)

    @staticmethod
    def most_bits(count: int) -> int:
        """Most fractional bits that a softmax over so many elements can have; may be negative.

        Exponentials have at most 31 bits, and they times ``2**bits``, as their sum, at most 51.
        """
        log = count.bit_length()
        return min(30 - log, (50 - log) // 2, 50 - 2 * log)

    def apply(self, q: IntArray) -> IntArray:
        """Results for integers; the last axis is the one that sums to 1."""
        return shares(powers(self.table, q), self.bits)

    def onnx(self, writer: OnnxWriter, q: str) -> str:
        """The same on doubles."""
        return shares_onnx(writer, powers_onnx(writer, self.table, q), self.bits)


@dataclass(frozen=True)
class DeviationRule:
    """Division by the deviation over the last axis (N10), by the root mean square (N11), or by the
    largest, the sum of sizes or the root of the sum of squares (N15).

    Attributes
    ----------
    count : elements of the axis
    origin : what is taken off every integer first; no matter where the mean is taken off too
    centred : whether the mean is taken off (N10)
    root_bits : ``H``
    epsilon : ``E``
    bits : fractional bits of the result
    times : what integers and the sum of their squares are multiplied by: the count, or 1 (N15)
    power : 2; where no root is drawn (N15), 1 for the sum of sizes, 0 for the largest
    ratio : what no result is larger than where no root is drawn
    """

    count: int
    origin: int
    centred: bool
    root_bits: int
    epsilon: int
    bits: int
    times: int
    power: int = 2
    ratio: int = 1

    @classmethod
    def of(cls, x: QType, count: int, epsilon: Fraction, bits: int, *, centred: bool) -> Self:
        """For ``count`` integers of a type; ``epsilon`` is what ONNX adds to the variance.

        Raises ValueError if double arithmetic has not enough bits.
        """
        origin = (x.lo + x.hi + 1) // 2 if centred else x.zero_point
        reach = max(x.hi - origin, origin - x.lo)
        for root_bits in range(bits, -1, -1):
            added = max(1, rne(epsilon * count**2 * 4**root_bits / x.step**2))
            squares = 4**root_bits * (count * reach) ** 2 + added
            if max(squares, 2 * count * reach << (bits + root_bits)) <= EXACT:
                return cls(count, origin, centred, root_bits, added, bits, count)
        raise cls._too_wide(x, count, bits)

    @classmethod
    def of_norm(cls, x: QType, count: int, power: int, epsilon: Fraction, bits: int) -> Self:
        """Division by the norm with this power, 1 or 2, or by the largest, 0 (N15), for ``count``
        integers of a type; ``epsilon`` is what is added to the sum of squares.

        Raises ValueError if double arithmetic has not enough bits.
        """
        reach = max(x.hi - x.zero_point, x.zero_point - x.lo)
        ratio = reach if power == 0 and x.lo < x.zero_point else 1
        for root_bits in range(bits if power == 2 else 0, -1, -1):
            added = max(1, rne(epsilon * 4**root_bits / x.step**2))
            most = 4**root_bits * count * reach**power + added
            if max(most, 2 * reach << (bits + root_bits)) <= EXACT:
                return cls(count, x.zero_point, False, root_bits, added, bits, 1, power, ratio)
        raise cls._too_wide(x, count, bits)

    @staticmethod
    def _too_wide(x: QType, count: int, bits: int) -> ValueError:
        return ValueError(
            f"a normalisation of {count} integers of {x.bits} bits to {bits} fractional bits needs "
            "integers of more than 51 bits; use fewer bits, or a coarser grid"
        )

    @property
    def rooted(self) -> bool:
        """Whether a root is drawn."""
        return self.power == 2

    @property
    def span(self) -> tuple[int, int]:
        """What no result lies beyond: twice the root of ``times``, as ``r`` is half its own or
        more; ``ratio`` where there is no root.
        """
        if not self.rooted:
            return -(self.ratio << self.bits), self.ratio << self.bits
        most = (2 << self.bits) * (math.isqrt(self.times) + 1)
        return -most, most

    def apply(self, q: IntArray) -> IntArray:
        """Results for integers; the last axis is normalised."""
        p = q - self.origin
        if self.power == 0:
            return ratio(p, p.max(axis=-1, keepdims=True), self.bits)
        if self.power == 1:
            return ratio(p, abs(p).sum(axis=-1, keepdims=True), self.bits)
        c = self.times * p
        w = self.times * (p * p).sum(axis=-1, keepdims=True)
        if self.centred:
            total = p.sum(axis=-1, keepdims=True)
            c, w = c - total, w - total * total
        r = root((w << (2 * self.root_bits)) + self.epsilon)
        return quotient(c << (self.bits + self.root_bits), r)

    def onnx(self, writer: OnnxWriter, q: str) -> str:
        """The same on doubles."""

        def number(value: float) -> str:
            return writer.constant(np.array(value), np.float64)

        last = writer.constant(np.array([-1]), np.int64)
        p = writer.op("Sub", q, number(self.origin))
        if not self.rooted:
            if self.power == 0:
                total = writer.op("ReduceMax", p, axes=[-1], keepdims=1)
            else:
                total = writer.op("ReduceSum", writer.op("Abs", p), last, keepdims=1)
            return ratio_onnx(writer, p, total, self.bits)
        c = writer.op("Mul", p, number(self.times))
        squares = writer.op("ReduceSum", writer.op("Mul", p, p), last, keepdims=1)
        w = writer.op("Mul", squares, number(self.times))
        if self.centred:
            total = writer.op("ReduceSum", p, last, keepdims=1)
            c = writer.op("Sub", c, total)
            w = writer.op("Sub", w, writer.op("Mul", total, total))
        scaled = writer.op("Mul", w, number(4.0**self.root_bits))
        r = root_onnx(writer, writer.op("Add", scaled, number(self.epsilon)))
        return quotient_onnx(
            writer, writer.op("Mul", c, number(2.0 ** (self.bits + self.root_bits))), r
        )
