# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Mish (ONNX operator versions 18, 22)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import Interval, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb

_TURN = (Fraction(-11925, 10_000), Fraction(-11924, 10_000))
"""Around the number where its slope is 0."""


@dataclass(frozen=True)
class _Mish(Unary):
    """With ``t = exp(x)``, ``tanh(log(1 + t))`` is ``(t**2 + 2 * t) / (t**2 + 2 * t + 2)``.

    Irrational at all rational numbers but 0, as ``t`` is transcendental there (Lindemann) and the
    quotient is no constant. It falls up to where ``4 * (x + 1) + 4 * t**2 + t**3 + t * (4 * x +
    6)`` is 0 and then rises (Misra, "Mish: A Self Regularized Non-Monotonic Activation Function",
    2019).
    """

    def rational(self, x: Fraction) -> Fraction | None:
        return Fraction(0) if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x * (1 - 2 / (1 + (1 + x.exp()) ** 2))

    @property
    def turns(self) -> tuple[Interval, ...]:
        return (_TURN,)


@dataclass(frozen=True)
class Mish(UnaryOp):
    """A smooth gate of a number by itself."""

    onnx_types = ("Mish",)

    @property
    def function(self) -> Unary:
        """``x * tanh(softplus(x))``."""
        return _Mish()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("mish", one_node("Mish", [(1, 5, 3)], (1, 5, 3), opset=18), -5.0, 3.0)
