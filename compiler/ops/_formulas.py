# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas of one number as functions: polynomials between breaks, or any curves that conditions
choose from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from ...hw.numeric import DomainError, Interval, Unary
from ...hw.numeric.unary import ball_of
from ..ir.algebra import Atom, Expression, NotAFormulaError, as_expression, of_atom
from ..ir.pieces import pieces
from ._constants import BEYOND
from .erf import Erf
from .exp import Exp
from .log import Log
from .pow import Power
from .sigmoid import Sigmoid
from .sqrt import Sqrt
from .tanh import Tanh

if TYPE_CHECKING:
    from flint import arb

    Value = Fraction | arb

CURVES: Mapping[str, Unary] = {
    "erf": Erf().function,
    "exp": Exp().function,
    "inverse": Power(Fraction(-1)),
    "log": Log().function,
    "sigmoid": Sigmoid().function,
    "sqrt": Sqrt().function,
    "tanh": Tanh().function,
}
"""Functions in formulas that are no polynomials on either side of any number."""

_ANSWERS = frozenset({"abs", "clip", "positive"})
"""Functions that are one polynomial or another one: which, is an answer."""

_Answers = tuple[tuple[Atom, int], ...]
"""On which side of its breaks each such function's argument is: -1, 0 or 1."""


def computable(formula: Expression) -> bool:
    """Whether a formula is one of a number and of constants."""
    return all(
        atom.kind in ("x", "constant")
        if atom.of is None
        else (atom.kind in CURVES or atom.kind in _ANSWERS) and computable(atom.of)
        for atom in _atoms(formula)
    )


@lru_cache(maxsize=1 << 12)
def unary_of(formula: Expression) -> Unary:
    """The function that a :func:`computable` formula without constants is."""
    try:
        return pieces(formula)
    except NotAFormulaError:
        return FormulaCurve(formula)


def substituted(formula: Expression, numbers: Mapping[str, Fraction]) -> Expression:
    """A formula with numbers for its constants."""

    def change(atom: Atom) -> Expression:
        constant = atom.kind == "constant"
        return as_expression(numbers[str(atom.detail[0])]) if constant else of_atom(atom)

    return formula.with_leaves(change)


@dataclass(frozen=True)
class FormulaCurve(Unary):
    """A formula of curves, and of conditions that choose from them.

    At a number, conditions are answered first; what they rule out is not computed (a logarithm of
    what is negative), and what remains is multiplied out again, so ``Where(x > 0, x, exp(x) - 1)``
    is exactly ``x`` at positive numbers.
    """

    formula: Expression

    def __str__(self) -> str:
        return "a formula"

    __repr__ = __str__

    def rational(self, x: Fraction) -> Fraction | None:
        """Where every curve that is left is rational."""
        value = self(x)
        return value if isinstance(value, Fraction) else None

    def ball(self, x: arb) -> arb:
        """Of a ball; where an answer is open, all that it may be."""
        return _ball(self(x))

    def __call__(self, x: Value) -> Value:
        """The value at a number or a ball."""
        try:
            return _value(_settled(self.formula, _answers(self.formula, x)), x)
        except NotAFormulaError as error:
            raise DomainError(
                f"a formula divides by 0 at {x}, which its input's grid holds; keep its divisor "
                "above 0"
            ) from error

    @property
    def turns(self) -> tuple[Interval, ...]:
        """Nothing is known of how it goes: each number is looked at."""
        return ((-BEYOND, BEYOND),)


def _atoms(formula: Expression) -> Iterator[Atom]:
    return (atom for product, _ in formula.terms for atom, _ in product)


@lru_cache(maxsize=1 << 12)
def _asked(formula: Expression) -> tuple[Atom, ...]:
    """The functions in a formula that have answers, those inside of others first."""
    found: dict[Atom, None] = {}
    for atom in _atoms(formula):
        if atom.of is not None:
            found.update(dict.fromkeys(_asked(atom.of)))
            if atom.kind in _ANSWERS:
                found[atom] = None
    return tuple(found)


