# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""HardSwish as exporters wrote it before opset 14: a product with a clipped ramp."""

from __future__ import annotations

from fractions import Fraction

from ..ir.algebra import X, clip, spellings
from .match import unary

HARD_SWISH = unary(
    "HardSwish",
    before="x * clip(x + 3, 0, 6) / 6, or x * HardSigmoid<alpha = 1/6>(x)",
    after="HardSwish(x)",
    keys=["Clip", "HardSigmoid", "Min"],
    forms=[
        *((X * clip(X + 3, Fraction(0), Fraction(6)) * s, {}) for s in spellings(1 / 6)),
        *(
            (X * clip(X * s + Fraction(1, 2), Fraction(0), Fraction(1)), {})
            for s in spellings(1 / 6)
        ),
    ],
)
