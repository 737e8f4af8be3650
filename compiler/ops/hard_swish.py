# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""HardSwish (ONNX operator version 14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ...hw.numeric import Piecewise, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp


@dataclass(frozen=True)
class HardSwish(UnaryOp):
    """``x * min(max(x / 6 + 1 / 2, 0), 1)``."""

    onnx_types = ("HardSwish",)

    @property
    def function(self) -> Unary:
        """0 up to -3, a parabola, and the identity from 3."""
        zero, one, three = Fraction(0), Fraction(1), Fraction(3)
        return Piecewise((-three, three), ((zero,), (zero, one / 2, one / 6), (zero, one)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """All three pieces."""
        shape = (1, 6, 4, 5)
        yield Case("hard_swish", one_node("HardSwish", [shape], shape, opset=14), -5.0, 4.0)
