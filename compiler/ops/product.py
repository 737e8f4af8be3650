# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Mul of two computed tensors (ONNX operator versions 7 to 14), which broadcast to each other.

The accumulator is the product of both integers without their zero points; the real number is that
times both scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.dot import DotKernel
from ...hw.numeric import Affine
from ..ir.lowered import Call, Inner, Meaning, OutputSpec
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import Turn, axis_order, reading
from .base import Case, ImportContext, Imported, Op, Unsupported, one


@dataclass(frozen=True)
class Product(Op):
    """The product of two tensors, element by element."""

    @property
    def arity(self) -> int:
        """Two streams."""
        return 2

    @classmethod
    def of(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """What the import rule of Mul makes of two computed operands."""
        shapes = [context.shape(name) for name in (*node.input, *node.output)]
        if len({len(shape) for shape in shapes}) > 1:
            raise Unsupported(
                f"expected two operands with as many axes, found {list(shapes[0])} and "
                f"{list(shapes[1])}"
            )
        return one(cls(), list(node.input))

    @property
    def is_core(self) -> bool:
        """Streams meet in hardware of their own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Any order, if both have it."""
        del shapes, index
        return None

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """The larger one's order."""
        perm = axis_order(max(inputs, key=lambda x: math.prod(x.shape))).perm
        return [Layout(x.shape, perm) for x in inputs]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A buffer that repeats what is broadcast, then products."""
        (output,) = outputs
        perm = inputs[0].layout.perm
        layout = Layout(output.shape, perm)
        calls: list[Call] = []
        factors: list[int] = []
        for index, x in enumerate(inputs):
            factors.append(index)
            if x.shape != output.shape:
                turns = [
                    Turn(size, axis if x.shape[axis] == size else None)
                    for axis in perm
                    for size in [output.shape[axis]]
                ]
                factors[-1] = len(inputs) + len(calls)
                inner = Inner(output.shape, x.qtype, layout)
                calls.append(Call(reading(x, turns), (index,), (inner,)))
        a, b = (x.qtype for x in inputs)
        # A scalar has no axis, and one channel.
        axis, depth = (perm[-1], output.shape[perm[-1]]) if perm else (0, 1)
        kernel = DotKernel(
            (a.integers, b.integers),
            (a.zero_point, b.zero_point),
            math.prod(output.shape),
            1,
            depth,
            depth,
        )
        functions = [Affine((a.step * b.step,), 0 * a.step)] * depth
        calls.append(Call(kernel, tuple(factors), (Meaning(functions, axis, layout),)))
        return tuple(calls)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two images, and an image with a factor a channel."""
        shape = (1, 4, 3, 5)
        yield Case("product", one_node("Mul", [shape, shape], shape))
        yield Case("product_of_channels", one_node("Mul", [shape, (1, 4, 1, 1)], shape))
