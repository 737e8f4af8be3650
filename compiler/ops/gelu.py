# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Gelu (ONNX operator version 20), and what exporters spell out with Erf or Tanh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

from ...hw.numeric import Interval, Unary
from ._model import one_node
from .base import Case, Unsupported
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb

_CUBIC = Fraction(44715, 1_000_000)


@dataclass(frozen=True)
class _Normal(Unary):
    """``x / 2 * (1 + erf(x / sqrt(2)))``; transcendental at all algebraic numbers but 0.

    Its derivative, ``P(x) + x * p(x)`` with the normal distribution P and its density p, has the
    derivative ``p(x) * (2 - x * x)``: from 0 at minus infinity it falls to ``-sqrt(2)``, then rises
    through 0 once, and never comes back to it. So the function falls, turns once, and rises.
    """

    def rational(self, x: Fraction) -> Fraction | None:
        return x if x == 0 else None

    def ball(self, x: arb) -> arb:
        from flint import arb

        return x / 2 * (1 + (x / arb(2).sqrt()).erf())

    @property
    def turns(self) -> tuple[Interval, ...]:
        return ((Fraction(-75180, 100_000), Fraction(-75178, 100_000)),)


@dataclass(frozen=True)
class _Tangent(Unary):
    """``x / 2 * (1 + tanh(u))``, ``u = sqrt(2 / pi) * (x + 0.044715 * x**3)``.

    Its derivative is 0 where ``1 + exp(2 * u) + 2 * x * u'`` is. That is positive from 0 on, and
    below 0 it rises all the way, for its own derivative is ``2 * u' * (exp(2 * u) + 1) + 2 * x *
    u''``, with u' positive and u'' of the sign of x. So the function falls, turns once, and rises.
    """

    def rational(self, x: Fraction) -> Fraction | None:
        return x if x == 0 else None

    def ball(self, x: arb) -> arb:
        from flint import arb

        from ...hw.numeric.unary import ball_of

        inner = (2 / arb.pi()).sqrt() * (x + ball_of(_CUBIC) * x**3)
        return x / 2 * (1 + inner.tanh())

    @property
    def turns(self) -> tuple[Interval, ...]:
        return ((Fraction(-75247, 100_000), Fraction(-75245, 100_000)),)


@dataclass(frozen=True)
class Gelu(UnaryOp):
    """The Gaussian error linear unit, or its approximation by a hyperbolic tangent."""

    approximate: bool = False

    onnx_types = ("Gelu",)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """``approximate`` is none or tanh."""
        kind = attributes.get("approximate", "none")
        if kind not in ("none", "tanh"):
            raise Unsupported(f"expected approximate to be none or tanh, found {kind}")
        return cls(kind == "tanh")

    @property
    def function(self) -> Unary:
        """One of the two."""
        return _Tangent() if self.approximate else _Normal()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Both."""
        shape = (1, 5, 3)
        yield Case("gelu", one_node("Gelu", [shape], shape, opset=20), -3.0, 2.0)
        tanh = one_node("Gelu", [shape], shape, opset=20, approximate="tanh")
        yield Case("gelu_tanh", tanh, -3.0, 2.0)
