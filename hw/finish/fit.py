# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds parameters of rule N5 that are exact, and proves it (rule N4 of :mod:`midwire.hw.numeric`).

Both the exact function and N5 are monotone in each accumulator, so they agree everywhere if they
agree on both sides of every step. Running nodes do not need this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..numeric import Affine, IntArray, QType, rne
from .base import MAX_EXACT_DOUBLE, FinishError
from .multiply_shift import MAX_PRODUCT_BITS, MultiplyShift

_MOST_POINTS = 1 << 20
"""Functions of several terms are checked at every combination of their values, of one at every
step: so many at most.
"""


def _thresholds(function: Affine, out: QType, lo: int, hi: int, acc: tuple[int, int]) -> IntArray:
    """Accumulators on both sides of every step of a monotone one-term function, and both ends.

    A function that is monotone in the accumulator and right at these points is right on the range.
    Raises FinishError if they are too many.
    """
    (scale,) = function.scales
    acc_lo, acc_hi = acc
    points = {acc_lo, acc_hi}
    if scale != 0:
        # Of the results, only those between the ones at both ends are passed.
        ends = [rne((scale * a + function.offset) / out.step) + out.zero_point for a in acc]
        first, last = max(lo, min(ends)), min(hi, max(ends))
        if acc_hi - acc_lo <= last - first:
            return np.arange(acc_lo, acc_hi + 1)
        if last - first > _MOST_POINTS:
            raise FinishError(
                f"a function that passes {last - first} results of {out} is too large to prove; "
                "use at most 20 bits for the output, or scales that are powers of two"
            )
        # Rounding turns to y where (scale * acc + offset) / step is y - zero_point - 1/2.
        step = out.step / scale / 2
        start = -function.offset / scale
        common = step.denominator * start.denominator
        slope, base = int(step * common), int(start * common)
        for y in range(first + 1, last + 1):
            near = ((2 * (y - out.zero_point) - 1) * slope + base) // common
            points.update((near - 1, near, near + 1))
    return np.array(sorted(a for a in points if acc_lo <= a <= acc_hi), dtype=np.int64)


@dataclass(frozen=True)
class _Points:
    """Where one channel's function is checked: ``acc`` (points, terms) and the exact ``y``."""

    acc: IntArray
    y: IntArray
    lo: int
    hi: int

    @property
    def constant(self) -> bool:
        """Whether the function has one result on the whole range."""
        return bool((self.y == self.y[0]).all())

    def offsets(self, row: IntArray, shift: int, parity: int) -> _Offsets:
        """The offsets for which N5 gives ``y`` at every point."""
        unit = 1 << shift
        p = self.acc @ row
        odd = ((self.y & 1) ^ parity) == 1
        # p + c must reach y, an odd y only at tie above its edge ...
        least, below = self.y * unit - p, self.y > self.lo
        # ... and stay under y + 1, an odd y + 1 being reached only at tie above its edge.
        most, above = (self.y + 1) * unit - 1 - p, self.y < self.hi
        return _Offsets(
            least_even=int(least[below & ~odd].max(initial=-_FAR)),
            least_odd=int(least[below & odd].max(initial=-_FAR)),
            most_odd=int(most[above & odd].min(initial=_FAR)),
            most_even=int(most[above & ~odd].min(initial=_FAR)),
            # Where the result is at one end of the clamp everywhere, one side is open.
            lowest=int((self.lo * unit - p).min()),
            highest=int(((self.hi + 1) * unit - 1 - p).max()),
        )


_FAR = (1 << 63) - 1
"""Farther than any offset: a bound that is none."""


@dataclass(frozen=True)
class _Offsets:
    """Offsets ``c`` of one channel that are right, as an interval that moves with ``tie``."""

    least_even: int
    least_odd: int
    most_odd: int
    most_even: int
    lowest: int
    highest: int

    @property
    def ties(self) -> tuple[int, int]:
        """Smallest and largest ``tie`` that leaves an offset; none does if they are reversed."""
        if self.least_even > self.most_odd or self.least_odd > self.most_even:
            return 1, 0  # no tie helps
        return self.least_even - self.most_even, self.most_odd - self.least_odd

    def middle(self, tie: int) -> int:
        """The offset in the middle of the interval."""
        least = max(self.least_even, self.least_odd + tie)
        most = min(self.most_odd, self.most_even + tie)
        least = self.lowest if least < -_FAR // 2 else least
        most = self.highest if most > _FAR // 2 else most
        return (least + most) // 2


def _combinations(ranges: Sequence[tuple[int, int]]) -> int:
    """Combinations of values to check: one term is checked at its thresholds only."""
    return math.prod(high - low + 1 for low, high in ranges) if len(ranges) > 1 else 1


