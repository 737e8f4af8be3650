# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shrink and ThresholdedRelu (ONNX operator versions 9, 10, 22): lines with a gap of zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.numeric import Piecewise, Unary
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported, one
from .unary import UnaryOp, number


@dataclass(frozen=True)
class Shrink(UnaryOp):
    """``x + bias`` below ``low`` (if there is one), ``x - bias`` above ``high``, else 0."""

    low: Fraction | None
    high: Fraction
    bias: Fraction

    onnx_types = ("Shrink", "ThresholdedRelu")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Shrink has both lines, and a threshold of at least 0."""
        attributes = context.attributes(node)
        if node.op_type == "ThresholdedRelu":
            op = cls(None, number(attributes, "alpha", 1.0), Fraction(0))
            return one(op, [node.input[0]])
        bound = number(attributes, "lambd", 0.5)
        if bound < 0:
            raise Unsupported(f"expected lambd of at least 0, found {float(bound):g}")
        op = cls(-bound, bound, number(attributes, "bias", 0.0))
        return one(op, [node.input[0]])

    @property
    def function(self) -> Unary:
        """Two or three pieces; zero at the thresholds themselves."""
        zero, unit = Fraction(0), Fraction(1)
        above = (-self.bias, unit)
        if self.low is None:
            return Piecewise((self.high,), ((zero,), above), (zero,))
        below = (self.bias, unit)
        if self.low == self.high:
            return Piecewise((zero,), (below, above), (zero,))
        return Piecewise((self.low, self.high), (below, (zero,), above), (zero, zero))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """With and without a bias, no gap, a threshold below zero."""
        shape = (1, 5, 3)
        yield Case("shrink", one_node("Shrink", [shape], shape, lambd=0.75), -2.0, 2.0)
        soft = one_node("Shrink", [shape], shape, lambd=0.5, bias=0.5)
        yield Case("shrink_soft", soft, -2.0, 2.0)
        yield Case("shrink_no_gap", one_node("Shrink", [shape], shape, lambd=0.0, bias=0.25))
        relu = one_node("ThresholdedRelu", [shape], shape, alpha=0.3)
        yield Case("thresholded_relu", relu)
        below = one_node("ThresholdedRelu", [shape], shape, alpha=-0.5)
        yield Case("thresholded_relu_below", below)
