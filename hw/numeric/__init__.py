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
    N2 and N3 say. :mod:`midwire.hw.finish.fit` proves that for the parameters that it finds, or
    refuses.
N5. Hardware computes ``p = sum(m * acc) + c`` and ``y = p >> shift``, takes 1 from a ``y`` whose
    lowest bit is not ``parity`` and whose fraction ``p mod 2**shift`` is below ``tie``, then clamps
    to ``[lo, hi]``.

Why N5 can round half to even: with half a unit inside ``c``, ``y`` is round-half-up; an exact tie
lands on (or, for a truncated multiplier, just above) a fraction of zero, and is wrong just where
``y`` is odd.
"""

from __future__ import annotations

from .function import Affine, Composed, Function, UndecidedError
from .qtype import MAX_BITS, IntArray, IntType, QType, bits_for, rne
from .unary import DomainError, Interval, Piecewise, Unary

__all__ = [
    "MAX_BITS",
    "Affine",
    "Composed",
    "DomainError",
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
