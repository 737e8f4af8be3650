# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas as text, and back."""

from __future__ import annotations

from fractions import Fraction

import pytest

from midwire.compiler.ir.algebra import Atom, Expression, X, as_expression, clip, function, of_atom
from midwire.compiler.ir.written import parsed, written

C1 = of_atom(Atom("constant", None, ("c1",)))


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (as_expression(0), "0"),
        (X, "x"),
        (X * Fraction(-3, 4) + 1, "-3/4*x + 1"),
        (X.power(3) / C1, "c1**-1*x**3"),
        (X * function("erf", X / 2 + C1), "erf(1/2*x + c1)*x"),
        (clip(X, None, Fraction(1, 3)), "clip(x, None, 1/3)"),
        ((X + 1).inverse(), "inverse(1 + x)"),
    ],
)
def test_both_ways(formula: Expression, text: str) -> None:
    assert written(formula) == text
    assert parsed(text) == formula


@pytest.mark.parametrize("text", ["", "x x", "x - y", "f.g(x)", "x[0]", "'x'", "x**x", "f(x, y=1)"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected a formula, found"):
        parsed(text)
