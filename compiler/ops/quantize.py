# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""QuantizeLinear and DequantizeLinear on activations (ONNX operator versions 10, 13, 19, 21).

Weights that come through DequantizeLinear are constants and never reach these rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.numeric import QType
from .base import Case, ImportContext, Imported, Op, Unsupported, one

_TYPES = {f"{u}int{bits}": (bits, not u) for bits in range(1, 17) for u in ("", "u")}
"""Bits and sign. No opset has most of them: they are inside what patterns make."""


def _grid(context: ImportContext, node: onnx.NodeProto, dtype: str) -> QType:
    """The grid that scale and zero point (inputs 1 and 2) describe."""
    if len(node.input) < 2:
        raise Unsupported("expected a scale, found one input")
    scale = context.const(node.input[1])
    if scale is None:
        raise Unsupported("expected a constant scale, found a computed one")
    if scale.values.size != 1:
        raise Unsupported(f"expected one scale for the tensor, found {scale.values.size}")
    zero_point = 0
    if len(node.input) > 2 and node.input[2]:
        constant = context.const(node.input[2])
        if constant is None:
            raise Unsupported("expected a constant zero point, found a computed one")
        if constant.values.size != 1:
            raise Unsupported(f"expected one zero point, found {constant.values.size}")
        zero_point = int(constant.values.ravel()[0])
    if dtype not in _TYPES:
        raise Unsupported(f"expected integers of 1 to 16 bits, found the element type {dtype}")
    bits, signed = _TYPES[dtype]
    try:
        return QType(bits, signed, float(np.float32(scale.real.ravel()[0])), zero_point)
    except ValueError as error:
        raise Unsupported(str(error)) from error


@dataclass(frozen=True)
class Quantize(Op):
    """Round to a grid (rule N3); the value stays real."""

    qtype: QType

    onnx_types = ("QuantizeLinear",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One scale for the tensor; the element type is that of the output."""
        return one(cls(_grid(context, node, context.dtype(node.output[0]))), [node.input[0]])

    @property
    def grid(self) -> QType | None:
        """The grid of the output."""
        return self.qtype

    @property
    def rounds(self) -> bool:
        """Rounds."""
        return True

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Between two grids: becomes a rescale."""
        return iter(())


@dataclass(frozen=True)
class Dequantize(Op):
    """Integers taken as the reals that they stand for: a view."""

    qtype: QType

    onnx_types = ("DequantizeLinear",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One scale for the tensor; the element type is that of the input."""
        return one(cls(_grid(context, node, context.dtype(node.input[0]))), [node.input[0]])

    @property
    def grid(self) -> QType | None:
        """The grid of the input, and so of the output."""
        return self.qtype

    @property
    def is_view(self) -> bool:
        """Renames elements."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """A view."""
        return True

    def view(self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]) -> Layout:
        """Nothing moves."""
        del shape, output
        return layout

    def view_back(self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]) -> Layout:
        """Nothing moves."""
        del shape, output
        return layout
