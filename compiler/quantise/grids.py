# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose the grid of a float tensor from values that it took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ...hw.numeric import IntType, QType
from ..errors import OptionError

FloatArray = npt.NDArray[np.float32]

SAMPLE = 1 << 16
"""Values of a tensor that are kept to choose its grid; extremes are kept besides."""

_MOST_UNITS = 1 << 15
"""Multiples of what all levels are multiples of: no grid that midwire chooses has more."""

_SHRINKS = 64
"""Candidates for the clipped range in each search: from the whole range down to a 16th."""

_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)

DYADIC_ABOVE = 8
"""Wider grids than this get scales that are powers of two.

An exact multiply-shift for arbitrary scales needs a multiplier of about as many bits as accumulator
and output have together: too wide above some ten bits. Powers of two cost half a bit of resolution
on average, and then hardly a multiplier is needed at all.
"""


ROOMY_FROM, HEADROOM = 11, 1.5
"""From so many bits on, the method "mse" covers so many times what was seen: it has steps to spare,
and of networks that were calibrated on a few dozen samples, others left the ranges of those so far
that 16 bits lost 2 to 6 %, and 0.01 % with room."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Values that a tensor took.

    Attributes
    ----------
    low, high : smallest and largest of all
    count : number of values seen
    values : a seeded subsample and both extremes: about ``SAMPLE`` values, or one of each sample
        where there are more samples than that
    mean : of every element over the samples, in the tensor's own shape; None if unknown
    """

    low: float
    high: float
    count: int
    values: FloatArray
    mean: FloatArray | None = None


METHODS = ("mse", "min-max", "percentile")
"""How the range of a grid is found: least mean squared error, all that was seen, or all but the
outermost :data:`OUTSIDE` on either side."""

OUTSIDE = 1e-4
"""Share of the values on either side that the method "percentile" leaves out."""


@dataclass(frozen=True)
class Choice:
    """How grids are chosen.

    Attributes
    ----------
    method : one of :data:`METHODS`
    symmetric : signed grids have the zero point 0
    bias_correction : what rounding of weights shifts a layer's mean by is taken off its bias
    """

    method: str = "mse"
    symmetric: bool = False
    bias_correction: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(
                "unknown calibration",
                where="--calibration",
                expected=f"one of {', '.join(METHODS)}",
                found=repr(self.method),
                remedy="Leave it out for mse",
            )