def _points(function: Affine, ranges: Sequence[tuple[int, int]], out: QType) -> _Points:
    lo, hi = function.ends(out)
    if len(ranges) == 1:
        acc = _thresholds(function, out, lo, hi, ranges[0])[:, None]
        return _Points(acc, np.clip(_exact_many(function, acc, out), lo, hi), lo, hi)
    size = _combinations(ranges)
    if size > _MOST_POINTS:
        raise FinishError(
            f"a function of {len(ranges)} tensors with {size} value combinations is too large to "
            "prove exhaustively; use at most 20 bits for all its inputs together"
        )
    axes = [np.arange(low, high + 1, dtype=np.int64) for low, high in ranges]
    acc = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return _Points(acc, np.clip(_exact_many(function, acc, out), lo, hi), lo, hi)


def _exact_many(function: Affine, acc: IntArray, out: QType) -> IntArray:
    """:meth:`Affine.exact` without bounds, for many points: integers over one denominator."""
    ratios = [s / out.step for s in function.scales]
    offset = function.offset / out.step
    common = int(np.lcm.reduce([r.denominator for r in [*ratios, offset]], dtype=object))
    numerators = [int(r * common) for r in ratios]
    total = np.full(len(acc), int(offset * common), dtype=object)
    for term, numerator in enumerate(numerators):
        total = total + acc[:, term].astype(object) * numerator
    # rne(n / d) = floor((2n + d) / 2d), less one where that is an odd tie.
    doubled = 2 * total + common
    y = doubled // (2 * common)
    tie = (doubled % (2 * common) == 0) & (y % 2 == 1)
    y = y - tie.astype(object) + out.zero_point
    return np.clip(y, out.lo - 1, out.hi + 1).astype(np.int64)


def fit_requantiser(
    functions: Sequence[Affine],
    ranges: Sequence[Sequence[tuple[int, int]]],
    out: QType,
    *,
    max_multiplier_bits: int = 32,
) -> MultiplyShift:
    """Cheapest parameters of N5 that equal the exact functions, proven over the whole range (N4).

    Parameters
    ----------
    functions : one :class:`Affine` for each channel
    ranges : for each channel, one closed ``(lo, hi)`` range for each term
    out : type of the result
    max_multiplier_bits : widest multiplier to try

    Raises
    ------
    FinishError
        If no parameters within the limits are exact.

    The search goes up in shift, so the first hit has the narrowest multipliers. For each channel
    the offsets that are right at every step of the exact function form an interval; the fit is
    exact just if it is not empty. A product may not pass ``MAX_EXACT_DOUBLE``.
    """
    if len(functions) != len(ranges):
        raise ValueError(f"{len(functions)} functions but {len(ranges)} ranges")
    # Channels that are alike (pools, sums of two tensors) are fitted once.
    each = [(f, tuple(r)) for f, r in zip(functions, ranges, strict=True)]
    kinds = {kind: index for index, kind in enumerate(dict.fromkeys(each))}
    limit = 1 << max_multiplier_bits
    fitted = None
    if out.bits > 8 or max(_combinations(r) for _, r in kinds) > _MOST_POINTS:
        fitted = _fit_dyadic(list(kinds), out, limit)
    if fitted is None:
        fitted = _search(list(kinds), out, limit)
    if fitted is None:
        raise FinishError(
            f"no multiplier of up to {max_multiplier_bits} bits is exact for output {out}; "
            "use fewer bits for the output, or a narrower accumulator"
        )
    rows = [kinds[kind] for kind in each]
    return replace(
        fitted,
        multiplier=fitted.multiplier[rows],
        offset=fitted.offset[rows],
        lo=fitted.lo[rows],
        hi=fitted.hi[rows],
    )


def eased(
    functions: Sequence[Affine], ranges: Sequence[Sequence[tuple[int, int]]], out: QType
) -> list[Affine]:
    """The functions with their slopes rounded so that they have an exact multiply-shift.

    Where the scales are given, a slope is what it is, and may come closer to a tie than any
    multiplier resolves. Where midwire chooses them, as those of weights, it may as well choose a
    slope that is a multiple of ``out.scale / 2**shift``, at the largest shift that N5 has room for.
    """
    moving = [
        abs(s)
        for f, r in zip(functions, ranges, strict=True)
        for s, (lo, hi) in zip(f.scales, r, strict=True)
        if s and lo < hi
    ]
    if not moving:
        return list(functions)
    largest = max(moving) / out.step
    reach = max(
        sum(abs(s) * max(abs(lo), abs(hi)) for s, (lo, hi) in zip(f.scales, r, strict=True))
        for f, r in zip(functions, ranges, strict=True)
    )
    shift = min(
        _EASED_BITS - _log2(largest), MAX_EXACT_DOUBLE.bit_length() - 4 - _log2(reach / out.step)
    )
    unit = out.step / (Fraction(2) ** shift)
    return [replace(f, scales=tuple(rne(s / unit) * unit for s in f.scales)) for f in functions]


_EASED_BITS = 30
"""Bits of the largest multiplier of eased functions."""


def _log2(value: Fraction) -> int:
    """Smallest integer that a positive number's logarithm does not exceed, or one more."""
    return value.numerator.bit_length() - value.denominator.bit_length() + 1


_Kind = tuple[Affine, tuple[tuple[int, int], ...]]
"""A channel: its function and the ranges of its terms."""


