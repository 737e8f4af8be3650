# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GELU as torch, TensorFlow and JAX write it: with the error function, or its tanh approximation.

The square roots are constants that each exporter rounds to float32 in its own way, as a factor or
as a divisor.
"""

from __future__ import annotations

import math

from ..ir.algebra import Expression, X, exactly, function, spellings
from .match import unary


def _half(inner: Expression) -> Expression:
    return X * (inner + 1) / 2


_CUBE = X + X.power(3) * exactly(0.044715)

GELU = unary(
    "Gelu",
    before="0.5 * x * (1 + erf(x / sqrt(2)))",
    after="Gelu(x)",
    keys=["Erf"],
    forms=[(_half(function("erf", X * s)), {}) for s in spellings(math.sqrt(0.5))],
)

GELU_TANH = unary(
    "Gelu",
    before="0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
    after='Gelu<approximate = "tanh">(x)',
    keys=["Tanh"],
    forms=[
        (_half(function("tanh", _CUBE * s)), {"approximate": "tanh"})
        for s in spellings(math.sqrt(2 / math.pi))
    ],
)
