# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Integer types of quantised tensors, and how real numbers become integers (rules N1 and N3)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

MAX_BITS = 32
"""Widest element of a quantised tensor, in bits."""


@dataclass(frozen=True)
class IntType:
    """What hardware knows of an element: its width, 1 to 63 bits, and whether it has a sign."""

    bits: int
    signed: bool

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
    def integers(self) -> IntType:
        """The type of its integers."""
        return IntType(self.bits, self.signed)

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
        return np.asarray(shifted, dtype=np.int64)

    def dequantise(self, q: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real values of integers, rounded to float32 (ONNX DequantizeLinear)."""
        centred = np.asarray(q, dtype=np.int64) - self.zero_point
        return np.asarray(centred.astype(np.float32) * np.float32(self.scale))


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
