# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Division by a norm as exporters write it: a vector of length 1, or of sizes that add up to 1.

``torch.nn.functional.normalize`` bounds the norm from below, others add an epsilon under the root
or bound the sum under it. What comes behind (a factor) stays as it is.
"""

from __future__ import annotations

import math
from fractions import Fraction

from ..ir.algebra import Atom, Expression, X, of_atom
from ..load.constants import Context
from .match import Formula, Match, make_node
from .reading import Found

_Options = dict[str, str | float | list[int]]


def _replace(context: Context, found: Found) -> Match | None:
    """The operand divided by one of its norms."""
    del context
    inverse = (found.formula / X).inverse()
    atom, factor = inverse.multiple or (None, Fraction(0))
    if atom is None or factor != 1:
        return None
    options = _norm(atom)
    if options is None:
        return None
    node = make_node("LpNormalization", [found.x], found.y, options)
    return Match(found.nodes, (node,))


def _norm(divisor: Atom) -> _Options | None:
    """What the operator is where a divisor is a norm, or one with a lower bound."""
    floor, own = _unbounded(divisor)
    if own is None:
        return None
    if own.kind == "sum" and own.of == of_atom(Atom("abs", X)):
        return {"p": 1, "axes": list(own.axes), "floor": floor}
    if own.kind != "sqrt" or own.of is None:
        return None
    epsilon = own.of.offset
    (under, factor) = (own.of - epsilon).multiple or (None, Fraction(0))
    least, squares = (0.0, None) if under is None or factor != 1 else _unbounded(under)
    if squares is None or squares.kind != "sum" or squares.of != X * X or epsilon < 0:
        return None
    floor = max(floor, math.sqrt(least))
    return {"p": 2, "axes": list(squares.axes), "floor": floor, "epsilon": float(epsilon)}


def _unbounded(atom: Atom) -> tuple[float, Atom | None]:
    """What a clip bounds from below, and the bound; 0 where there is no clip."""
    if atom.kind != "clip":
        return 0.0, atom
    low, high = atom.detail
    inner, factor = (atom.of or Expression(frozenset())).multiple or (None, Fraction(0))
    if high is not None or factor != 1 or not isinstance(low, Fraction) or low < 0:
        return 0.0, None
    return float(low), inner


LP_NORMALIZATION = Formula(
    "LpNormalization",
    before="x / max(norm(x), floor), x / sqrt(sum(x**2) + epsilon)",
    after="LpNormalization<axes, p, floor, epsilon>(x)",
    keys=frozenset({"ReduceL1", "ReduceL2", "ReduceSum", "ReduceSumSquare"}),
    roots=frozenset({"Mul", "Div"}),
    replace=_replace,
    most=20,
)