def _answers(formula: Expression, x: Value) -> _Answers:
    """Those that a number, or a ball, decides."""
    found: _Answers = ()
    for atom in _asked(formula):
        assert atom.of is not None
        low, high = atom.bounds if atom.kind == "clip" else (Fraction(0), Fraction(0))
        side = _side(_value(_settled(atom.of, found), x), low, high)
        if side is not None:
            found = (*found, (atom, side))
    return found


def _side(value: Value, low: Fraction | None, high: Fraction | None) -> int | None:
    """Below (-1), between (0, bounds included) or above (1) bounds; None where that is open."""
    if isinstance(value, Fraction):
        return (high is not None and value > high) - (low is not None and value < low)
    if low is not None and value < ball_of(low):
        return -1
    if high is not None and value > ball_of(high):
        return 1
    inside = (low is None or value > ball_of(low)) and (high is None or value < ball_of(high))
    return 0 if inside else None


@lru_cache(maxsize=1 << 12)
def _settled(formula: Expression, answers: _Answers) -> Expression:
    """A formula with what the answers make of its functions, multiplied out."""
    known = dict(answers)

    def change(atom: Atom) -> Expression:
        if atom.of is None:
            return of_atom(atom)
        inside = _settled(atom.of, answers)
        side = known.get(atom)
        if side is None:
            return of_atom(Atom(atom.kind, inside, atom.detail))
        if atom.kind == "positive":
            return as_expression(int(side > 0))
        if atom.kind == "abs":
            return inside * (side or 1)
        bound = atom.bounds[side > 0] if side else None
        return inside if bound is None else as_expression(bound)

    return formula.changed(change)


def _value(formula: Expression, x: Value) -> Value:
    """The value of a formula at a number; open answers are all that they may be."""
    total = Fraction(0)
    balls: list[arb] = []
    for product, factor in formula.terms:
        value: Value = factor
        for atom, power in product:
            value = _times(value, _powered(_atom_value(atom, x), power))
        if isinstance(value, Fraction):
            total += value
        else:
            balls.append(value)
    return sum(balls, ball_of(total)) if balls else total


def _atom_value(atom: Atom, x: Value) -> Value:
    if atom.of is None:
        return x
    value = _value(atom.of, x)
    if atom.kind in CURVES:
        return CURVES[atom.kind](value)
    return _open(atom, value)


def _open(atom: Atom, value: Value) -> Value:
    """All that a function without an answer may be."""
    from flint import arb

    ball = _ball(value)
    if atom.kind == "positive":
        return arb(0).union(arb(1))
    if atom.kind == "abs":
        return abs(ball)
    low, high = atom.bounds
    ball = ball if low is None else ball.max(ball_of(low))
    return ball if high is None else ball.min(ball_of(high))


def _powered(value: Value, power: int) -> Value:
    """An integer power; of 0, a negative one is infinite."""
    if power < 0:
        value, power = CURVES["inverse"](value), -power
    return value**power


def _times(a: Value, b: Value) -> Value:
    """A product, exact where both are, or where one is 0."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a * b
    for own, other in ((a, b), (b, a)):
        if isinstance(own, Fraction) and not own:
            if not isinstance(other, Fraction) and not other.is_finite():
                raise DomainError(
                    "0 times infinity is not defined; keep what is divided by above 0"
                )
            return own
    return _ball(a) * _ball(b)


def _ball(value: Value) -> arb:
    return ball_of(value) if isinstance(value, Fraction) else value


def rows(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Which element of each constant meet where they broadcast, each combination once."""
    import numpy as np

    places = [np.arange(int(np.prod(shape))).reshape(shape) for shape in shapes]
    if not places:
        return [()]
    met = np.stack([p.ravel() for p in np.broadcast_arrays(*places)], axis=-1)
    return [tuple(map(int, row)) for row in np.unique(met, axis=0)]
