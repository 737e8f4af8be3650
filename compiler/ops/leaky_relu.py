# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LeakyRelu (ONNX operator versions 6, 16)."""

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
class LeakyRelu(UnaryOp):
    """``x`` where that is positive, else ``alpha * x``."""

    alpha: Fraction

    onnx_types = ("LeakyRelu",)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """Any finite alpha."""
        return cls(number(attributes, "alpha", 0.00999999977648258209228515625))

    @property
    def function(self) -> Unary:
        """Two lines that meet in 0."""
        zero = Fraction(0)
        return Piecewise((zero,), ((zero, self.alpha), (zero, Fraction(1))))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A line that rises and one that falls."""
        shape = (1, 6, 4, 5)
        yield Case("leaky_relu", one_node("LeakyRelu", [shape], shape))
        yield Case("leaky_relu_turns", one_node("LeakyRelu", [shape], shape, alpha=-0.3))
