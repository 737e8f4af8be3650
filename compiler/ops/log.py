# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Log (ONNX operator versions 6, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import DomainError, Unary
from ..ir.algebra import Expression, X, function
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _Logarithm(Unary):
    """Rises; transcendental at all algebraic numbers but 1 (Lindemann).

    At 0 it is minus infinity, which saturates (as ONNX's QuantizeLinear has it).
    """

    def rational(self, x: Fraction) -> Fraction | None:
        if x < 0:
            raise DomainError(
                f"Log is not defined at {float(x):g}, which its input's grid holds; put a Relu or "
                "Clip before it"
            )
        return Fraction(0) if x == 1 else None

    def ball(self, x: arb) -> arb:
        from flint import arb

        return arb.neg_inf() if x.is_zero() else x.log()


@dataclass(frozen=True)
class Log(UnaryOp):
    """The natural logarithm."""

    onnx_types = ("Log",)

    @property
    def function(self) -> Unary:
        """``log(x)``, of numbers that are not negative."""
        return _Logarithm()

    @property
    def formula(self) -> Expression:
        """The same."""
        return function("log", X)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One, that also takes zeros."""
        yield Case("log", one_node("Log", [(1, 5, 3)], (1, 5, 3)), 0.01, 5.0)
