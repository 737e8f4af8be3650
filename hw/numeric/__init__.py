# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one definition of midwire's arithmetic.

Everything else (the numpy reference, ``slice.onnx``, the RTL) is checked against what stands here.

Rules, cited by tests as N1 to N18:

N1. A quantised tensor is an integer array ``q`` with a :class:`QType`; it means the real numbers
    ``scale * (q - zero_point)``, where ``scale`` is the exact value of a stored float32.
N2. Real arithmetic between two quantised tensors is exact: no intermediate rounding.
N3. Quantising the real number ``r`` gives ``clamp(rne(r / scale) + zero_point, lo, hi)``, where
    ``rne`` rounds half to even (ONNX QuantizeLinear, opset 10 and later) and ``lo, hi`` are the
    type's ends.
N4. A finisher is *exact over a range*: for every accumulator value in the range, it returns what N2
    (or N6) and N3 say. :mod:`midwire.hw.finish.choose` proves that for what it picks, or refuses.
N5. A multiply-shift computes ``p = sum(m * acc) + c`` and ``y = p >> shift``, takes 1 from a ``y``
    whose lowest bit is not ``parity`` and whose fraction ``p mod 2**shift`` is below ``tie``, then
    clamps to ``[lo, hi]``.
N6. A function that is not affine means its exact real value at the exact real number before it; N3
    rounds that. A value is known to be rational and computed exactly, or its rounding is decided by
    balls of growing precision; floats decide nothing. What no limit decides is refused.
N7. Which finisher computes a function (none, multiply-shift, thresholds or a table) does not matter
    to any bit.
N8 to N11, N15 and N19 define what divides: see :mod:`.norms`. N12 to N14 and N18 define recurrent
layers: see :mod:`.cells`.
N16. Integers that mean themselves (indices, token ids) have the scale 1 and the zero point 0; those
    beyond the ends of their :class:`QType` become its ends.
N17. A look-up reads the entry ``clip(q + wrap if q < 0 else q, low, high)``; its entries are reals,
    and N3 rounds what follows from them once.

Why N5 can round half to even: with half a unit inside ``c``, ``y`` is round-half-up; an exact tie
lands on (or, for a truncated multiplier, just above) a fraction of zero, and is wrong just where
``y`` is odd.
"""

from __future__ import annotations

from .function import Affine, Composed, Function, UndecidedError
from .qtype import LARGEST_REAL, MAX_BITS, IntArray, IntType, QType, bits_for, ends_of, rne
from .unary import DomainError, Exponential, Interval, Listed, Piecewise, Unary

__all__ = [
    "LARGEST_REAL",
    "MAX_BITS",
    "Affine",
    "Composed",
    "DomainError",
    "Exponential",
    "Function",
    "IntArray",
    "IntType",
    "Interval",
    "Listed",
    "Piecewise",
    "QType",
    "Unary",
    "UndecidedError",
    "bits_for",
    "ends_of",
    "rne",
]
