# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Values of formulas: exact where they can be, balls elsewhere; what the operator says of them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from midwire.compiler.ir.written import parsed
from midwire.compiler.ops._constants import Numbers
from midwire.compiler.ops._formulas import FormulaCurve, unary_of
from midwire.compiler.ops.formula import ElementFormula
from midwire.hw.numeric import Affine, DomainError, Piecewise, QType, UndecidedError
from midwire.hw.numeric.unary import ball_of

THIRD = Fraction(1, 3)
ELU = "positive(x)*x + -1*positive(x)*exp(x) + positive(x) + exp(x) + -1"


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        (ELU, THIRD, THIRD),
        (ELU, Fraction(0), Fraction(0)),
        ("positive(x)*log(x)", -THIRD, Fraction(0)),
        ("positive(x)*x**-1 + 1", Fraction(0), Fraction(1)),
        ("exp(clip(x, None, 0)) + x", THIRD, 1 + THIRD),
        ("abs(x + -1)*exp(0*x)", -THIRD, 1 + THIRD),
        ("positive(exp(x) + -2)*x", Fraction(1), Fraction(1)),
        ("clip(exp(x), None, 2)", Fraction(1), Fraction(2)),
        ("sqrt(x)*x", Fraction(1, 4), Fraction(1, 8)),
    ],
)
def test_exact_values(text: str, x: Fraction, value: Fraction) -> None:
    assert FormulaCurve(parsed(text)).rational(x) == value


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        (ELU, -THIRD, math.expm1(-1 / 3)),
        ("x*tanh(log(1 + exp(x)))", THIRD, math.tanh(math.log1p(math.exp(1 / 3))) / 3),
        ("inverse(1 + exp(-1*x))", THIRD, 1 / (1 + math.exp(-1 / 3))),
    ],
)
def test_balls(text: str, x: Fraction, value: float) -> None:
    curve = FormulaCurve(parsed(text))
    assert curve.rational(x) is None
    assert float(curve.ball(ball_of(x))) == pytest.approx(value, rel=1e-12)


def test_a_ball_around_a_break_holds_both_sides() -> None:
    ball = FormulaCurve(parsed("positive(x)*exp(x) + abs(x) + clip(x, 0, 1)")).ball(
        ball_of(Fraction(0)).union(ball_of(THIRD))
    )
    assert ball.contains(ball_of(Fraction(0)))
    assert ball.overlaps(ball_of(THIRD).exp() + 2 * ball_of(THIRD))


def test_what_is_not_defined() -> None:
    with pytest.raises(DomainError, match="keep its divisor above 0"):
        FormulaCurve(parsed("positive(x)**-1")).rational(Fraction(0))
    with pytest.raises(DomainError, match="Log is not defined at -1"):
        FormulaCurve(parsed("log(x)*x")).rational(Fraction(-1))
    assert (
        FormulaCurve(parsed("inverse(x + -1) + exp(x)")).ball(ball_of(Fraction(1))).is_finite()
        is False
    )


def test_a_tie_that_nothing_tells_is_refused() -> None:
    """exp and log of each other are the number itself, and no precision says so."""
    through = Affine((Fraction(1, 2),), Fraction(0)).then(FormulaCurve(parsed("log(exp(x)) + x")))
    with pytest.raises(UndecidedError):
        through.exact([1], QType(8, True, 2.0))


def test_polynomials_are_pieces() -> None:
    assert isinstance(unary_of(parsed("positive(x + -1)*x**2")), Piecewise)
    assert isinstance(unary_of(parsed("positive(x + -1)*x**3")), FormulaCurve)


def test_channels_are_judged_together() -> None:
    """Two levels a channel are four; a line that bends in one channel needs a table for all."""
    two = Numbers((Fraction(1), Fraction(2)), (2,))
    steps = ElementFormula(parsed("c1*positive(x)"), (two,))
    assert steps.levels == tuple(map(Fraction, range(3)))
    assert not steps.needs_table
    bends = ElementFormula(parsed("clip(x, None, 0)*c1 + clip(x, 0, None)"), (two,))
    assert bends.needs_table
    clamped = ElementFormula(parsed("x + -1*clip(x + -1*c1, 0, None)"), (two,))
    assert clamped.clamps
    assert not clamped.needs_table
