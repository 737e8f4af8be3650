# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ThresholdedRelu (ONNX operator versions 10, 22)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from ...hw.numeric import Piecewise, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp, number


@dataclass(frozen=True)
class ThresholdedRelu(UnaryOp):
    """``x`` where that is above ``alpha``, else 0."""

    alpha: Fraction

    onnx_types = ("ThresholdedRelu",)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """Any finite alpha."""
        return cls(number(attributes, "alpha", 1.0))

    @property
    def function(self) -> Unary:
        """A line that begins with a jump."""
        zero = Fraction(0)
        return Piecewise((self.alpha,), ((zero,), (zero, Fraction(1))), (zero,))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A jump up, and one down."""
        shape = (1, 5, 3)
        high = one_node("ThresholdedRelu", [shape], shape, alpha=0.5)
        yield Case("thresholded_relu", high, -2.0, 2.0)
        low = one_node("ThresholdedRelu", [shape], shape, alpha=-0.75)
        yield Case("thresholded_relu_low", low, -2.0, 2.0)
