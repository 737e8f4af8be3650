# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exp (ONNX operator versions 6, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _Exponential(Unary):
    """Rises; transcendental at all algebraic numbers but 0 (Lindemann)."""

    def rational(self, x: Fraction) -> Fraction | None:
        return Fraction(1) if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x.exp()


@dataclass(frozen=True)
class Exp(UnaryOp):
    """The exponential function."""

    onnx_types = ("Exp",)

    @property
    def function(self) -> Unary:
        """``exp(x)``."""
        return _Exponential()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("exp", one_node("Exp", [(1, 5, 3)], (1, 5, 3)), -4.0, 1.0)
