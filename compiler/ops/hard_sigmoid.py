# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""HardSigmoid (ONNX operator versions 6, 22): goes into the producer's slope and clamp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.numeric import Function
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, one
from .unary import number


@dataclass(frozen=True)
class HardSigmoid(Op):
    """``min(max(alpha * x + beta, 0), 1)``."""

    alpha: Fraction
    beta: Fraction

    onnx_types = ("HardSigmoid",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Any finite alpha and beta."""
        attributes = context.attributes(node)
        alpha = number(attributes, "alpha", 0.20000000298023223876953125)
        return one(cls(alpha, number(attributes, "beta", 0.5)), [node.input[0]])

    @property
    def absorbable(self) -> bool:
        """A line between two bounds."""
        return True

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """A line, then clamped from 0 to 1."""
        del shape, axis
        return [
            f.times(self.alpha).plus(self.beta).clamped(Fraction(0), Fraction(1)) for f in functions
        ]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """The default, and what PyTorch exports."""
        shape = (1, 5, 3)
        yield Case("hard_sigmoid", one_node("HardSigmoid", [shape], shape), -4.0, 4.0)
        sixth = one_node("HardSigmoid", [shape], shape, alpha=1 / 6)
        yield Case("hard_sigmoid_sixth", sixth, -4.0, 4.0)