def _search(kinds: Sequence[_Kind], out: QType, limit: int) -> MultiplyShift | None:
    """The first shift, from 0 up, at which every channel has an offset that is right everywhere."""
    points = [_points(f, r, out) for f, r in kinds]
    ratios = [
        # A channel that cannot leave one result (dead weights) needs no multiplier, however coarse
        # its scale.
        tuple(Fraction(0) if p.constant else s / out.step for s in f.scales)
        for (f, _), p in zip(kinds, points, strict=True)
    ]
    largest = max(abs(ratio) for row in ratios for ratio in row)
    for shift in range(52):
        if largest * (1 << shift) >= limit:
            break
        fitted = _fit_at(ratios, points, out, shift)
        if fitted is not None:
            return fitted
    return None


def _fit_dyadic(kinds: Sequence[_Kind], out: QType, limit: int) -> MultiplyShift | None:
    """Parameters for functions whose ratios to the output's step are integers over a power of two.

    Then ``p`` is no approximation: at the shift where all multipliers are whole it is the real
    result in units of ``2**-shift``, but for the fraction that flooring takes off the offset, which
    no comparison with an integer can see. Nothing has to be enumerated, however wide the terms are.
    """
    ratios = [
        [s / out.step if lo < hi else Fraction(0) for s, (lo, hi) in zip(f.scales, r, strict=True)]
        for f, r in kinds
    ]
    denominators = [ratio.denominator for row in ratios for ratio in row]
    shift = max(denominators).bit_length() - 1
    if any(d & (d - 1) for d in denominators) or shift >= MAX_PRODUCT_BITS:
        return None
    # A term that cannot move is part of the offset.
    still = [
        sum((s * lo for s, (lo, hi) in zip(f.scales, r, strict=True) if lo == hi), f.offset)
        for f, r in kinds
    ]
    halves = [offset / out.step + out.zero_point + Fraction(1, 2) for offset in still]
    whole = [(half * (1 << shift)).denominator == 1 for half in halves]
    # An exact tie needs a whole offset. One more bit keeps the other channels off the tie.
    tie = int(any(whole))
    shift += int(tie and (shift == 0 or not all(whole)))
    unit = 1 << shift
    multiplier = [[int(ratio * unit) for ratio in row] for row in ratios]
    offset: list[int] = []
    ends = [f.ends(out) for f, _ in kinds]
    for row, (_, terms), half, exact, (low, high) in zip(
        multiplier, kinds, halves, whole, ends, strict=True
    ):
        c = (half * unit).__floor__()
        if tie and not exact:
            c |= 1
        spans = [sorted((m * lo, m * hi)) for m, (lo, hi) in zip(row, terms, strict=True)]
        # Where the result saturates everywhere, any offset beyond the clamp will do.
        c = min(c, (high + 1) * unit - sum(lo for lo, _ in spans))
        c = max(c, (low - 1) * unit - sum(hi for _, hi in spans))
        reach = sum(max(abs(lo), abs(hi)) for lo, hi in spans)
        if reach + abs(c) >= MAX_EXACT_DOUBLE or max(abs(m) for m in row) >= limit:
            return None
        offset.append(c)
    return MultiplyShift(
        multiplier=np.array(multiplier, dtype=np.int64),
        offset=np.array(offset, dtype=np.int64),
        shift=shift,
        tie=tie,
        parity=out.zero_point & 1,
        lo=np.array([low for low, _ in ends], dtype=np.int64),
        hi=np.array([high for _, high in ends], dtype=np.int64),
    )


def _fit_at(
    ratios: Sequence[Sequence[Fraction]], points: Sequence[_Points], out: QType, shift: int
) -> MultiplyShift | None:
    """Fit every channel at one shift, with the smallest tie that suits all of them."""
    unit = 1 << shift
    parity = out.zero_point & 1
    multiplier = np.array([[rne(ratio * unit) for ratio in row] for row in ratios], dtype=np.int64)
    reach = max(
        sum(int(np.abs(point.acc[:, term]).max()) * abs(int(m)) for term, m in enumerate(row))
        for row, point in zip(multiplier, points, strict=True)
    )
    if reach + (unit << out.bits) > 1 << MAX_PRODUCT_BITS:
        return None  # int64 sums would wrap around
    found: list[_Offsets] = []
    tie, most = 0, unit // 2
    for row, point in zip(multiplier, points, strict=True):
        found.append(point.offsets(row, shift, parity))
        least, limit = found[-1].ties
        tie, most = max(tie, least), min(most, limit)
        if tie > most:
            return None
    chosen = [offsets.middle(tie) for offsets in found]
    peak = max(
        int(np.abs(point.acc @ row).max()) + abs(c)
        for row, point, c in zip(multiplier, points, chosen, strict=True)
    )
    if peak >= MAX_EXACT_DOUBLE:
        return None
    return MultiplyShift(
        multiplier=multiplier,
        offset=np.array(chosen, dtype=np.int64),
        shift=shift,
        tie=tie,
        parity=parity,
        lo=np.array([p.lo for p in points], dtype=np.int64),
        hi=np.array([p.hi for p in points], dtype=np.int64),
    )
