# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MatMul of two computed tensors (ONNX operator versions 1 to 13), whose outer axes broadcast.

Two buffers bring rows and columns together, each row once for every column; then products are
summed. The real number is the sum times both scales.
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
class MatrixProduct(Op):
    """(..., M, K) times (..., K, N)."""

    @property
    def arity(self) -> int:
        """Two streams."""
        return 2

    @classmethod
    def of(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """What the import rule of MatMul makes of two computed operands."""
        shapes = [context.shape(name) for name in node.input]
        if min(len(shape) for shape in shapes) < 2:
            raise Unsupported(
                f"expected two matrices, found the shapes {list(shapes[0])} and {list(shapes[1])}"
            )
        return one(cls(), list(node.input))

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Output elements times the axis that is summed over."""
        return math.prod(output) * inputs[0][-1]

    @property
    def is_core(self) -> bool:
        """Streams meet in hardware of their own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Row by row costs the least, of what is not known yet."""
        return Layout.raster(shapes[index])

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """Any order of the axes."""
        return [axis_order(x) for x in inputs]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """Two buffers, then sums of products; see the module's docstring."""
        (output,) = outputs
        (rows, columns), depth = output.shape[-2:], inputs[0].shape[-1]
        own = [
            [Turn(rows, -2), Turn(columns, None), Turn(depth, -1)],
            [Turn(rows, None), Turn(columns, -1), Turn(depth, -2)],
        ]
        calls: list[Call] = []
        factors: list[int] = []
        for index, (x, turns) in enumerate(zip(inputs, own, strict=True)):
            kernel = reading(x, [*_outer(x, output.shape), *_of(x, turns)])
            factors.append(index)
            if not kernel.is_identity:
                factors[-1] = len(inputs) + len(calls)
                shape = (kernel.elements,)
                inner = Inner(shape, x.qtype, Layout.raster(shape))
                calls.append(Call(kernel, (index,), (inner,)))
        a, b = (x.qtype for x in inputs)
        product = DotKernel(
            (a.integers, b.integers),
            (a.zero_point, b.zero_point),
            math.prod(output.shape),
            depth,
            columns,
            columns,
        )
        functions = [Affine((a.step * b.step,), 0 * a.step)] * columns
        axis, layout = len(output.shape) - 1, Layout.raster(output.shape)
        calls.append(Call(product, tuple(factors), (Meaning(functions, axis, layout),)))
        return tuple(calls)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Matrices, batches of them, and one matrix for all of a batch."""
        yield Case("matrices", one_node("MatMul", [(1, 3, 8), (1, 8, 4)], (1, 3, 4)))
        yield Case("batches", one_node("MatMul", [(1, 2, 3, 4), (1, 2, 4, 5)], (1, 2, 3, 5)))
        yield Case("one_for_all", one_node("MatMul", [(1, 2, 3, 4), (4, 2)], (1, 2, 3, 2)))


def _outer(x: QTensor, output: tuple[int, ...]) -> list[Turn]:
    """Loops over the outer axes of the product; those that ``x`` has not, repeat."""
    shift = len(output) - len(x.shape)
    return [
        Turn(size, axis - shift if axis >= shift and x.shape[axis - shift] == size else None)
        for axis, size in enumerate(output[:-2])
    ]


def _of(x: QTensor, turns: Sequence[Turn]) -> list[Turn]:
    """The same loops with axes counted from the first one."""
    rank = len(x.shape)
    return [turn if turn.axis is None else Turn(turn.count, turn.axis % rank) for turn in turns]
