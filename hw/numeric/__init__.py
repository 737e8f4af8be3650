# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one definition of midwire's arithmetic.

Everything else (the numpy reference, ``slice.onnx``, the RTL) is checked against what stands here.

Rules, cited by tests as N1 to N14:

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
N8 to N11 define normalisations: see :mod:`.norms`. N12 to N14 define recurrent layers: see
:mod:`.cells`.

Why N5 can round half to even: with half a unit inside ``c``, ``y`` is round-half-up; an exact tie
lands on (or, for a truncated multiplier, just above) a fraction of zero, and is wrong just where
``y`` is odd.
"""

from __future__ import annotations

from .function import Affine, Composed, Function, UndecidedError
from .qtype import MAX_BITS, IntArray, IntType, QType, bits_for, rne
from .unary import DomainError, Exponential, Interval, Piecewise, Unary

__all__ = [
    "MAX_BITS",
    "Affine",
    "Composed",
    "DomainError",
    "Exponential",
    "Function",
    "IntArray",
    "IntType",
    "Interval",
    "Piecewise",
    "QType",
    "Unary",
    "UndecidedError",
    "bits_for",
    "rne",
]
