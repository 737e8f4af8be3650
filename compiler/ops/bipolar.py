# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""BipolarQuant (QONNX): the sign of a number times a scale, that of 0 being positive.

A pattern makes it (``rewrite/rounding.py``); no opset of ONNX has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.numeric import Piecewise, Unary
from .base import Case, ImportContext, Imported, Unsupported, one
from .unary import UnaryOp


@dataclass(frozen=True)
class BipolarQuant(UnaryOp):
    """``-scale`` below 0, ``scale`` from 0 on."""

    scale: Fraction

    onnx_types = ("BipolarQuant",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One constant scale for the tensor."""
        scale = context.const(node.input[1])
        if scale is None:
            raise Unsupported("expected a constant scale, found a computed one")
        if scale.values.size != 1:
            raise Unsupported(f"expected one scale for the tensor, found {scale.values.size}")
        return one(cls(scale.exact()[0]), [node.input[0]])

    @property
    def function(self) -> Unary:
        """One step."""
        return Piecewise((Fraction(0),), ((-self.scale,), (self.scale,)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """None of one node: its pattern has tests."""
        return iter(())
