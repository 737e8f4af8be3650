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
    N2 and N3 say. :mod:`midwire.hw.fit` proves that for the parameters that it finds, or refuses.
N5. Hardware computes ``p = sum(m * acc) + c`` and ``y = p >> shift``, takes 1 from a ``y`` whose
    lowest bit is not ``parity`` and whose fraction ``p mod 2**shift`` is below ``tie``, then clamps
    to ``[lo, hi]``.

Why N5 can round half to even: with half a unit inside ``c``, ``y`` is round-half-up; an exact tie
lands on (or, for a truncated multiplier, just above) a fraction of zero, and is wrong just where
``y`` is odd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
