# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one definition of midwire's arithmetic.

Everything else (the numpy reference, ``slice.onnx``, the RTL) is checked against what stands here.

Rules, cited by tests as N1 to N5:

N1. A quantised tensor is an integer array ``q`` with a :class:`QType`; it means the real numbers
    ``scale * (q - zero_point)``, where ``scale`` is the exact value of a stored float32.
N2. Real arithmetic between two quantised tensors is exact: no intermediate rounding.
N3. Quantising the real number ``r`` gives ``clamp(rne(r / scale) + zero_point, lo, hi)``, where
    ``rne`` rounds half to even (ONNX QuantizeLinear, opset 10 and later) and ``lo, hi`` are the
    type's ends.
N4. A requantiser is *exact over a range*: for every accumulator value in the range, it returns what
    N2 and N3 say. :func:`fit_requantiser` proves that for the parameters that it returns, or
    raises.
N5. Hardware computes ``p = sum(m * acc) + c`` and ``y = p >> shift``, takes 1 from a ``y`` whose
    lowest bit is not ``parity`` and whose fraction ``p mod 2**shift`` is below ``tie``, then clamps
    to ``[lo, hi]``.

Why N5 can round half to even: with half a unit inside ``c``, ``y`` is round-half-up; an exact tie
lands on (or, for a truncated multiplier, just above) a fraction of zero, and is wrong just where
``y`` is odd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

MAX_BITS = 32
"""Widest element of a quantised tensor, in bits."""

MAX_PRODUCT_BITS = 62
"""A requantiser's ``p`` must fit a signed 64-bit word, in the reference and in the simulator."""

MAX_EXACT_DOUBLE = 1 << 53
"""``slice.onnx`` evaluates requantisers in double: integers are exact up to here."""


