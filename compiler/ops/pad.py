# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pad with zeros around an image (ONNX operator versions 2 to 25): a 1 x 1 window that pads.

Real zero is the integer zero point, so the output keeps its input's grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.geometry import Geometry
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, one
from .pool import pooling
from .window import image_shape, planar


@dataclass(frozen=True)
class Pad(Op):
    """Zeros around each channel of an image, as ``window`` says."""

    window: Geometry

    onnx_types = ("Pad",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Constant pads of spatial axes; attributes up to opset 10, constant inputs from 11."""
        attributes = context.attributes(node)
        shape = context.shape(node.input[0])
        height, width, _ = image_shape(shape)
        rank = len(shape)
        if not context.dtype(node.input[0]).startswith("float"):
            raise Unsupported(f"expected real numbers, found {context.dtype(node.input[0])} values")
        if attributes.get("mode", "constant") != "constant":
            raise Unsupported(f"expected mode constant, found {attributes['mode']}")
        inputs = dict(enumerate(node.input))
        constants = {i: context.const(inputs[i]) for i in (1, 2, 3) if inputs.get(i)}
        if None in constants.values():
            raise Unsupported("expected constant pads, value and axes, found computed ones")
        values = {i: c.exact() for i, c in constants.items() if c is not None}
        value = values.get(2, [attributes.get("value", 0)])[0]
        if value != 0:
            raise Unsupported(f"expected zeros for padding, found {float(value)}")
        amounts = [int(v) for v in values.get(1, attributes.get("pads", ()))]
        axes = [int(v) % rank for v in values.get(3, range(rank))]
        if len(amounts) != 2 * len(axes):
            raise Unsupported(f"expected {2 * len(axes)} pads, found {len(amounts)}")
        begins, ends = [0] * rank, [0] * rank
        for axis, begin, end in zip(axes, amounts, amounts[len(axes) :], strict=False):
            begins[axis], ends[axis] = begin, end
        if min(amounts) < 0 or any(begins[:2] + ends[:2]):
            raise Unsupported(
                f"expected pads of at least 0 on the axes from 2 on, found {begins + ends}"
            )
        pads = (*planar(begins[2:], 0), *planar(ends[2:], 0))
        return one(cls(Geometry(height, width, pads=pads)), [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """Zero lies on every grid."""
        return True

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """The largest of one value."""
        (x,), (output,) = inputs, outputs
        channels, zero = image_shape(x.shape)[2], x.qtype.zero_point
        kernel, functions = pooling(self.window, channels, x.qtype, zero)
        return single(kernel, Meaning(functions, 1, Layout.channels_last(output.shape)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Asymmetric, wider than the image, one axis."""

        def pad(name: str, shape: tuple[int, ...], out: tuple[int, ...], *amounts: int) -> Case:
            return Case(name, one_node("Pad", [shape], out, {1: np.array(amounts, np.int64)}))

        yield pad("pad", (1, 4, 3, 5), (1, 4, 4, 7), 0, 0, 0, 2, 0, 0, 1, 0)
        yield pad("pad_wide", (1, 2, 2, 2), (1, 2, 7, 6), 0, 0, 3, 2, 0, 0, 2, 2)
        yield pad("pad_1d", (1, 4, 6), (1, 4, 9), 0, 0, 1, 0, 0, 2)
