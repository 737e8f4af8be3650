# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds parameters of rule N5 that are exact, and proves it (rule N4 of :mod:`midwire.hw.numeric`).

Both the exact function and N5 are monotone in each accumulator, so they agree everywhere if they
agree on both sides of every step. Running nodes do not need this.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from ..numeric import Affine, IntArray, QType, rne
from ..remembered import remembered
from .base import MAX_EXACT_DOUBLE, FinishError
from .multiply_shift import MAX_PRODUCT_BITS, MultiplyShift
from .steps import line_starts

_MOST_POINTS = 1 << 20
"""Functions of several terms are checked at every combination of their values, of one at every
step: so many at most.
"""


@dataclass(frozen=True)
class _Points:
    """Where one channel's function is checked: ``acc`` (points, terms) and the exact ``y``."""

    acc: IntArray
    y: IntArray
    lo: int
    hi: int

    @property
    def parts(self) -> Iterator[_Points]:
        """Some of them, from all over, then all; all at once if they are few."""
        every = len(self.y) // _FEW_POINTS | 1  # odd, so not always the same of a term
        if every > 1:
            yield replace(self, acc=self.acc[::every], y=self.y[::every])
        yield self

    def offsets(self, row: IntArray, shift: int, parity: int) -> _Offsets | None:
        """The offsets for which N5 gives ``y`` at every point; None if ``p`` grows too large."""
        unit = 1 << shift
        if int(np.abs(self.acc).max(axis=0).astype(object) @ np.abs(row)) > 1 << MAX_PRODUCT_BITS:
            return None  # int64 sums would wrap around
        p = self.acc @ row
        reach = int(np.abs(p).max())
        # With the offset, p comes to every result but those that it is clamped to.
        results = max(int(self.y.max()), -1 - int(self.y.min()))
        if max(reach, results * unit) >= MAX_EXACT_DOUBLE:
            return None
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
            lowest=int(least.min()),
            highest=int(most.max()),
            reach=reach,
        )


_FEW_POINTS = 512

_FAR = (1 << 63) - 1
"""Farther than any offset: a bound that is none."""


@dataclass(frozen=True)
class _Offsets:
    """Offsets ``c`` of one channel that are right, as an interval that moves with ``tie``.

    ``reach`` is the largest magnitude of ``p`` before an offset is added.
    """

    least_even: int
    least_odd: int
    most_odd: int
    most_even: int
    lowest: int
    highest: int
    reach: int

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


def _results(function: Affine, ranges: Sequence[tuple[int, int]], out: QType) -> tuple[int, int]:
    """Smallest and largest result: a monotone function has them at corners of its range."""
    rising = [scale >= 0 for scale in function.scales]
    low = [lo if up else hi for up, (lo, hi) in zip(rising, ranges, strict=True)]
    high = [hi if up else lo for up, (lo, hi) in zip(rising, ranges, strict=True)]
    return function.exact(low, out), function.exact(high, out)


def _points(
    function: Affine, ranges: Sequence[tuple[int, int]], out: QType, results: tuple[int, int]
) -> _Points:
    """Points such that what is monotone in each accumulator, and right there, is right all over.

    ``results`` are the smallest and the largest result.

    Raises FinishError if they are too many.
    """
    lo, hi = function.ends(out)
    if len(ranges) == 1:
        first, last = results
        ((low, high),) = ranges
        if min(high - low, last - first) > _MOST_POINTS:
            raise FinishError(
                f"a function that passes {last - first} results of {out} is too large to prove; "
                "use at most 20 bits for the output, or scales that are powers of two"
            )
        if high - low > last - first:
            return _Points(*_sides(function, ranges[0], out, first, last), lo, hi)
    size = _combinations(ranges)
    if size > _MOST_POINTS:
        raise FinishError(
            f"a function of {len(ranges)} tensors with {size} value combinations is too large to "
            "prove exhaustively; use at most 20 bits for all its inputs together"
        )
    axes = [np.arange(low, high + 1, dtype=np.int64) for low, high in ranges]
    acc = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return _Points(acc, np.clip(_exact_many(function, acc, out), lo, hi), lo, hi)


