# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Integer types of quantised tensors, and how real numbers become integers (rules N1 and N3)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

MAX_BITS = 32
"""Widest element of a quantised tensor, in bits."""

MAX_INTEGER_BITS = 63
"""Widest integer of hardware, in bits: int64 holds it, signed or not."""

LARGEST_REAL = float(np.finfo(np.float32).max)
"""Where the real numbers of models end, which are float32."""

_DIGIT = 1 << 16
"""A quotient is taken apart here, so that each part times a float32 is exact in double."""


@dataclass(frozen=True)
class IntType:
    """What hardware knows of an element: its width, 1 to 63 bits, and whether it has a sign.

    Raises ValueError for any other width.
    """

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_INTEGER_BITS:
            raise ValueError(
                f"bits of an integer must be 1 to {MAX_INTEGER_BITS}, not {self.bits!r}"
            )

    @property
    def lo(self) -> int:
        """Smallest integer of the type."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest integer of the type."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @classmethod
    def holding(cls, lo: int, hi: int) -> IntType:
        """The narrowest type that holds every integer from ``lo`` to ``hi``."""
        return cls(*bits_for(lo, hi))


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

    Raises
    ------
    TypeError, ValueError
        If one of these is something else: they may come from a file.
    """

    bits: int
    signed: bool
    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("bits", Integral), ("zero_point", Integral), ("scale", Real)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise TypeError(f"{name} must not be {value!r}")
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

    @cached_property
    def lo(self) -> int:
        """Smallest integer of the type."""
        return self.integers.lo

    @cached_property
    def hi(self) -> int:
        """Largest integer of the type."""
        return self.integers.hi

    @cached_property
    def integers(self) -> IntType:
        """The type of its integers."""
        return IntType(self.bits, self.signed)

    @cached_property
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
        2**-52 (relative) of a tie; those elements are decided again by exact arithmetic.
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
        near_tie &= np.abs(ratio) <= 2.0 * (1 << self.bits)
        rounded[near_tie] = self._beside_tie(values[near_tie], np.floor(ratio[near_tie]))
        shifted = np.clip(rounded + self.zero_point, self.lo, self.hi)
        return np.asarray(shifted, dtype=np.int64)

    def bounded(self, integers: npt.ArrayLike) -> IntArray:
        """N16: integers that mean themselves; what is beyond the ends becomes them."""
        return np.asarray(np.clip(integers, self.lo, self.hi), dtype=np.int64)

    def _beside_tie(
        self, values: npt.NDArray[np.float64], below: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Quotients that are next to ``below`` and a half, rounded.

        Exact: a float32 times a number of up to 19 bits is, and so is the difference of two numbers
        of which neither is more than twice the other.
        """
        tie = below + 0.5
        high = np.trunc(tie / _DIGIT) * _DIGIT
        distance, edge = values - high * self.scale, (tie - high) * self.scale
        return below + ((distance > edge) | ((distance == edge) & (below % 2 == 1)))

    def dequantise(self, q: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real values of integers, rounded to float32 (ONNX DequantizeLinear)."""
        integers = np.asarray(q)
        short = integers.dtype.itemsize <= 2 and self.bits <= 16
        centred = integers.astype(np.int32 if short else np.int64) - self.zero_point
        real = np.asarray(centred, dtype=np.float32)
        real *= np.float32(self.scale)
        return real


def ends_of(dtype: str) -> tuple[int, int] | None:
    """Smallest and largest integer of a numpy type by its name; None if it is none of integers."""
    if dtype.lstrip("u") not in ("int8", "int16", "int32", "int64"):
        return None
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


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
