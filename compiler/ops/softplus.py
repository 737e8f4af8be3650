# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softplus (ONNX operator version 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import Unary
from ..ir.algebra import Expression, X, function
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _LogOnePlusExp(Unary):
    """Rises. Never rational where ``x`` is: ``exp(r) = 1 + exp(x)`` has no rational solution
    (Lindemann and Weierstrass).
    """

    def rational(self, x: Fraction) -> Fraction | None:
        del x
        return None

    def ball(self, x: arb) -> arb:
        return x.exp().log1p()


@dataclass(frozen=True)
class Softplus(UnaryOp):
    """A smooth Relu."""

    onnx_types = ("Softplus",)

    @property
    def function(self) -> Unary:
        """``log(1 + exp(x))``."""
        return _LogOnePlusExp()

    @property
    def formula(self) -> Expression:
        """The same."""
        return function("log", function("exp", X) + 1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("softplus", one_node("Softplus", [(1, 5, 3)], (1, 5, 3)), -4.0, 4.0)