def _sides(
    function: Affine, acc: tuple[int, int], out: QType, first: int, last: int
) -> tuple[IntArray, IntArray]:
    """Accumulators (points, 1) on both sides of every step of a function of one, and both ends; and
    their results, which go from ``first`` to ``last``.
    """
    (scale,) = function.scales
    sign = 1 if scale >= 0 else -1
    # A function that falls rises with the negated accumulator.
    starts = line_starts(Affine((abs(scale),), function.offset), out, first, last)
    ends = np.array(acc, dtype=np.int64) * sign
    points = np.unique(np.concatenate([ends, starts - 1, starts]))
    return points[:, None] * sign, first + np.searchsorted(starts, points, side="right")


def _exact_many(function: Affine, acc: IntArray, out: QType) -> IntArray:
    """:meth:`Affine.exact` without bounds, for many points: in floats but where they leave open on
    which side of a tie a value is, which is next to nowhere.
    """
    ratios = [s / out.step for s in function.scales]
    offset = function.offset / out.step
    slopes, base = np.array([float(r) for r in ratios]), float(offset)
    values = acc @ slopes + base
    reach = np.abs(acc) @ np.abs(slopes) + abs(base)
    open_ = np.abs(values - np.floor(values) - 0.5) <= reach * _FLOAT_ERROR
    ends = out.lo - 1 - out.zero_point, out.hi + 1 - out.zero_point
    y = np.rint(np.clip(values, *ends)).astype(np.int64)
    y[open_] = np.clip(_in_integers(ratios, offset, acc[open_]), *ends)
    return y + out.zero_point


_FLOAT_ERROR = 2.0**-48
"""More than what rounding takes from a sum of a few products, as a share of their magnitudes."""


def _in_integers(ratios: Sequence[Fraction], offset: Fraction, acc: IntArray) -> Any:
    """Sums of products, rounded half to even: as integers over one denominator."""
    common = math.lcm(*(ratio.denominator for ratio in (*ratios, offset)))
    total = np.full(len(acc), int(offset * common), dtype=object)
    for term, ratio in enumerate(ratios):
        total = total + acc[:, term].astype(object) * int(ratio * common)
    # rne(n / d) = floor((2n + d) / 2d), less one where that is an odd tie.
    doubled = 2 * total + common
    y = doubled // (2 * common)
    tie = (doubled % (2 * common) == 0) & (y % 2 == 1)
    return y - tie.astype(object)


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
        fitted = _search(tuple(kinds), out, limit)
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


# Trials of other widths fit most nodes of a graph anew as they were.
@lru_cache(maxsize=1024)
def _search(kinds: tuple[_Kind, ...], out: QType, limit: int) -> MultiplyShift | None:
    """Parameters that are right everywhere, at the least shift; those of many points are searched
    for once a user.
    """
    results = [_results(f, r, out) for f, r in kinds]
    if sum(last - first for first, last in results) < _REMEMBERED_POINTS:
        found = _first_shift(kinds, out, limit, results)
    else:
        question = f"multiply-shift below {limit} for {out!r}: {kinds!r}".encode()
        text = remembered(
            question, lambda: json.dumps(_first_shift(kinds, out, limit, results)).encode()
        )
        found = json.loads(text)
    return None if found is None else _parameters(kinds, out, *found)


_REMEMBERED_POINTS = 2048
"""Steps of all channels from which on parameters are kept in the user's cache: others are found as
fast as they are looked up.
"""

_Found = tuple[list[list[int]], list[int], int, int]
"""Multipliers and offset of each channel, shift, tie."""


