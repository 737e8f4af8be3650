# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Functions of one number that are spelled as comparisons and choices.

Binary networks of PyTorch are ``Where(x >= 0, 1, -1)`` or ``2 * Cast(x >= 0) - 1``; people write
Relu, HardTanh, dead zones and lines with a bend by hand in the same way. Whatever depends on one
element and on constants, and is a polynomial between its breaks, is one function.
"""

from __future__ import annotations

from ..load.constants import Context
from ..ops.piecewise import described
from .match import Formula, Match, make_node
from .pieces import pieces
from .reading import Found


def _replaced(context: Context, found: Found) -> Match | None:
    del context
    function = pieces(found.formula)
    if not function.breaks:
        return None
    made = make_node(CHOICE.operator, [found.x], found.y, described(function))
    return Match(found.nodes, (made,))


CHOICE = Formula(
    "Piecewise",
    before="Where(Greater(x, a), b * x + c, d), 2 * Cast(GreaterOrEqual(x, 0)) - 1, and their kind",
    after="Piecewise(x), polynomials between breaks",
    keys=frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign"}),
    roots=frozenset({"Add", "Cast", "Div", "Mul", "Neg", "Sub", "Where"}),
    replace=_replaced,
    most=20,
)
