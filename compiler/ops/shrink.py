# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shrink (ONNX operator version 9): soft and hard shrinkage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from ...hw.numeric import Piecewise, Unary
from ._model import one_node
from .base import Case, Unsupported
from .unary import UnaryOp, number


@dataclass(frozen=True)
class Shrink(UnaryOp):
    """``x + bias`` below ``-width``, ``x - bias`` above ``width``, and 0 from one to the other."""

    width: Fraction
    bias: Fraction

    onnx_types = ("Shrink",)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """A width of 0 or more; ONNX calls it lambd."""
        width = number(attributes, "lambd", 0.5)
        if width < 0:
            raise Unsupported(f"expected a lambd of at least 0, found {float(width)}")
        return cls(width, number(attributes, "bias", 0.0))

    @property
    def function(self) -> Unary:
        """Two lines, and 0 between them."""
        zero, one = Fraction(0), Fraction(1)
        below, above = (self.bias, one), (-self.bias, one)
        if self.width == 0:
            return Piecewise((zero,), (below, above), (zero,))
        return Piecewise((-self.width, self.width), (below, (zero,), above), (zero, zero))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Soft, hard, and without a gap."""
        shape = (1, 5, 3)
        soft = one_node("Shrink", [shape], shape, lambd=0.5, bias=0.5)
        yield Case("shrink", soft, -2.0, 2.0)
        yield Case("shrink_hard", one_node("Shrink", [shape], shape, lambd=0.7), -2.0, 2.0)
        yield Case("shrink_at_0", one_node("Shrink", [shape], shape, lambd=0.0, bias=-0.5))