def _first_shift(
    kinds: Sequence[_Kind], out: QType, limit: int, results: Sequence[tuple[int, int]]
) -> _Found | None:
    """The first shift, from 0 up, at which every channel has an offset that is right everywhere.

    Channels may have many points, so they are looked at one by one, each at a few shifts; at those
    that are too small one of the first channels is wrong already.
    """
    lone = _points(*kinds[0], out, results[0]) if len(kinds) == 1 else None
    ratios = [_ratios(f, ends, out) for (f, _), ends in zip(kinds, results, strict=True)]
    largest = max(abs(ratio) for row in ratios for ratio in row)
    shifts = [shift for shift in range(_MOST_SHIFT + 1) if largest * (1 << shift) < limit]
    for start in range(0, len(shifts), _TOGETHER):
        attempts = [
            _Attempt(shift, out.zero_point & 1, most=(1 << shift) // 2)
            for shift in shifts[start : start + _TOGETHER]
        ]
        for index, (function, ranges) in enumerate(kinds):
            points = lone or _points(function, ranges, out, results[index])
            attempts = [attempt for attempt in attempts if attempt.takes(ratios[index], points)]
            if not attempts:
                break
        for attempt in attempts:
            offset = attempt.chosen()
            if offset is not None:
                return attempt.multiplier, offset, attempt.shift, attempt.tie
    return None


_TOGETHER = 4
"""Shifts that are looked at for each channel: not many more than needed, and its points are not
made again for each of them.
"""

_MOST_SHIFT = 51
"""Largest shift that is tried: ``p`` has at most 53 bits."""


def _ratios(function: Affine, results: tuple[int, int], out: QType) -> tuple[Fraction, ...]:
    """Slopes in steps of the output. A channel that cannot leave one result (dead weights) needs no
    multiplier, however coarse its scale.
    """
    first, last = results
    return tuple(s / out.step if first < last else Fraction(0) for s in function.scales)


@dataclass
class _Attempt:
    """One shift, and what is right at it for the channels so far.

    Attributes
    ----------
    shift, parity : as in :class:`MultiplyShift`
    most : largest tie that leaves every channel an offset
    tie : the smallest one
    multiplier, offsets : of each channel
    """

    shift: int
    parity: int
    most: int
    tie: int = 0
    multiplier: list[list[int]] = field(default_factory=list)
    offsets: list[_Offsets] = field(default_factory=list)

    def takes(self, ratios: Sequence[Fraction], points: _Points) -> bool:
        """Add a channel; whether it can be right together with those before."""
        row = [rne(ratio * (1 << self.shift)) for ratio in ratios]
        factors = np.array(row, dtype=np.int64)
        # What is wrong is mostly so at some of few points already.
        for some in points.parts:
            offsets = some.offsets(factors, self.shift, self.parity)
            if offsets is None:
                return False
            least, most = offsets.ties
            self.tie, self.most = max(self.tie, least), min(self.most, most)
            if self.tie > self.most:
                return False
        assert offsets is not None
        self.multiplier.append(row)
        self.offsets.append(offsets)
        return True

    def chosen(self) -> list[int] | None:
        """An offset for each channel, with the smallest tie; None if ``p`` grows too large."""
        chosen = [offsets.middle(self.tie) for offsets in self.offsets]
        peak = max(o.reach + abs(c) for o, c in zip(self.offsets, chosen, strict=True))
        return chosen if peak < MAX_EXACT_DOUBLE else None


def _parameters(
    kinds: Sequence[_Kind],
    out: QType,
    multiplier: Sequence[Sequence[int]],
    offset: Sequence[int],
    shift: int,
    tie: int,
) -> MultiplyShift:
    """Those of N5 that are found, beside those that the functions tell."""
    ends = np.array([function.ends(out) for function, _ in kinds], dtype=np.int64)
    return MultiplyShift(
        multiplier=np.array(multiplier, dtype=np.int64),
        offset=np.array(offset, dtype=np.int64),
        shift=shift,
        tie=tie,
        parity=out.zero_point & 1,
        lo=ends[:, 0],
        hi=ends[:, 1],
    )


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
    for row, (function, terms), half, exact in zip(multiplier, kinds, halves, whole, strict=True):
        low, high = function.ends(out)
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
    return _parameters(kinds, out, multiplier, offset, shift, tie)
