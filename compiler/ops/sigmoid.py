# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sigmoid (ONNX operator versions 6, 13)."""

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
class _Logistic(Unary):
    """``1 / (1 + exp(-x))``: rises; irrational at all rational numbers but 0, as exp is."""

    def rational(self, x: Fraction) -> Fraction | None:
        return Fraction(1, 2) if x == 0 else None

    def ball(self, x: arb) -> arb:
        return 1 / (1 + (-x).exp())


@dataclass(frozen=True)
class Sigmoid(UnaryOp):
    """The logistic function."""

    onnx_types = ("Sigmoid",)

    @property
    def function(self) -> Unary:
        """``1 / (1 + exp(-x))``."""
        return _Logistic()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A byte, and a wide range on a narrow grid."""
        shape = (1, 6, 4, 5)
        yield Case("sigmoid", one_node("Sigmoid", [shape], shape), -6.0, 6.0)
        yield Case("sigmoid_4", one_node("Sigmoid", [(1, 7)], (1, 7)), -20.0, 9.0, 4)
