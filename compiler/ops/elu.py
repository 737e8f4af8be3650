# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elu, Selu and Celu (ONNX operator versions 6, 6, 12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import onnx

from ...hw.numeric import Interval, Unary
from ..ir.algebra import Expression, X, clip, function
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported, one
from .unary import UnaryOp, number

if TYPE_CHECKING:
    from flint import arb

_DEFAULTS = {
    "Elu": (1.0, 1.0),
    "Selu": (1.67326319217681884765625, 1.05070102214813232421875),
    "Celu": (1.0, 1.0),
}
"""What ONNX has for alpha and gamma."""


@dataclass(frozen=True)
class _Exponential(Unary):
    """``gamma * x`` where x is positive, else ``gamma * alpha * (exp(x / width) - 1)``.

    Rises on both sides of 0, or falls below if alpha is negative.
    """

    alpha: Fraction
    gamma: Fraction
    width: Fraction

    def rational(self, x: Fraction) -> Fraction | None:
        if x >= 0:
            return self.gamma * x
        return Fraction(0) if self.alpha == 0 else None

    def ball(self, x: arb) -> arb:
        from flint import arb

        from ...hw.numeric.unary import ball_of

        below = ball_of(self.gamma * self.alpha) * (x.min(arb(0)) / ball_of(self.width)).expm1()
        return ball_of(self.gamma) * x.max(arb(0)) + below

    @property
    def turns(self) -> tuple[Interval, ...]:
        return () if self.alpha >= 0 else ((Fraction(0), Fraction(0)),)


@dataclass(frozen=True)
class Elu(UnaryOp):
    """A line above 0 and an exponential curve below."""

    alpha: Fraction
    gamma: Fraction
    width: Fraction

    onnx_types = ("Celu", "Elu", "Selu")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Celu's alpha is also the width of its curve."""
        attributes = context.attributes(node)
        alpha, gamma = _DEFAULTS[node.op_type]
        a, g = number(attributes, "alpha", alpha), number(attributes, "gamma", gamma)
        width = a if node.op_type == "Celu" else Fraction(1)
        if width <= 0 or g <= 0:
            raise Unsupported(
                f"expected a positive {'alpha' if width <= 0 else 'gamma'}, "
                f"found {float(width if width <= 0 else g)}"
            )
        return one(cls(a, g, width), [node.input[0]])

    @property
    def function(self) -> Unary:
        """See :class:`_Exponential`."""
        return _Exponential(self.alpha, self.gamma, self.width)

    @property
    def formula(self) -> Expression:
        """The same, with bounds."""
        zero = Fraction(0)
        below = function("exp", clip(X, None, zero) / self.width) - 1
        return (clip(X, zero, None) + below * self.alpha) * self.gamma

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Each, and an alpha that makes it turn."""
        shape = (1, 5, 3)
        yield Case("elu", one_node("Elu", [shape], shape), -3.0, 2.0)
        yield Case("elu_turns", one_node("Elu", [shape], shape, alpha=-0.5), -3.0, 1.0)
        yield Case("selu", one_node("Selu", [shape], shape), -3.0, 2.0)
        yield Case("celu", one_node("Celu", [shape], shape, alpha=2.0), -3.0, 2.0)
