# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softsign (ONNX operator versions 1, 22)."""

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
class _Quotient(Unary):
    """Rises from -1 to 1; rational where x is."""

    def rational(self, x: Fraction) -> Fraction:
        return x / (1 + abs(x))

    def ball(self, x: arb) -> arb:
        return x / (1 + abs(x))


@dataclass(frozen=True)
class Softsign(UnaryOp):
    """A number divided by its size and 1."""

    onnx_types = ("Softsign",)

    @property
    def function(self) -> Unary:
        """``x / (1 + abs(x))``."""
        return _Quotient()

    @property
    def formula(self) -> Expression:
        """The same."""
        return X / (function("abs", X) + 1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("softsign", one_node("Softsign", [(1, 5, 3)], (1, 5, 3)), -4.0, 4.0)
