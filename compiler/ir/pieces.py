# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas of one operand that are polynomials between breaks.

Between two neighbouring breaks every comparison, clip and absolute value has one answer, so the
formula is one polynomial there; a number in between says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from ...hw.numeric import Piecewise
from .algebra import Atom, Expression, NotAFormulaError, X, as_expression, positive

_MOST_BREAKS = 64
"""Each absolute value around another may double them."""

_MOST_DEGREE = 2
"""Of the polynomials that :class:`~...hw.numeric.Piecewise` has."""

_MOST_POWER = 4
"""Of one atom in a product: signs and clips keep theirs however often they are squared."""

_Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first; the last is not zero."""


def pieces(formula: Expression) -> Piecewise:
    """A formula as polynomials between breaks.

    Raises NotAFormulaError if it has a part that is none, breaks at irrational numbers or too many
    of them, or polynomials of a higher degree.
    """
    points = sorted(_breaks(formula))
    parts = [_polynomial(formula, inside) for inside in _insides(points)]
    if any(len(part) > _MOST_DEGREE + 1 for part in parts):
        raise NotAFormulaError
    breaks: list[Fraction] = []
    kept = [parts[0]]
    at: list[Fraction | None] = []
    for point, above in zip(points, parts[1:], strict=True):
        value = _value(formula, point)
        joins = value == _at(above, point)
        if above != kept[-1] or not joins:
            breaks.append(point)
            kept.append(above)
            at.append(None if joins else value)
    whole = tuple(part or (Fraction(0),) for part in kept)
    return Piecewise(tuple(breaks), whole, tuple(at) if any(v is not None for v in at) else ())


def as_formula(function: Piecewise) -> Expression:
    """The inverse of :func:`pieces`: at each break, what the next piece has more is added."""
    formulas = [_formula(piece) for piece in function.pieces]
    total = formulas[0]
    at = function.at or (None,) * len(function.breaks)
    for point, value, below, above in zip(
        function.breaks, at, formulas[:-1], formulas[1:], strict=True
    ):
        behind, reached = positive(X - point), 1 + -positive(point + -X)
        if value is None:
            total = total + reached * (above - below)
        else:
            here = reached - behind
            total = total + behind * (above - below) + here * (as_expression(value) - below)
    return total


def _formula(piece: _Polynomial) -> Expression:
    total = as_expression(piece[0])
    for power, factor in enumerate(piece[1:], 1):
        total = total + X.power(power) * factor
    return total


def _atoms(formula: Expression) -> Iterable[Atom]:
    return {atom for product, _ in formula.terms for atom, _ in product}


def _levels(atom: Atom) -> list[Fraction]:
    """Numbers at which a function of an expression changes from one polynomial to another."""
    if atom.kind == "clip":
        return [bound for bound in atom.bounds if bound is not None]
    if atom.kind in ("positive", "abs"):
        return [Fraction(0)]
    raise NotAFormulaError


def _breaks(formula: Expression) -> set[Fraction]:
    """All points where an answer may change."""
    points: set[Fraction] = set()
    for atom in _atoms(formula):
        if atom.of is None:
            continue
        levels = _levels(atom)
        inner = sorted(_breaks(atom.of))
        points.update(inner)
        for inside in _insides(inner):
            part = _polynomial(atom.of, inside)
            if len(part) > 2:
                raise NotAFormulaError
            if len(part) == 2:
                # A root of the neighbour's polynomial is a point more, and does no harm.
                points.update((level - part[0]) / part[1] for level in levels)
        if len(points) > _MOST_BREAKS:
            raise NotAFormulaError
    return points


def _insides(points: Sequence[Fraction]) -> list[Fraction]:
    """A number in each gap between ascending points, before the first and behind the last."""
    if not points:
        return [Fraction(0)]
    between = [(a + b) / 2 for a, b in pairwise(points)]
    return [points[0] - 1, *between, points[-1] + 1]


def _polynomial(formula: Expression, inside: Fraction) -> _Polynomial:
    """The formula around a number at which no answer changes."""
    total: _Polynomial = ()
    for product, factor in formula.terms:
        term: _Polynomial = (factor,)
        for atom, power in product:
            if not 0 <= power <= _MOST_POWER:
                raise NotAFormulaError
            part = _part(atom, inside)
            for _ in range(power):
                term = _times(term, part)
        total = _plus(total, term)
    return total


def _part(atom: Atom, inside: Fraction) -> _Polynomial:
    """An atom around a number."""
    if atom.kind == "x":
        return (Fraction(0), Fraction(1))
    if atom.of is None:
        raise NotAFormulaError
    argument = _polynomial(atom.of, inside)
    value = _at(argument, inside)
    answer = _answer(atom, value)
    if atom.kind == "positive":
        return (answer,) if answer else ()
    if atom.kind == "abs" and value < 0:
        return tuple(-c for c in argument)
    return argument if answer == value else _plus((), (answer,))


def _answer(atom: Atom, value: Fraction) -> Fraction:
    """A function at a number."""
    if atom.kind == "positive":
        return Fraction(value > 0)
    if atom.kind == "abs":
        return abs(value)
    if atom.kind != "clip":
        raise NotAFormulaError
    low, high = atom.bounds
    value = value if low is None else max(value, low)
    return value if high is None else min(value, high)


def _value(formula: Expression, x: Fraction) -> Fraction:
    """The formula at a number."""
    total = Fraction(0)
    for product, factor in formula.terms:
        for atom, power in product:
            part = x if atom.of is None else _answer(atom, _value(atom.of, x))
            factor *= part**power
        total += factor
    return total


def _at(part: _Polynomial, x: Fraction) -> Fraction:
    return sum((c * x**power for power, c in enumerate(part)), Fraction(0))


def _plus(a: _Polynomial, b: _Polynomial) -> _Polynomial:
    size = max(len(a), len(b))
    longer = [part + (Fraction(0),) * (size - len(part)) for part in (a, b)]
    total = [x + y for x, y in zip(*longer, strict=True)]
    while total and not total[-1]:
        total.pop()
    return tuple(total)


def _times(a: _Polynomial, b: _Polynomial) -> _Polynomial:
    if not a or not b:
        return ()
    total = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            total[i + j] += x * y
    return tuple(total)
