# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas in a normal form, so that a pattern need not list the ways to write the same one.

E1. An :class:`Expression` is a sum of products with exact rational coefficients. Sums and products
    are multiplied out, so order, association and distribution do not matter: ``x * 0.5 * (1 +
    erf(x / s))`` and ``(x / 2) * erf(x / s) + x / 2`` are equal.
E2. What is no sum or product is an :class:`Atom`: the operand, a constant tensor, a function of an
    expression. Two atoms are equal if they are the same function of equal expressions.
E3. A constant of one element is the rational number that its float32 value is. There is no
    tolerance: a pattern names the values that it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...hw.numeric import LARGEST_REAL

_MOST_TERMS = 32
"""Multiplying out stops here: no pattern is as long."""

MOST_BITS = 1 << 12
"""Of a coefficient's numerator and denominator: each square of a sum doubles them."""

_MOST_POWER = 64
"""Of an atom in a product: each square doubles it, and what follows multiplies that often."""


class NotAFormulaError(Exception):
    """An expression that no pattern can be: too long, with a coefficient that is too long or a
    power that is too high, divided by zero, not finite in float32.
    """


@dataclass(frozen=True)
class Atom:
    """What is not multiplied out (rule E2).

    Attributes
    ----------
    kind : "x", "constant", or the function's name
    of : the function's argument
    detail : what else tells it from others: a constant's name, bounds, axes
    """

    kind: str
    of: Expression | None = None
    detail: tuple[Fraction | int | str | None, ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """Those that a sum is over."""
        return tuple(axis for axis in self.detail if isinstance(axis, int))

    @property
    def bounds(self) -> tuple[Fraction | None, Fraction | None]:
        """Those of a clip."""
        low, high = (bound if isinstance(bound, Fraction) else None for bound in self.detail)
        return low, high


_Product = frozenset[tuple[Atom, int]]
"""Atoms and their exponents."""


@dataclass(frozen=True)
class Expression:
    """A sum of products (rule E1); ``terms`` has each product once, coefficients are not zero."""

    terms: frozenset[tuple[_Product, Fraction]]

    def __add__(self, other: Expression | Fraction | int) -> Expression:
        total = dict(self.terms)
        for product, factor in as_expression(other).terms:
            total[product] = total.get(product, Fraction(0)) + factor
        return _sum(total)

    def __mul__(self, other: Expression | Fraction | int) -> Expression:
        total: dict[_Product, Fraction] = {}
        others = as_expression(other).terms
        for mine, factor in self.terms:
            for yours, other_factor in others:
                product = _times(mine, yours)
                total[product] = total.get(product, Fraction(0)) + factor * other_factor
        return _sum(total)

    def __neg__(self) -> Expression:
        return Expression(frozenset((product, -factor) for product, factor in self.terms))

    def __sub__(self, other: Expression | Fraction | int) -> Expression:
        return self + -as_expression(other)

    def __truediv__(self, other: Expression | Fraction | int) -> Expression:
        return self * as_expression(other).inverse()

    __radd__, __rmul__ = __add__, __mul__

    def power(self, exponent: int) -> Expression:
        """An integer power of at least 1."""
        result = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def inverse(self) -> Expression:
        """1 over it: a product by its exponents, a sum as an atom."""
        if not self.terms:
            raise NotAFormulaError
        if len(self.terms) > 1:
            return function("inverse", self)
        ((product, factor),) = self.terms
        return _sum({frozenset((atom, -power) for atom, power in product): 1 / factor})

    @property
    def number(self) -> Fraction | None:
        """The number that it is, if it is one."""
        if not self.terms:
            return Fraction(0)
        constant = dict(self.terms).get(frozenset())
        return constant if len(self.terms) == 1 else None

    @property
    def offset(self) -> Fraction:
        """The term without atoms."""
        return dict(self.terms).get(frozenset(), Fraction(0))

    @property
    def multiple(self) -> tuple[Atom, Fraction] | None:
        """The atom and the number, if it is an atom times a number."""
        for product, factor in self.terms:
            for atom, power in product:
                if len(self.terms) == len(product) == power == 1:
                    return atom, factor
        return None

    @property
    def constant(self) -> Expression:
        """The terms that are products of constants, numbers among them."""
        return Expression(
            frozenset(
                (product, factor)
                for product, factor in self.terms
                if all(atom.kind == "constant" for atom, _ in product)
            )
        )

    def changed(self, change: Callable[[Atom], Expression]) -> Expression:
        """The formula with something else for each of its atoms, multiplied out.

        A product with a factor of 0 is 0, whatever its other factors are.
        """
        total = as_expression(0)
        for product, factor in self.terms:
            factors = [(change(atom), power) for atom, power in product]
            if any(new.number == 0 and power > 0 for new, power in factors):
                continue
            term = as_expression(factor)
            for new, power in factors:
                term = term * (new if power > 0 else new.inverse()).power(abs(power))
            total = total + term
        return total

    def with_leaves(self, change: Callable[[Atom], Expression]) -> Expression:
        """The formula with something else for the operand and the constants, wherever they are."""

        def deep(atom: Atom) -> Expression:
            if atom.of is None:
                return change(atom)
            return of_atom(Atom(atom.kind, atom.of.with_leaves(change), atom.detail))

        return self.changed(deep)

    def atoms(self, kind: str) -> set[Atom]:
        """The atoms of a kind in its products, not inside other atoms."""
        return {atom for product, _ in self.terms for atom, _ in product if atom.kind == kind}


def _times(a: _Product, b: _Product) -> _Product:
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
        if abs(powers[atom]) > _MOST_POWER:
            raise NotAFormulaError
    return frozenset((atom, power) for atom, power in powers.items() if power)


def _sum(terms: dict[_Product, Fraction]) -> Expression:
    if len(terms) > _MOST_TERMS:
        raise NotAFormulaError
    for factor in terms.values():
        if max(factor.numerator.bit_length(), factor.denominator.bit_length()) > MOST_BITS:
            raise NotAFormulaError
    return Expression(frozenset((p, factor) for p, factor in terms.items() if factor))


def as_expression(value: Expression | Fraction | int) -> Expression:
    """A number, or what is one already."""
    if isinstance(value, Expression):
        return value
    return _sum({frozenset(): Fraction(value)})


def of_atom(atom: Atom) -> Expression:
    """An atom by itself."""
    return Expression(frozenset({(frozenset({(atom, 1)}), Fraction(1))}))


def function(kind: str, argument: Expression, *detail: Fraction | int | str | None) -> Expression:
    """A function of an expression."""
    return of_atom(Atom(kind, argument, detail))


def odd(kind: str, argument: Expression) -> Expression:
    """A function with ``f(-x) = -f(x)``, of an expression without a sign before it: a complement
    (``1 - erf(-x)``, which is erfc) is the sum that it is.
    """
    falls = argument.terms and all(factor < 0 for _, factor in argument.terms)
    return -function(kind, -argument) if falls else function(kind, argument)


def positive(argument: Expression) -> Expression:
    """1 where an expression is above 0, else 0: what comparisons are made of."""
    number = argument.number
    return function("positive", argument) if number is None else as_expression(int(number > 0))


def clip(argument: Expression, low: Fraction | None, high: Fraction | None) -> Expression:
    """``min(max(argument, low), high)``; a clip of a clip is one where their ranges meet."""
    inner = next(iter(argument.atoms("clip")), None)
    if inner is not None and argument == of_atom(inner) and inner.of is not None:
        first, last = inner.bounds
        bottom = low if first is None else first if low is None else max(low, first)
        top = high if last is None else last if high is None else min(high, last)
        if bottom is None or top is None or bottom <= top:
            return function("clip", inner.of, bottom, top)
    return function("clip", argument, low, high)


X = of_atom(Atom("x"))
"""The operand of a pattern."""


def exactly(value: float) -> Fraction:
    """The rational number that a value is as float32 (rule E3)."""
    if not abs(value) <= LARGEST_REAL:
        raise NotAFormulaError
    return Fraction(float(np.float32(value)))


def spellings(value: float) -> tuple[Fraction, ...]:
    """A factor as exporters write it: multiplied by it, or divided by its inverse, in float32."""
    inverse = np.float32(1.0) / np.float32(value)
    return tuple(
        dict.fromkeys(
            [
                exactly(value),
                exactly(float(np.float32(1.0) / np.float32(1.0 / value))),
                1 / exactly(1.0 / value),
                1 / exactly(float(inverse)),
            ]
        )
    )
