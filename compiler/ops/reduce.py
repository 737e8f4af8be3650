# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ReduceMean, ReduceSum, ReduceSumSquare, ReduceL2, ReduceMax and ReduceMin (ONNX operator versions
1 to 20) over any axes; and pools as large as the image, which exporters write so.

Accumulators are sums of raw integers, or of squares of integers without their zero point. The
largest and the smallest keep their input's grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.reduce import ReduceKernel
from ...hw.numeric import Affine, Function, QType
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._elementwise import inner_axis
from ._model import one_node
from ._moving import axis_order, value_of
from .base import Case, ImportContext, Imported, Op, Unsupported, axis_of, one
from .reshape import Reshape
from .sqrt import Sqrt

_ACCUMULATE = {
    "Mean": "sum",
    "Sum": "sum",
    "SumSquare": "squares",
    "L2": "squares",
    "Max": "max",
    "Min": "min",
}
"""What the kernel does for each kind of reduction."""


@dataclass(frozen=True)
class Reduce(Op):
    """One number for all elements along ``axes``, which have ascending numbers; ``kind`` is one of
    the operators' names without "Reduce".
    """

    kind: str
    axes: tuple[int, ...]

    onnx_types = tuple(f"Reduce{kind}" for kind in _ACCUMULATE)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Axes are an attribute or a constant input; all of them by default."""
        shape = context.shape(node.input[0])
        attributes = context.attributes(node)
        axes = attributes.get("axes")
        if len(node.input) > 1 and node.input[1]:
            constant = context.const(node.input[1])
            if constant is None:
                raise Unsupported("expected constant axes, found computed ones")
            axes = constant.values.ravel()
        found = tuple(
            sorted({axis_of(int(each), shape) for each in (() if axes is None else axes)})
        )
        noop = attributes.get("noop_with_empty_axes", 0)
        if noop not in (0, 1):
            raise Unsupported(f"expected noop_with_empty_axes of 0 or 1, found {noop}")
        if not found and noop:
            return one(Reshape(True), [node.input[0]])
        kind = node.op_type.removeprefix("Reduce")
        return one(cls(kind, found or tuple(range(len(shape)))), [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """The largest of values on a grid lies on it."""
        return self.kind in ("Max", "Min")

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Channels innermost if that will do."""
        shape = shapes[index]
        return self._joining(shape, Layout.channels_last(shape), Layout.raster(shape))

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """The stream's own order, if the axes follow each other in it."""
        (x,) = inputs
        return [self._joining(x.shape, axis_order(x), Layout.raster(x.shape))]

    def _joining(self, shape: tuple[int, ...], *orders: Layout) -> Layout:
        """The first order in which the axes follow each other; else they are innermost."""
        for order in orders:
            places = [order.perm.index(axis) for axis in self.axes if shape[axis] > 1]
            between = [
                axis
                for axis in order.perm[min(places, default=0) : max(places, default=-1) + 1]
                if shape[axis] > 1
            ]
            if len(between) == len(places):
                return order
        kept = tuple(axis for axis in range(len(shape)) if axis not in self.axes)
        return Layout(shape, kept + self.axes)

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        perm = x.layout.perm
        wide = [axis for axis in self.axes if x.shape[axis] > 1]
        places = [perm.index(axis) for axis in wide] or [len(perm)]
        count = math.prod(x.shape[axis] for axis in wide)
        inner = math.prod(x.shape[axis] for axis in perm[max(places) + 1 :])
        layout = self._left(x, output.shape)
        axis, depth = inner_axis(QTensor("", output.shape, x.qtype, layout))
        mode = _ACCUMULATE[self.kind]
        kernel = ReduceKernel(
            x.qtype.integers,
            math.prod(x.shape) // count // inner,
            count,
            inner,
            mode,
            x.qtype.zero_point if mode == "squares" else 0,
            depth,
        )
        functions = [self._function(x.qtype, count)] * depth
        return single(kernel, Meaning(functions, axis, layout))

    def _left(self, x: QTensor, shape: tuple[int, ...]) -> Layout:
        """The order of the result, whose axes are those that are left, or have one element."""
        if len(shape) == len(x.shape):
            return Layout(shape, x.layout.perm)
        kept = [axis for axis in range(len(x.shape)) if axis not in self.axes]
        return Layout(shape, tuple(kept.index(axis) for axis in x.layout.perm if axis in kept))

    def _function(self, x: QType, count: int) -> Function:
        """The real number that an accumulator stands for."""
        if self.keeps_grid:
            return value_of(x)
        if self.kind in ("Sum", "Mean"):
            step = x.step / count if self.kind == "Mean" else x.step
            return Affine((step,), -step * count * x.zero_point)
        squares = Affine((x.step * x.step,), Fraction(0))
        return squares.then(Sqrt().function) if self.kind == "L2" else squares

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Channels outermost, innermost and in between; kept and dropped axes; all axes; axes that
        do not follow each other.
        """
        shape = (1, 4, 3, 5)
        yield Case("mean", one_node("ReduceMean", [shape], (1, 4), axes=[2, 3], keepdims=0))
        yield Case("mean_kept", one_node("ReduceMean", [shape], (1, 4, 1, 1), axes=[-1, -2]))
        yield Case("mean_1d", one_node("ReduceMean", [(1, 4, 7)], (1, 4), axes=[2], keepdims=0))
        axes = {1: np.array([1, 2], np.int64)}
        yield Case("mean_inner", one_node("ReduceMean", [shape], (1, 1, 1, 5), axes, opset=18))
        yield Case("mean_channels", one_node("ReduceMean", [shape], (1, 1, 3, 5), axes=[1]))
        apart = one_node("ReduceMean", [(1, 4, 3, 5)], (1, 3), axes=[1, 3], keepdims=0)
        yield Case("mean_apart", apart)
        last = {1: np.array([-1], np.int64)}
        yield Case("sum", one_node("ReduceSum", [(1, 6, 8)], (1, 6), last, keepdims=0))
        yield Case("sum_all", one_node("ReduceSum", [(1, 4, 3)], (1, 1, 1)))
        yield Case("sum_square", one_node("ReduceSumSquare", [shape], (1, 1, 3, 5), axes=[1]))
        yield Case("l2", one_node("ReduceL2", [shape], (1, 4), axes=[2, 3], keepdims=0))
        yield Case("l2_vector", one_node("ReduceL2", [(1, 12)], (1, 1), axes=[1]))
        many = one_node("ReduceMax", [(1, 6, 2, 2)], (1, 6, 1, 1), axes=[2, 3])
        yield Case("reduce_max", many)
        yield Case("reduce_min", one_node("ReduceMin", [shape], (1, 1, 3, 5), axes=[1]))
