# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LayerNormalization as exporters wrote it before opset 17, with or without scale and bias."""

from __future__ import annotations

import itertools

import numpy as np

from ...hw.formats.tensor import AnyArray
from ..load.constants import Context
from .algebra import Atom, Expression, X, function, of_atom
from .match import Formula, Found, Replacement, known_array, make_node


def _replace(context: Context, found: Found) -> Replacement | None:
    shape = context.source.values[found.x].shape
    for root in found.formula.atoms("sqrt"):
        assert root.of is not None
        for axes in {mean.detail for mean in root.of.atoms("mean")}:
            count = len(axes)
            if axes != tuple(range(len(shape) - count, len(shape))):
                continue
            parameters = _parameters(found.formula, root, axes)
            if parameters is None:
                continue
            return _node(context, found, shape[-count:], parameters, float(root.of.offset))
    return None


_Parameters = tuple[Atom | None, Atom | None]


def _parameters(formula: Expression, root: Atom, axes: tuple[object, ...]) -> _Parameters | None:
    """Scale and bias, where the formula is a normalisation over those axes."""
    assert root.of is not None
    over = [axis for axis in axes if isinstance(axis, int)]
    mean = function("mean", X, *over)
    spread = (
        function("mean", (X - mean).power(2), *over),
        function("mean", X * X, *over) - mean * mean,
    )
    if root.of - root.of.offset not in spread:
        return None
    normal = (X - mean) / of_atom(root)
    constants: list[Atom | None] = [
        None,
        *sorted(formula.atoms("constant"), key=lambda a: str(a.detail)),
    ]
    for scale, bias in itertools.product(constants, repeat=2):
        wanted = normal if scale is None else normal * of_atom(scale)
        if formula == (wanted if bias is None else wanted + of_atom(bias)):
            return scale, bias
    return None


def _node(
    context: Context, found: Found, shape: tuple[int, ...], parameters: _Parameters, epsilon: float
) -> Replacement | None:
    new: dict[str, AnyArray] = {}
    names = [found.x]
    for word, atom, default in zip(("scale", "bias"), parameters, (1.0, None), strict=True):
        array = None if default is None else np.full(shape, default, np.float32)
        if atom is not None:
            array = known_array(context, str(atom.detail[0]))
            if array is None or array.shape[-len(shape) :] != shape or array.size != np.prod(shape):
                return None
        if array is not None:
            names.append(f"{found.y}::{word}")
            new[names[-1]] = array.reshape(shape).astype(np.float32)
    options = {"axis": -len(shape), "epsilon": epsilon}
    return make_node("LayerNormalization", names, found.y, options), new


LAYER_NORMALIZATION = Formula(
    "LayerNormalization",
    before="(x - mean(x)) / sqrt(mean((x - mean(x))**2) + epsilon) [* scale] [+ bias]",
    after="LayerNormalization<axis, epsilon>(x, scale, bias)",
    keys=frozenset({"ReduceMean"}),
    roots=frozenset({"Add", "Mul", "Div"}),
    replace=_replace,
)
