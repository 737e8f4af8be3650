# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LayerNormalization as exporters wrote it before opset 17, with or without scale and bias.

ONNX's operator normalises over an axis and all behind it. A normalisation over other axes is that
operator between two Transposes.

The operator divides the sum of squares by the count, and adds epsilon inside the root. A variance
that is unbiased (divided by the count less one, as ``torch.std`` does) and an epsilon that is added
to the root are other functions of x, and stay spelled out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from ...hw.formats.tensor import AnyArray
from ..ir.algebra import Atom, Expression, X, clip, exactly, function, of_atom, spellings
from ..ir.graph import Value
from ..load.constants import Context
from ..ops.base import MOST_EXACT
from .match import Formula, Match, make_node
from .reading import Found, known_array

Moments = Callable[[list[int], int], Iterator[tuple[Expression, Expression]]]
"""What is taken off and the mean square of the rest, over some axes of so many elements together,
in each way to write them.
"""


def replacement(
    operator: str, moments: Moments, *, biased: bool
) -> Callable[[Context, Found], Match | None]:
    """How a formula becomes an operator that divides by the root of a mean square and an epsilon.

    ``biased`` says whether the operator has a bias.
    """

    def replace(context: Context, found: Found) -> Match | None:
        shape = context.source.values[found.x].shape
        for root in found.formula.atoms("sqrt"):
            for over in _axes(found.formula, root):
                count = math.prod(shape[axis] for axis in over)
                parameters = _parameters(found.formula, root, moments(over, count))
                if parameters is None or root.of is None or root.of.offset < 0:
                    continue
                if biased or not parameters[1].terms:
                    epsilon = float(root.of.offset)
                    return _match(context, found, operator, over, parameters, epsilon)
        return None

    return replace


def _axes(formula: Expression, root: Atom) -> list[list[int]]:
    """The axes that a formula sums over, outside of a root or right below it."""
    totals = formula.atoms("sum") | (root.of.atoms("sum") if root.of is not None else set())
    return [list(axes) for axes in sorted({total.axes for total in totals})]


_Parameters = tuple[Expression, Expression]


def _parameters(
    formula: Expression, root: Atom, moments: Iterator[tuple[Expression, Expression]]
) -> _Parameters | None:
    """Scale and bias, where the formula is a normalisation with one of those moments."""
    assert root.of is not None
    variance = root.of - root.of.offset
    for mean, spread in moments:
        if variance not in (spread, clip(spread, Fraction(0), None)):
            continue
        normal = (X - mean) / of_atom(root)
        scale = (formula * of_atom(root) / X).constant
        bias = formula.constant
        if scale.terms and formula == normal * scale + bias:
            return scale, bias
    return None


def _moments(over: list[int], count: int) -> Iterator[tuple[Expression, Expression]]:
    """Mean and variance, by either of the variance's two formulas.

    Sums are divided by the count or multiplied by its inverse. JAX clamps the difference of two
    means at 0, which the variance is never below.
    """
    factors = spellings(1 / count)
    for first in factors:
        mean = function("sum", X, *over) * first
        for second in factors:
            yield mean, function("sum", (X - mean).power(2), *over) * second
            yield mean, function("sum", X * X, *over) * second - mean * mean


def _match(
    context: Context,
    found: Found,
    operator: str,
    over: list[int],
    parameters: _Parameters,
    epsilon: float,
) -> Match | None:
    x = context.source.values[found.x]
    perm, count = _last(x.shape, over)
    if math.prod(x.shape[axis] for axis in perm[-count:]) > MOST_EXACT:
        return None  # parameters of any size would be written out
    new: dict[str, AnyArray] = {}
    for word, expression in zip(("scale", "bias"), parameters, strict=True):
        array = _array(context, expression, len(perm))
        if array is None or any(array.shape[axis] != 1 for axis in perm[:-count]):
            return None
        if expression.terms:
            own = array.transpose(perm).reshape([array.shape[axis] for axis in perm[-count:]])
            whole = np.broadcast_to(own, [x.shape[axis] for axis in perm[-count:]])
            new[f"{found.y}::{word}"] = whole.astype(x.dtype)
    options = {"axis": -count, "epsilon": epsilon}
    if perm == sorted(perm):
        node = make_node(operator, [found.x, *new], found.y, options)
        return Match(found.nodes, (node,), new)
    turned, normal = (
        Value(f"{found.y}::{word}", tuple(x.shape[axis] for axis in perm), x.dtype)
        for word in ("turned", "normal")
    )
    back = [perm.index(axis) for axis in range(len(perm))]
    nodes = (
        make_node("Transpose", [found.x], turned.name, {"perm": perm}),
        make_node(operator, [turned.name, *new], normal.name, options),
        make_node("Transpose", [normal.name], found.y, {"perm": back}),
    )
    return Match(found.nodes, nodes, new, (turned, normal))


def _last(shape: tuple[int, ...], over: list[int]) -> tuple[list[int], int]:
    """An order of the axes in which those of a normalisation come last, and how many do.

    Axes of length 1 change nothing in a normalisation: where only those are among them, the order
    stays as it is.
    """
    rank = len(shape)
    if all(axis in over or shape[axis] == 1 for axis in range(over[0], rank)):
        return list(range(rank)), rank - over[0]
    return [axis for axis in range(rank) if axis not in over] + over, len(over)


def _array(context: Context, expression: Expression, rank: int) -> AnyArray | None:
    """A number, a constant or its negative, with a number of axes; None for what is computed."""
    number = expression.number
    if number is not None:
        exact = exactly(float(number)) == number
        return np.full((1,) * rank, float(number)) if exact else None
    atom, factor = expression.multiple or (None, Fraction(0))
    array = known_array(context, str(atom.detail[0])) if atom and abs(factor) == 1 else None
    if array is None:
        return None
    axes = array.shape[max(array.ndim - rank, 0) :]
    return array.reshape((1,) * (rank - len(axes)) + axes) * int(factor)


LAYER_NORMALIZATION = Formula(
    "LayerNormalization",
    before="(x - mean(x)) / sqrt(mean((x - mean(x))**2) + epsilon) [* scale] [+ bias]",
    after="[Transpose] LayerNormalization<axis, epsilon>(x, scale, bias) [Transpose]",
    keys=frozenset({"ReduceMean", "ReduceSum", "ReduceSumSquare", "InstanceNormalization"}),
    roots=frozenset({"Add", "Sub", "Mul", "Div", "InstanceNormalization"}),
    replace=replacement("LayerNormalization", _moments, biased=True),
    most=48,  # what JAX writes has 19 nodes, and those before its operand are seen before its last
)
