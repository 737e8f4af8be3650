# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ConvInteger and MatMulInteger, whose sums are scaled to reals: products on dequantised operands.

The sums times a constant are reals again. With ``s`` that constant and ``s_x`` the scale that the
integers were quantised with, ``s * sum`` is ``s / s_x * sum(s_x * (x - z_x) * (w - z_w))``,
exactly; where no QuantizeLinear made the integers, ``s_x`` is 1. Exporters round ``s_x * s_w`` to
one float32, so the weights have a scale of 1 here and ``s`` stays as the model has it. A bias of
integers, added to the sums before they are cast, counts ``s_x`` then.
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
from .reading import known_number

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
        return f"Mul(Cast({self.operator}Integer(x, w, x_zero, w_zero) + b), s)"

    @property
    def after(self) -> str:
        """What they mean, as text."""
        q = "DequantizeLinear(x, s_x, x_zero), DequantizeLinear(w, 1, w_zero)"
        return f"Div(Mul({self.operator}({q}) + b * s_x, s), s_x)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The product of a cast sum and a constant."""
        if root.domain or root.op_type != "Mul":
            return None
        source = context.source
        for computed, factor in (root.input, root.input[::-1]):
            cast = source.producers.get(computed)
            if cast is None or cast.op_type != "Cast" or factor not in source.constants:
                continue
            total = source.producers.get(cast.input[0])
            added, bias = _added(source, total)
            product = total if added is None else source.producers.get(added)
            if product is None or product.op_type != f"{self.operator}Integer":
                continue
            becomes = self._becomes(context, root, product, factor, cast.input[0], bias)
            if becomes is not None:
                own = [root, cast, product, *([total] if total is not None else [])]
                nodes, constants, values = becomes
                names = frozenset(node.name for node in own)
                return Match(names, tuple(nodes), constants, tuple(values))
        return None

    def _becomes(
        self,
        context: Context,
        root: onnx.NodeProto,
        product: onnx.NodeProto,
        factor: str,
        biased: str,
        bias: str,
    ) -> tuple[list[onnx.NodeProto], dict[str, AnyArray], list[Value]] | None:
        x, w, x_zero, w_zero = [*product.input, "", ""][:4]
        zero = known_number(context, x_zero, 0.0)
        if zero is None:
            return None
        value = context.source.values.get(root.output[0])
        made = context.source.values.get(product.output[0])
        if value is None or made is None or value.shape != made.shape:
            return None  # a factor, or a bias, of more elements along an axis than the sums
        if any(_is_map(context.source, name) for name in (factor, bias)):
            return None  # which differs along several axes: hardware that has no sums before it
        if w not in context.source.constants or value.dtype != "float32":
            return None
        grid = _grid_of(context, x)
        if grid is not None and grid[1] != zero:
            return None  # the integers mean something else here than where they were made
        step = f"{root.name}::step"
        new: dict[str, AnyArray] = {f"{root.name}::one": np.ones((), np.float32)}
        new[step] = np.full((), 1.0 if grid is None else grid[0], np.float32)
        nodes: list[onnx.NodeProto] = []
        values: list[Value] = []

        def add(word: str, kind: str, inputs: list[str], alike: str, **options: int) -> str:
            """A node whose result has the shape of a tensor of the model."""
            output = f"{root.name}::{word}" if word else root.output[0]
            nodes.append(make_node(kind, inputs, output, options))
            known = context.source.values.get(alike)
            if word and known is not None:
                values.append(Value(output, known.shape))
            return output

        x = add("x", "DequantizeLinear", [x, step, *([x_zero] if x_zero else [])], x)
        one = f"{root.name}::one"
        weights = [w, one, *([w_zero] if w_zero else [])]
        w = add("w", "DequantizeLinear", weights, w, axis=self.axis)
        total = add("sum", self.operator, [x, w], product.output[0])
        nodes[-1].attribute.extend(product.attribute)
        if bias:
            real = add("bias", "DequantizeLinear", [bias, step], bias)
            total = add("biased", "Add", [total, real], biased)
        if grid is None:
            add("", "Mul", [total, factor], "")
        else:
            scaled = add("scaled", "Mul", [total, factor], root.output[0])
            add("", "Div", [scaled, step], "")
        nodes[-1].name = root.name
        return nodes, new, values


def _is_map(source: Source, name: str) -> bool:
    """Whether a constant differs along several axes, or nobody knows."""
    if not name:
        return False
    value = source.values.get(name)
    return value is None or sum(size != 1 for size in value.shape) > 1


def _added(source: Source, total: onnx.NodeProto | None) -> tuple[str | None, str]:
    """What a constant is added to, and the constant; no such thing for another node."""
    if total is None or total.domain or total.op_type != "Add":
        return None, ""
    for computed, bias in (total.input, total.input[::-1]):
        if bias in source.constants and computed not in source.constants:
            return computed, bias
    return None, ""


def _grid_of(context: Context, name: str) -> tuple[float, float] | None:
    """Scale and zero point of the QuantizeLinear that integers come from; None if there is none."""
    source = context.source
    while (node := source.producers.get(name)) is not None and node.op_type in _VIEWS:
        name = node.input[0]
    if node is None or node.domain or node.op_type != "QuantizeLinear":
        return None
    _, scale, offset = [*node.input, ""][:3]
    step, zero = known_number(context, scale), known_number(context, offset, 0.0)
    return None if step is None or zero is None else (step, zero)


CONV_INTEGER = IntegerProduct("Conv", 0)
MATMUL_INTEGER = IntegerProduct("MatMul", 1)