def choose_qtype(
    observed: Observed, bits: int, *, dyadic: bool = False, choice: Choice | None = None
) -> QType:
    """The grid of a tensor; by default the one with the least mean squared error on what was seen,
    and with :data:`HEADROOM` if it is wide.

    It is unsigned if no value is negative. Real zero is always exactly on the grid (padding, Relu).
    Values outside the chosen range saturate: a few large ones may be worth clipping.

    Parameters
    ----------
    bits : 2 to 16
    dyadic : the scale is a power of two
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits must be 2 to 16, not {bits!r}")
    how = choice or Choice()
    low, high = min(0.0, observed.low), max(0.0, observed.high)
    kind = _Kind(bits, low < 0, dyadic, how.symmetric)
    if low == high:
        return QType(bits, kind.signed, 1.0, 0)
    values = np.ascontiguousarray(observed.values, dtype=np.float32)
    if how.method == "percentile":
        inner = np.quantile(values, [OUTSIDE, 1 - OUTSIDE])
        # Where all but a few are zero, those few are all there is.
        if inner[0] < 0 or inner[1] > 0:
            low, high = min(0.0, float(inner[0])), max(0.0, float(inner[1]))
    if how.symmetric and kind.signed:
        top = (1 << (bits - 1)) - 1
        high = max(high, -low)
        low = -high * (top + 1) / top
    if how.method != "mse":
        return _grid(kind, low, high)
    if bits >= ROOMY_FROM:
        return _grid(kind, HEADROOM * low, HEADROOM * high)
    shrinks = np.geomspace(1.0, 1 / 16, _SHRINKS)
    best = _best(values, kind, low * shrinks, high * shrinks)
    if low < 0 < high and not how.symmetric:
        # Each end by itself: a long tail on one side should not cost resolution twice.
        for _ in range(2):
            ends = _ends(best)
            best = _best(values, kind, np.full(_SHRINKS, ends[0]), high * shrinks, best)
            ends = _ends(best)
            best = _best(values, kind, low * shrinks, np.full(_SHRINKS, ends[1]), best)
    return best


def grid_of_levels(levels: Sequence[Fraction]) -> QType | None:
    """The narrowest grid with the zero point 0 that holds levels and 0 exactly; None if there are
    none, or they need too many bits or a scale that is no float32.
    """
    if not levels:
        return None
    numerators = [level.numerator for level in levels]
    unit = Fraction(math.gcd(*numerators), math.lcm(*(level.denominator for level in levels)))
    if unit == 0 or Fraction(float(np.float32(float(unit)))) != unit:
        return None
    integers = [int(level / unit) for level in levels]
    if max(map(abs, integers)) > _MOST_UNITS:
        return None
    kind = IntType.holding(min(0, *integers), max(0, *integers))
    return QType(kind.bits, kind.signed, float(unit))


def quantisation_error(values: FloatArray, qtype: QType) -> float:
    """Mean squared error of values on a grid, in float32: good enough to compare grids."""
    steps = values / np.float32(qtype.scale)
    rounded = np.rint(steps)
    np.clip(rounded, qtype.lo - qtype.zero_point, qtype.hi - qtype.zero_point, out=rounded)
    rounded -= steps
    return float(np.dot(rounded, rounded)) / max(1, values.size) * qtype.scale**2


def _ends(qtype: QType) -> tuple[float, float]:
    """The real range of a grid."""
    return (
        (qtype.lo - qtype.zero_point) * qtype.scale,
        (qtype.hi - qtype.zero_point) * qtype.scale,
    )


@dataclass(frozen=True)
class _Kind:
    """What is settled about a grid before its range is."""

    bits: int
    signed: bool
    dyadic: bool
    centred: bool


def _best(
    values: FloatArray,
    kind: _Kind,
    lows: npt.NDArray[np.float64],
    highs: npt.NDArray[np.float64],
    best: QType | None = None,
) -> QType:
    """The best of the grids for pairs of ends, and of one that is known already."""
    least = np.inf if best is None else quantisation_error(values, best)
    some = values[: values.size // _PART]
    for low, high in zip(lows, highs, strict=True):
        candidate = _grid(kind, float(low), float(high))
        # What some values lose is no more than what all do, and most grids are out by that.
        if quantisation_error(some, candidate) * some.size > _SURELY * least * values.size:
            continue
        error = quantisation_error(values, candidate)
        if best is None or error < least:
            best, least = candidate, error
    assert best is not None
    return best


_PART = 8
"""One in so many values is looked at first."""

_SURELY = 1.01
"""More than what sums in float32 are off by."""


def _grid(kind: _Kind, low: float, high: float) -> QType:
    """The finest grid that covers ``low`` to ``high`` (about, once the zero point is rounded)."""
    lo = -(1 << (kind.bits - 1)) if kind.signed else 0
    hi = lo + (1 << kind.bits) - 1
    scale = min(max((high - low) / (hi - lo), _SMALLEST), _LARGEST)
    if kind.dyadic:
        scale = min(2.0 ** math.ceil(math.log2(scale)), 2.0**127)
    while True:
        zero_point = 0 if kind.signed and kind.centred else round(lo - low / scale)
        zero_point = min(max(zero_point, lo), hi)
        single = float(np.float32(scale))
        # What the outermost integers stand for has to be a float32, too.
        if max(hi - zero_point, zero_point - lo) * single <= _LARGEST:
            return QType(kind.bits, kind.signed, single, zero_point)
        scale /= 2