@dataclass(frozen=True)
class QType:
    """Integer type of a quantised tensor.

    Attributes
    ----------
    bits : int
        Width of an element, 1 to 32.
    signed : bool
        Two's complement if true.
    scale : float
        A float32 value, finite and positive. The real number is ``scale * (q - zero_point)``.
    zero_point : int
        Must be representable in the type (ONNX QuantizeLinear).
    """

    bits: int
    signed: bool
    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise ValueError(f"bits must be 1 to {MAX_BITS}, not {self.bits!r}")
        scale = float(self.scale)
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be finite and positive, not {self.scale!r}")
        with np.errstate(over="ignore"):
            single = float(np.float32(scale))
        if single != scale:
            raise ValueError(f"scale must be a float32 value, not {self.scale!r}")
        if not self.lo <= self.zero_point <= self.hi:
            raise ValueError(
                f"zero_point must lie in [{self.lo}, {self.hi}], not {self.zero_point!r}"
            )

    @property
    def lo(self) -> int:
        """Smallest integer of the type."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest integer of the type."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def step(self) -> Fraction:
        """The scale as an exact rational number."""
        return Fraction(self.scale)

    @property
    def container_bytes(self) -> int:
        """Bytes of an element on a stream port and on the wire: 1, 2 or 4."""
        return next(size for size in (1, 2, 4) if self.bits <= 8 * size)

    @property
    def wire_dtype(self) -> np.dtype[np.generic]:
        """Little-endian numpy type of the container."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.container_bytes}")

    def quantise(self, real: npt.ArrayLike) -> IntArray:
        """Apply N3 to float values (each taken as its exact value).

        The division is rounded in double first. It can only matter where ``real / scale`` is within
        2**-52 (relative) of a tie; those elements are decided again in rational arithmetic.
        """
        values = np.asarray(real, dtype=np.float64)
        if not np.all(np.isfinite(values)):
            raise ValueError("cannot quantise NaN or infinity")
        # What lies beyond the type by far saturates, however far: no need for infinities.
        far = 4.0 * (1 << self.bits)
        with np.errstate(over="ignore"):
            ratio = np.clip(values / self.scale, -far, far)
        rounded = np.array(np.rint(ratio))
        near_tie = np.abs(np.abs(ratio - np.floor(ratio)) - 0.5) <= np.abs(ratio) * 2.0**-50
        inside = np.abs(ratio) <= 2.0 * (1 << self.bits)
        for index in map(tuple, np.argwhere(near_tie & inside)):
            rounded[index] = round(Fraction(float(values[index])) / self.step)
        shifted = np.clip(rounded + self.zero_point, self.lo, self.hi)
        return shifted.astype(np.int64)

    def dequantise(self, q: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real values of integers, rounded to float32 (ONNX DequantizeLinear)."""
        centred = np.asarray(q, dtype=np.int64) - self.zero_point
        return (centred.astype(np.float32) * np.float32(self.scale)).astype(np.float32)


def bits_for(lo: int, hi: int) -> tuple[int, bool]:
    """Narrowest ``(bits, signed)`` that holds every integer from ``lo`` to ``hi``."""
    if lo > hi:
        raise ValueError(f"lo must not exceed hi, not {lo} > {hi}")
    if lo >= 0:
        return max(1, hi.bit_length()), False
    return max((-lo - 1).bit_length(), hi.bit_length() if hi > 0 else 0) + 1, True


def rne(value: Fraction) -> int:
    """Round a rational number half to even (N3)."""
    return round(value)


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


@dataclass(frozen=True)
class Requantiser:
    """Parameters of N5, for ``channels`` output channels and ``terms`` accumulators each.

    Attributes
    ----------
    multiplier : int64 array, (channels, terms)
    offset : int64 array, (channels,)
        Holds the bias, zero points and the rounding half.
    shift : int
        Arithmetic right shift, the same for all channels.
    tie : int
        Below this fraction an odd result loses 1. Zero where no accumulator can hit a tie.
    parity : int
        What *odd* means: the lowest bit of ``y`` differs from this (that of the zero point, which
        is inside ``offset`` but is added after rounding in N3).
    lo, hi : int64 arrays, (channels,)
        The clamp.
    """

    multiplier: IntArray
    offset: IntArray
    shift: int
    tie: int
    parity: int
    lo: IntArray
    hi: IntArray

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(self.offset.shape[0])

    def apply(self, *accs: IntArray) -> IntArray:
        """Requantise accumulators whose last axis is the channel axis (or has length 1)."""
        p = self.offset
        for term, acc in enumerate(accs):
            p = p + acc * self.multiplier[:, term]
        y = p >> self.shift
        if self.tie:
            fraction = p & ((1 << self.shift) - 1)
            y = y - (((y & 1) ^ self.parity) & (fraction < self.tie))
        return np.clip(y, self.lo, self.hi)


class RequantiseError(ValueError):
    """No parameters of N5 within the width limits equal the exact function."""


def _thresholds(function: Affine, out: QType, lo: int, hi: int, acc: tuple[int, int]) -> IntArray:
    """Accumulators on both sides of every step of a monotone one-term function, and both ends.

    A function that is monotone in the accumulator and right at these points is right on the range.
    """
    (scale,) = function.scales
    acc_lo, acc_hi = acc
    points = {acc_lo, acc_hi}
    if scale != 0:
        # Rounding turns to y where (scale * acc + offset) / step is y - zero_point - 1/2.
        step = out.step / scale / 2
        start = -function.offset / scale
        common = step.denominator * start.denominator
        slope, base = int(step * common), int(start * common)
        for y in range(lo + 1, hi + 1):
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


_MOST_COMBINATIONS = 1 << 20
"""Functions of several terms are checked at every combination of their values."""


def _combinations(ranges: Sequence[tuple[int, int]]) -> int:
    """Combinations of values to check: one term is checked at its thresholds only."""
    return math.prod(high - low + 1 for low, high in ranges) if len(ranges) > 1 else 1


def _points(function: Affine, ranges: Sequence[tuple[int, int]], out: QType) -> _Points:
    lo, hi = function.ends(out)
    if len(ranges) == 1:
        acc = _thresholds(function, out, lo, hi, ranges[0])[:, None]
        return _Points(acc, np.clip(_exact_many(function, acc, out), lo, hi), lo, hi)
    size = _combinations(ranges)
    if size > _MOST_COMBINATIONS:
        raise RequantiseError(
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
) -> Requantiser:
    """Cheapest parameters of N5 that equal the exact functions, proven over the whole range (N4).

    Parameters
    ----------
    functions : one :class:`Affine` for each channel
    ranges : for each channel, one closed ``(lo, hi)`` range for each term
    out : type of the result
    max_multiplier_bits : widest multiplier to try

    Raises
    ------
    RequantiseError
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
    if out.bits > 8 or max(_combinations(r) for _, r in kinds) > _MOST_COMBINATIONS:
        fitted = _fit_dyadic(list(kinds), out, limit)
    if fitted is None:
        fitted = _search(list(kinds), out, limit)
    if fitted is None:
        raise RequantiseError(
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
    """The functions with their slopes rounded so that they have an exact requantiser.

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


def _search(kinds: Sequence[_Kind], out: QType, limit: int) -> Requantiser | None:
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


def _fit_dyadic(kinds: Sequence[_Kind], out: QType, limit: int) -> Requantiser | None:
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
    if any(d & (d - 1) for d in denominators):
        return None
    shift = max(denominators).bit_length() - 1
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
    return Requantiser(
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
) -> Requantiser | None:
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
    found = [
        point.offsets(row, shift, parity) for row, point in zip(multiplier, points, strict=True)
    ]
    tie = max(0, *(offsets.ties[0] for offsets in found))
    if tie > min(unit // 2, *(offsets.ties[1] for offsets in found)):
        return None
    chosen = [offsets.middle(tie) for offsets in found]
    peak = max(
        int(np.abs(point.acc @ row).max()) + abs(c)
        for row, point, c in zip(multiplier, points, chosen, strict=True)
    )
    if peak >= MAX_EXACT_DOUBLE:
        return None
    return Requantiser(
        multiplier=multiplier,
        offset=np.array(chosen, dtype=np.int64),
        shift=shift,
        tie=tie,
        parity=parity,
        lo=np.array([p.lo for p in points], dtype=np.int64),
        hi=np.array([p.hi for p in points], dtype=np.int64),
    )
