# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sqrt (ONNX operator versions 6, 13)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import DomainError, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _Root(Unary):
    """Rises."""

    def rational(self, x: Fraction) -> Fraction | None:
        if x < 0:
            raise DomainError(
                f"Sqrt is not defined at {float(x):g}, which its input's grid holds; put a Relu or "
                "Clip before it"
            )
        return rational_root(x)

    def ball(self, x: arb) -> arb:
        return x.sqrt()


@dataclass(frozen=True)
class Sqrt(UnaryOp):
    """The square root."""

    onnx_types = ("Sqrt",)

    @property
    def function(self) -> Unary:
        """``sqrt(x)``, of numbers that are not negative."""
        return _Root()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("sqrt", one_node("Sqrt", [(1, 5, 3)], (1, 5, 3)), 0.0, 5.0)


def rational_root(x: Fraction) -> Fraction | None:
    """The square root of a number that is not negative; None unless its numerator and denominator
    are squares, for then it is irrational.
    """
    top, bottom = math.isqrt(x.numerator), math.isqrt(x.denominator)
    exact = top * top == x.numerator and bottom * bottom == x.denominator
    return Fraction(top, bottom) if exact else None
