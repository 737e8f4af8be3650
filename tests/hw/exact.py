# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Types and real functions for the tests of numbers and finishers, and rounding by definition."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import arb
from hypothesis import strategies as st

from midwire.hw.numeric import QType, Unary

FRACTIONS = st.fractions(-50, 50, max_denominator=40)


def float32(value: float) -> float:
    """The nearest single-precision number."""
    return float(np.float32(value))


def half_to_even(value: Fraction) -> int:
    """Rounding by its definition: the nearer integer, of two as near the even one."""
    below = value.numerator // value.denominator
    rest = value - below
    if rest == Fraction(1, 2):
        return below + below % 2
    return below + (rest > Fraction(1, 2))


@st.composite
def qtypes(draw: st.DrawFn, most: int = 10) -> QType:
    """Types of up to ``most`` bits, with scales of few bits, of many, and any zero point."""
    bits = draw(st.integers(1, most))
    signed = draw(st.booleans())
    scale = draw(
        st.one_of(
            st.sampled_from([1.0, 0.5, 2.0**-7, float32(1 / 6), float32(1 / 36), float32(0.1)]),
            st.floats(2.0**-20, 2.0**10, width=32),
        )
    )
    empty = QType(bits, signed, scale)
    return QType(bits, signed, scale, draw(st.integers(empty.lo, empty.hi)))


@dataclass(frozen=True)
class Logistic(Unary):
    """The sigmoid: rising, and rational at 0 only."""

    def rational(self, x: Fraction) -> Fraction | None:
        return Fraction(1, 2) if x == 0 else None

    def ball(self, x: arb) -> arb:
        return 1 / (1 + (-x).exp())
