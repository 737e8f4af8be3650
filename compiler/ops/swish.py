# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Swish (ONNX operator version 24), which is SiLU with alpha 1, and what exporters spell out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

from ...hw.numeric import Interval, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp, number

if TYPE_CHECKING:
    from flint import arb

_TURN = (Fraction(-12785, 10_000), Fraction(-12784, 10_000))
"""Around the number where ``1 + exp(x) + x``, which rises, is 0."""


@dataclass(frozen=True)
class _Gated(Unary):
    """``x / (1 + exp(-alpha * x))``; irrational at all rational numbers but 0, as exp is.

    With ``t = alpha * x`` its derivative is 0 where ``1 + exp(t) + t`` is: once.
    """

    alpha: Fraction

    def rational(self, x: Fraction) -> Fraction | None:
        return x / 2 if x == 0 or self.alpha == 0 else None

    def ball(self, x: arb) -> arb:
        from ...hw.numeric.unary import ball_of

        return x / (1 + (-ball_of(self.alpha) * x).exp())

    @property
    def turns(self) -> tuple[Interval, ...]:
        if self.alpha == 0:
            return ()
        low, high = sorted(t / self.alpha for t in _TURN)
        return ((low, high),)


@dataclass(frozen=True)
class Swish(UnaryOp):
    """``x`` times the logistic function of ``alpha * x``."""

    alpha: Fraction = Fraction(1)

    onnx_types = ("Swish",)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """Any finite alpha."""
        return cls(number(attributes, "alpha", 1.0))

    @property
    def function(self) -> Unary:
        """``x * sigmoid(alpha * x)``."""
        return _Gated(self.alpha)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """SiLU, and one that is steeper and mirrored."""
        shape = (1, 5, 3)
        yield Case("swish", one_node("Swish", [shape], shape, opset=24), -5.0, 3.0)
        steep = one_node("Swish", [shape], shape, opset=24, alpha=-2.5)
        yield Case("swish_steep", steep, -3.0, 3.0)
