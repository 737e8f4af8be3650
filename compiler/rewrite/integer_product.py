# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ConvInteger and MatMulInteger, whose sums are scaled to reals: products on dequantised operands.

The sums times a constant are reals again. With ``s`` that constant and ``s_x`` the scale that the
integers were quantised with, ``s * sum`` is ``s / s_x * sum(s_x * (x - z_x) * (w - z_w))``,
exactly; where no QuantizeLinear made the integers, ``s_x`` is 1. Exporters round ``s_x * s_w`` to
one float32, so the weights have a scale of 1 here and ``s`` stays as the model has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ..ir.graph import Value
from ..load.constants import Context
from ..load.source import Source
from .match import Match, make_node
from .reading import known_array

_VIEWS = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "MaxPool"}
)
"""Operators that leave integers on their grid."""


@dataclass(frozen=True)
class IntegerProduct:
    """A :class:`~.match.Pattern`; ``axis`` is that of the weights' output channels."""

    operator: str
    axis: int

    @property
    def before(self) -> str:
        """The nodes as text."""
        return f"Mul(Cast({self.operator}Integer(x, w, x_zero, w_zero)), s)"

    @property
    def after(self) -> str:
        """What they mean, as text."""
        q = "DequantizeLinear(x, s_x, x_zero), DequantizeLinear(w, 1, w_zero)"
        return f"Div(Mul({self.operator}({q}), s), s_x)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The product of a cast sum and a constant."""
        if root.domain or root.op_type != "Mul":
            return None
        source = context.source
        for computed, factor in (root.input, root.input[::-1]):
            cast = source.producers.get(computed)
            if cast is None or cast.op_type != "Cast" or factor not in source.constants:
                continue
            product = source.producers.get(cast.input[0])
            if product is None or product.op_type != f"{self.operator}Integer":
                continue
            becomes = self._becomes(context, root, product, factor)
            if becomes is not None:
                return self._match(source, [root, cast, product], becomes)
        return None

    def _becomes(
        self, context: Context, root: onnx.NodeProto, product: onnx.NodeProto, factor: str
    ) -> tuple[list[onnx.NodeProto], dict[str, AnyArray]] | None:
        x, w, x_zero, w_zero = [*product.input, "", ""][:4]
        zero = 0.0
        if x_zero:
            array = known_array(context, x_zero)
            if array is None or array.size != 1:
                return None
            zero = float(array.reshape(-1)[0])
        value = context.source.values.get(root.output[0])
        if w not in context.source.constants or value is None or value.dtype != "float32":
            return None
        grid = _grid_of(context, x)
        if grid is not None and grid[1] != zero:
            return None  # the integers mean something else here than where they were made
        step = f"{root.name}::step"
        new: dict[str, AnyArray] = {f"{root.name}::one": np.ones((), np.float32)}
        new[step] = np.full((), 1.0 if grid is None else grid[0], np.float32)
        names = iter(f"{root.name}::{word}" for word in ("x", "w", "sum", "scaled"))
        nodes: list[onnx.NodeProto] = []

        def add(kind: str, inputs: list[str], output: str = "", **options: int) -> str:
            output = output or next(names)
            nodes.append(make_node(kind, inputs, output, options))
            return output

        x = add("DequantizeLinear", [x, step, *([x_zero] if x_zero else [])])
        one = f"{root.name}::one"
        w = add("DequantizeLinear", [w, one, *([w_zero] if w_zero else [])], axis=self.axis)
        total = add(self.operator, [x, w])
        nodes[-1].attribute.extend(product.attribute)
        if grid is None:
            add("Mul", [total, factor], root.output[0])
        else:
            add("Div", [add("Mul", [total, factor]), step], root.output[0])
        nodes[-1].name = root.name
        return nodes, new

    def _match(
        self,
        source: Source,
        own: list[onnx.NodeProto],
        becomes: tuple[list[onnx.NodeProto], dict[str, AnyArray]],
    ) -> Match:
        root, _, product = own
        nodes, new = becomes
        alike = (*product.input[:2], product.output[0], root.output[0])
        shapes = [source.values.get(name) for name in alike]
        values = [
            Value(node.output[0], known.shape)
            for node, known in zip(nodes[:-1], shapes, strict=False)
            if known is not None
        ]
        return Match(frozenset(node.name for node in own), tuple(nodes), new, tuple(values))


def _grid_of(context: Context, name: str) -> tuple[float, float] | None:
    """Scale and zero point of the QuantizeLinear that integers come from; None if there is none."""
    source = context.source
    while (node := source.producers.get(name)) is not None and node.op_type in _VIEWS:
        name = node.input[0]
    if node is None or node.domain or node.op_type != "QuantizeLinear":
        return None
    numbers = [0.0, 0.0]
    for index, constant in enumerate(node.input[1:3]):
        array = known_array(context, constant) if constant else np.zeros(1)
        if array is None or array.size != 1:
            return None
        numbers[index] = float(array.reshape(-1)[0])
    return numbers[0], numbers[1]


CONV_INTEGER = IntegerProduct("Conv", 0)
MATMUL_INTEGER = IntegerProduct("MatMul", 1)
