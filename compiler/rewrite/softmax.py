# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softmax written with exponentials, with the largest element taken off or without: both mean the
same.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.algebra import Expression, X, function, of_atom
from ..load.constants import Context
from .match import Formula, Match, make_node
from .reading import Found

Exponents = Callable[[int], Expression]
"""What the exponentials are of, where the axis is this one."""


def _softmax(before: str, key: str, exponents: Exponents, most: int) -> Formula:
    """One of the two ways to write it."""

    def replace(context: Context, found: Found) -> Match | None:
        for total in found.formula.atoms("sum"):
            if len(total.axes) != 1 or not _alone(context, found, total.axes[0]):
                continue
            power = function("exp", exponents(total.axes[0]))
            if total.of == power and found.formula == power / of_atom(total):
                node = make_node("Softmax", [found.x], found.y, {"axis": total.axes[0]})
                return Match(found.nodes, (node,))
        return None

    return Formula(
        "Softmax",
        before=before,
        after="Softmax<axis>(x)",
        keys=frozenset({key}),
        roots=frozenset({"Div", "Mul"}),
        replace=replace,
        most=most,
    )


def _alone(context: Context, found: Found, axis: int) -> bool:
    """Whether Softmax is over that axis only: before opset 13, it was over all behind it too."""
    shape = context.source.values[found.y].shape
    return context.opset >= 13 or all(size == 1 for size in shape[axis + 1 :])


SOFTMAX = _softmax(
    "exp(x - max(x)) / sum(exp(x - max(x)))",
    "ReduceMax",
    lambda axis: X - function("max", X, axis),
    most=16,  # what JAX writes has 10 nodes
)

BARE_SOFTMAX = _softmax("exp(x) / sum(exp(x))", "Exp", lambda axis: X, most=8)
