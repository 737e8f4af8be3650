# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""SiLU (Swish): a value times its own sigmoid, and the "quick GELU" with its factor of 1.702."""

from __future__ import annotations

from ..ir.algebra import X, exactly, function
from .match import unary

_FACTORS = (1.0, 1.702)

SWISH = unary(
    "Swish",
    before="x * sigmoid(alpha * x), or x / (1 + exp(-alpha * x)), for alpha 1 or 1.702",
    after="Swish<alpha>(x)",
    keys=["Sigmoid", "Exp"],
    forms=[
        (formula, {"alpha": alpha})
        for alpha in _FACTORS
        for formula in (
            X * function("sigmoid", X * exactly(alpha)),
            X / (function("exp", X * -exactly(alpha)) + 1),
        )
    ],
)
