# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Abs (ONNX operator versions 6, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ...hw.numeric import Piecewise, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp


@dataclass(frozen=True)
class Abs(UnaryOp):
    """The magnitude."""

    onnx_types = ("Abs",)

    @property
    def function(self) -> Unary:
        """Two lines that meet in 0."""
        zero, one = Fraction(0), Fraction(1)
        return Piecewise((zero,), ((zero, -one), (zero, one)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("abs", one_node("Abs", [(1, 5, 3)], (1, 5, 3)))
