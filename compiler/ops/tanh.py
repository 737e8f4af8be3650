# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tanh (ONNX operator versions 6, 13)."""

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
class _Tangent(Unary):
    """Rises; irrational at all rational numbers but 0, as exp is."""

    def rational(self, x: Fraction) -> Fraction | None:
        return x if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x.tanh()


@dataclass(frozen=True)
class Tanh(UnaryOp):
    """The hyperbolic tangent."""

    onnx_types = ("Tanh",)

    @property
    def function(self) -> Unary:
        """``tanh(x)``."""
        return _Tangent()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("tanh", one_node("Tanh", [(1, 5, 3)], (1, 5, 3)), -3.0, 2.0)
