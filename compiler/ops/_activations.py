# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Activations of recurrent layers: a name, parameters that some take, and a clip before them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ...hw.numeric import IntArray, Piecewise, Unary
from ...hw.numeric.cells import SPAN, Grid
from .base import Unsupported
from .sigmoid import Sigmoid
from .tanh import Tanh
from .unary import number

_MARGIN = 4
"""An activation without a bound reaches so many times as far as results do that were measured."""


@dataclass(frozen=True)
class Curve:
    """An activation.

    Attributes
    ----------
    function : what it computes
    low : where it rises from to 1, if it is as :meth:`~midwire.hw.numeric.cells.Grid.table` wants
    flat : how far from 0 it ends to change; None if it never does
    gate : whether it is between 0 and 1
    clip : its argument is clipped to that and its negative
    """

    function: Unary
    low: int | None
    flat: Fraction | None
    gate: bool
    clip: Fraction | None = None

    @property
    def bounded(self) -> bool:
        """Whether what is asked of it need not be measured."""
        return self.flat is not None or self.clip is not None

    def span(self, top: Fraction) -> int:
        """A table from ``-2**span`` to ``2**span`` has all of it, for results up to ``top``."""
        ends = [end for end in (self.flat, self.clip) if end is not None]
        reach = min(ends) if ends else _MARGIN * top
        return max(SPAN, (math.ceil(reach) - 1).bit_length()) if reach > 0 else SPAN

    def table(self, grid: Grid) -> IntArray:
        """See rule N12."""
        return grid.table(self.function, self.low, self.clip)


def _hard_sigmoid(alphas: Iterator[float], betas: Iterator[float]) -> Curve:
    given = {"alpha": next(alphas, 0.20000000298023223876953125), "beta": next(betas, 0.5)}
    alpha, beta = (number(given, name, 0.0) for name in ("alpha", "beta"))
    if alpha <= 0:
        raise Unsupported(f"expected a HardSigmoid of a positive alpha, found {float(alpha):g}")
    zero, one = Fraction(0), Fraction(1)
    ends = -beta / alpha, (1 - beta) / alpha
    function = Piecewise(ends, ((zero,), (beta, alpha), (one,)))
    return Curve(function, None, max(map(abs, ends)), gate=True)


_RELU = Piecewise((Fraction(0),), ((Fraction(0),), (Fraction(0), Fraction(1))))
_KNOWN: Mapping[str, Callable[[Iterator[float], Iterator[float]], Curve]] = {
    "Sigmoid": lambda _, __: Curve(Sigmoid().function, 0, Fraction(8), gate=True),
    "Tanh": lambda _, __: Curve(Tanh().function, -1, Fraction(8), gate=False),
    "HardSigmoid": _hard_sigmoid,
    "Relu": lambda _, __: Curve(_RELU, None, None, gate=False),
}


def curves_of(
    attributes: Mapping[str, Any], wanted: Sequence[str], directions: int
) -> list[tuple[Curve, ...]]:
    """The activations f, g, h of each direction, as many as are ``wanted`` by default.

    Alphas and betas are given for those that take them, in turn. ``clip`` bounds the sums of gates,
    as ONNX Runtime has it, and so all but the activation of an LSTM's cell, the third.
    """
    names = list(attributes.get("activations") or list(wanted) * directions)
    known = {name.lower(): build for name, build in _KNOWN.items()}
    if len(names) != len(wanted) * directions or any(name.lower() not in known for name in names):
        raise Unsupported(
            f"expected {len(wanted) * directions} activations out of {sorted(_KNOWN)}, found "
            f"{names}; compute others outside of the layer"
        )
    alphas, betas = (iter(attributes.get(f"activation_{word}", ())) for word in ("alpha", "beta"))
    curves = [known[name.lower()](alphas, betas) for name in names]
    clip = number(attributes, "clip", 0.0)
    if clip < 0:
        raise Unsupported(f"expected a clip of at least 0, found {float(clip):g}")
    if clip:
        curves = [
            curve if k % len(wanted) == 2 else replace(curve, clip=clip)
            for k, curve in enumerate(curves)
        ]
    if len(wanted) > 1 and not all(curve.gate for curve in curves[:: len(wanted)]):
        found = names[:: len(wanted)]
        raise Unsupported(f"expected gates of Sigmoid or HardSigmoid, found {found}")
    return [tuple(curves[k : k + len(wanted)]) for k in range(0, len(curves), len(wanted))]
