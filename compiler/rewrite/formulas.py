# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Functions of one number that are spelled out: where several tensors meet again that are all made
of one, element by element, or are compared with constants.

Binary networks of PyTorch are ``Where(x >= 0, 1, -1)`` or ``2 * Cast(x >= 0) - 1``; ELU is
``Where(x > 0, x, alpha * (exp(x) - 1))``, a leaky Relu ``Max(x, 0.1 * x)``, Mish ``x *
tanh(softplus(x))``, with constants of all elements or of each channel. Whatever operators do it, it
is one function: one table behind one grid, rounded once, where each node would have a grid.

A chain of such operators needs no pattern: each is absorbed in what is before it. Nor do
polynomials without a break, which multipliers compute on wide grids too.
"""

from __future__ import annotations

from ..ir.algebra import Atom, Expression, NotAFormulaError, of_atom
from ..ir.pieces import pieces
from ..ir.written import written
from ..ops._formulas import computable
from . import match
from .match import Match, make_node
from .reading import Found, Readings, known_array


def _replaced(context: Readings, found: Found) -> Match | None:
    if not (_meets(context, found) or _compares(found.formula)):
        return None
    if not computable(found.formula) or _is_polynomial(found.formula):
        return None
    names: dict[str, str] = {}

    def numbered(atom: Atom) -> Expression:
        if atom.kind != "constant":
            return of_atom(atom)
        if known_array(context, str(atom.detail[0])) is None:
            raise NotAFormulaError
        name = names.setdefault(str(atom.detail[0]), f"c{len(names) + 1}")
        return of_atom(Atom("constant", None, (name,)))

    options = {"of": written(found.formula.with_leaves(numbered))}
    node = make_node(FORMULA.operator, [found.x, *names], found.y, options)
    return Match(found.nodes, (node,))


def _is_polynomial(formula: Expression) -> bool:
    """Whether it is one without breaks; of constants that differ, in the operand."""
    if any(atom.of is not None for product, _ in formula.terms for atom, _ in product):
        try:
            return not pieces(formula).breaks
        except NotAFormulaError:
            return False
    return True


def _meets(context: Readings, found: Found) -> bool:
    """Whether the operand is read several times, directly or by way of other nodes."""
    return any(map(context.meets, found.nodes))


def _compares(formula: Expression) -> bool:
    return any(
        atom.kind == "positive" or (atom.of is not None and _compares(atom.of))
        for product, _ in formula.terms
        for atom, _ in product
    )


FORMULA = match.Formula(
    "Formula",
    before="Where(Greater(x, a), b * x + c, d * exp(x)), 2 * Cast(GreaterOrEqual(x, 0)) - 1, "
    "x * tanh(softplus(x)), and their kind",
    after="Formula(x), one function",
    keys=frozenset(),
    roots=frozenset({"Add", "Cast", "Div", "Max", "Min", "Mul", "Neg", "Sub", "Where"}),
    replace=_replaced,
    most=20,
)
