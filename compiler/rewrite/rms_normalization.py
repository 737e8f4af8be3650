# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""RMSNormalization spelled out, as it is before opset 23: a value divided by its root mean square.

The scale, where there is one, is the last factor or any other; the epsilon is inside the root, as
T5, LLaMA and torch's own have it. One that is added to the root is another function. What is found
here is no LayerNormalization, which is this of a value without its mean: that is tried first.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ..ir.algebra import Expression, X, as_expression, function, spellings
from .layer_normalization import replacement
from .match import Formula


def _moments(over: list[int], count: int) -> Iterator[tuple[Expression, Expression]]:
    """Nothing is taken off; sums are divided by the count or multiplied by its inverse."""
    for factor in spellings(1 / count):
        yield as_expression(Fraction(0)), function("sum", X * X, *over) * factor


RMS_NORMALIZATION = Formula(
    "RMSNormalization",
    before="x / sqrt(mean(x**2) + epsilon) [* scale]",
    after="[Transpose] RMSNormalization<axis, epsilon>(x, scale) [Transpose]",
    keys=frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare"}),
    roots=frozenset({"Mul", "Div"}),
    replace=replacement("RMSNormalization", _moments, biased=False),
    most=20,
)
