# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules E1 to E3: formulas that mean the same are equal, others are not."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from midwire.compiler.ir.algebra import (
    Expression,
    NotAFormulaError,
    X,
    as_expression,
    clip,
    exactly,
    function,
    odd,
    spellings,
)

HALF = Fraction(1, 2)
ERF = function("erf", X * HALF)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (X * (ERF + 1) * HALF, (X / 2) * ERF + X / 2),
        ((X + 1) * (X - 1), X * X - 1),
        (X.power(3), X * (X * X)),
        (X / (X * X), as_expression(1) / X),
        (-(X - 3), 3 + X * -1),
        (function("erf", X + X), function("erf", 2 * X)),
        (X - X, as_expression(0)),
        (clip(clip(X, Fraction(0), None), None, Fraction(6)), clip(X, Fraction(0), Fraction(6))),
    ],
)
def test_equal(a: Expression, b: Expression) -> None:
    assert a == b


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (X * 2, X * 3),
        (function("erf", X), function("tanh", X)),
        (function("mean", X, 1), function("mean", X, 2)),
        (as_expression(1) / (X + 1), as_expression(1) / X + 1),
        (clip(X, Fraction(0), None), clip(X, None, Fraction(0))),
        (clip(clip(X, Fraction(7), None), None, Fraction(6)), clip(X, Fraction(7), Fraction(6))),
    ],
)
def test_not_equal(a: Expression, b: Expression) -> None:
    assert a != b


def test_odd_functions() -> None:
    """A sign comes out of them; where it is not that of all terms, it stays."""
    assert odd("erf", -X * 3 - X.power(3)) == -odd("erf", X * 3 + X.power(3))
    assert odd("erf", X - 1) == function("erf", X - 1)
    assert odd("erf", X - X) == function("erf", X * 0)


def test_numbers() -> None:
    assert ((X + 2) - X).number == 2
    assert (X * 0).number == 0
    assert (X + 2).number is None
    assert (X + 2).offset == 2


def test_what_is_no_formula() -> None:
    with pytest.raises(NotAFormulaError):
        as_expression(1) / (X - X)
    many = sum((function("f", X, index) for index in range(30)), X)
    with pytest.raises(NotAFormulaError):
        many * many
    for value in (math.inf, math.nan, 1e300):
        with pytest.raises(NotAFormulaError):
            exactly(value)


def test_coefficients_are_bounded() -> None:
    """Each square doubles the digits: a chain of them would take hours."""
    chain = X * exactly(0.3)
    with pytest.raises(NotAFormulaError):
        for _ in range(48):
            chain = chain * chain


def test_powers_are_bounded() -> None:
    """Each square doubles them: a chain of forty is a power of 2^40."""
    chain = X
    with pytest.raises(NotAFormulaError):
        for _ in range(40):
            chain = chain * chain
    with pytest.raises(NotAFormulaError):
        (X + 1).inverse().power(65)


def test_spellings_of_a_factor() -> None:
    """As float32, or one over its inverse as float32; nothing in between."""
    found = spellings(math.sqrt(0.5))
    assert exactly(0.70710678) in found
    assert 1 / exactly(1.41421356) in found
    assert all(abs(float(value) - math.sqrt(0.5)) < 1e-7 for value in found)
    assert Fraction(math.sqrt(0.5)) not in found
