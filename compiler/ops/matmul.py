# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MatMul and Gemm with a constant operand (ONNX operator versions 1 to 13): a 1 x 1 convolution.

The rows of the weight matrix follow the stream's order, so that a Flatten before costs nothing.
Weights times columns are those columns, as rows, times the weights transposed; a vector of weights
is a matrix of one column. A stack of matrices is :mod:`._stacked`; MatMul of two computed tensors
is :class:`~.matrix_product.MatrixProduct`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray, Layout
from ...hw.kernels.conv import ConvKernel
from ...hw.kernels.geometry import Geometry
from ..ir.graph import Value
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node, weights
from ._stacked import stacked
from .base import Case, Const, ImportContext, Imported, Op, Unsupported, inner, one
from .conv import WeightedOp, centred, channel_scales, convolution, shifted
from .matrix_product import MatrixProduct
from .reshape import Reshape
from .transpose import Transpose
from .unary import number


@dataclass(frozen=True, eq=False)
class MatMul(WeightedOp):
    """``alpha * x @ weight.T + beta * bias``: ``weight`` is (outputs, inputs), as transB has it."""

    alpha: Fraction = Fraction(1)
    beta: Fraction = Fraction(1)

    onnx_types = ("MatMul", "Gemm")

    def __repr__(self) -> str:
        return f"MatMul(weight={self.weight.shape})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One operand must be a constant matrix, the second one of a Gemm: others are written out
        while loading.
        """
        attributes = context.attributes(node)
        weight = context.const(node.input[1])
        if weight is None:
            if node.op_type != "MatMul":
                raise Unsupported("expected a constant second operand, found a computed one")
            first = context.const(node.input[0])
            if first is None:
                return MatrixProduct.of(context, node)
            return cls._of_columns(context, node, first)
        if node.op_type == "MatMul" and len(weight.shape) == 1:
            return cls._of_vector(context, node, weight)
        rank = len(weight.shape)
        weight = _matrix(weight)
        if node.op_type == "MatMul" and len(weight.shape) > 2:
            return stacked(context, node, weight)
        if len(weight.shape) != 2:
            raise Unsupported(f"expected a matrix of weights, found the shape {list(weight.shape)}")
        if not attributes.get("transB", 0):
            weight = weight.map(np.transpose)
        shape = context.shape(node.input[0])
        if len(shape) < 2:
            raise Unsupported(f"expected an input of 2 axes or more, found {list(shape)}")
        if weight.shape[1] != shape[-1]:
            raise Unsupported(
                f"expected weights for {shape[-1]} inputs, found them for {weight.shape[1]}"
            )
        bias = None
        if len(node.input) > 2 and node.input[2]:
            bias = context.const(node.input[2])
            if bias is None:
                raise Unsupported("expected a constant bias, found a computed one")
            outputs = weight.shape[0]
            if bias.values.size != 1 and (bias.values.size, *bias.shape[-1:]) != (outputs,) * 2:
                raise Unsupported(
                    f"expected a bias that broadcasts to [1, {outputs}], found the shape "
                    f"{list(bias.shape)}"
                )
            if bias.values.size == 1:
                bias = bias.map(lambda a: np.broadcast_to(a.reshape(-1), (outputs,)))
        alpha, beta = (number(attributes, name, 1.0) for name in ("alpha", "beta"))
        product = one(cls(weight, bias, alpha, beta), [node.input[0]])
        made = (*shape[:-1], weight.shape[0])
        return _of_rank(product, node, rank, made, context.dtype(node.input[0]))

    @classmethod
    def _of_columns(cls, context: ImportContext, node: onnx.NodeProto, weight: Const) -> Imported:
        """``weight`` (M, K) times (..., K, N)."""
        shape, dtype = context.shape(node.input[1]), context.dtype(node.input[1])
        rank = len(weight.shape)
        weight = _matrix(weight)
        if len(weight.shape) != 2 or len(shape) < 2:
            raise Unsupported(
                f"expected a matrix of weights before columns, found the shapes "
                f"{list(weight.shape)} and {list(shape)}; the constant as second operand would work"
            )
        turn = Transpose((*range(len(shape) - 2), len(shape) - 1, len(shape) - 2))
        columns = (*shape[:-2], shape[-1], shape[-2])
        made = (*columns[:-1], weight.shape[0])
        product = (
            one(turn, [node.input[1]])
            .then(Value(inner(node, "columns"), columns, dtype), cls(weight, None))
            .then(Value(inner(node, "rows"), made, dtype), turn)
        )
        return _of_rank(product, node, rank, (*shape[:-2], weight.shape[0], shape[-1]), dtype)

    @classmethod
    def _of_vector(cls, context: ImportContext, node: onnx.NodeProto, weight: Const) -> Imported:
        """(..., K) times ``weight`` (K,)."""
        shape, dtype = context.shape(node.input[0]), context.dtype(node.input[0])
        if len(shape) < 2:
            raise Unsupported(f"expected an input of 2 axes or more, found {list(shape)}")
        column = cls(weight.map(lambda a: a.reshape(1, -1)), None)
        sums = Value(inner(node, "column"), (*shape[:-1], 1), dtype)
        return one(column, [node.input[0]]).then(sums, Reshape())

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Output elements times inputs."""
        del inputs
        return int(np.prod(output)) * self.weight.shape[1]

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """A vector may come in any order; rows must come one by one."""
        return None if _is_vector(shapes[index]) else Layout.raster(shapes[index])

    def corrected(self, real: Op, mean: AnyArray) -> Op:
        """By the mean of each input over all rows."""
        assert isinstance(real, MatMul)
        if self.beta == 0:
            return self
        error = self.weight.real - real.weight.real
        shift = error @ mean.reshape(-1, mean.shape[-1]).mean(axis=0)
        return replace(self, bias=shifted(self.bias, shift * float(self.alpha / self.beta)))

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A convolution over an image of (1, rows, inputs)."""
        (x,), (output,) = inputs, outputs
        weight = centred(self.weight)
        channels, size = weight.shape
        scales = [self.alpha * scale for scale in channel_scales(self.weight, channels)]
        if _is_vector(x.shape):
            weight = np.stack([x.layout.to_stream(row) for row in weight])
        bias = [Fraction(0)] * channels
        if self.bias:
            bias = [self.beta * value for value in self.bias.exact()]
        kernel = ConvKernel(
            Geometry((int(np.prod(x.shape)) // size, 1)),
            size,
            x.qtype.integers,
            weight.reshape(channels, 1, 1, size),
            False,
            x.qtype.zero_point,
        )
        functions = convolution(kernel, x.qtype, scales, bias)
        axis, layout = len(output.shape) - 1, Layout.raster(output.shape)
        return single(kernel, Meaning(functions, axis, layout, self.weight.chosen))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Both spellings, rows of a matrix, and rows along several axes; columns, a vector;
        stacks of matrices, and matrices with more axes than what they multiply.
        """
        yield Case("matmul", one_node("MatMul", [(1, 12)], (1, 7), {1: weights(1, 7, 12).T.copy()}))
        yield Case(
            "matmul_rows",
            one_node("MatMul", [(1, 5, 8)], (1, 5, 6), {1: weights(2, 6, 8).T.copy()}),
        )
        yield Case(
            "matmul_axes",
            one_node("MatMul", [(1, 2, 3, 4)], (1, 2, 3, 5), {1: weights(7, 5, 4).T.copy()}),
        )
        columns = one_node("MatMul", [(1, 3, 5, 4)], (1, 3, 6, 4), {0: weights(8, 6, 5)})
        yield Case("matmul_columns", columns)
        yield Case(
            "matmul_columns_axes",
            one_node("MatMul", [(1, 2, 3, 4)], (1, 2, 5, 4), {0: weights(9, 1, 5, 3)}),
        )
        vector = one_node("MatMul", [(1, 4, 2, 8)], (1, 4, 2), {1: weights(9, 1, 8)[0]})
        yield Case("matmul_vector", vector)
        stack = {1: weights(10, 2, 3, 5)}
        own = one_node("MatMul", [(1, 2, 4, 3)], (1, 2, 4, 5), stack)
        yield Case("matmul_stack", own)
        yield Case("matmul_stack_shared", one_node("MatMul", [(1, 1, 4, 3)], (1, 2, 4, 5), stack))
        for name, at, shape in (("rows", 1, (1, 1, 3, 5)), ("columns", 0, (1, 1, 5, 4))):
            made = (1, *((1, 4, 5) if at else (1, 5, 3)))
            more = one_node("MatMul", [(1, 4, 3)], made, {at: weights(11, *shape)})
            yield Case(f"matmul_{name}_of_more_axes", more)
        yield Case(
            "gemm",
            one_node("Gemm", [(1, 10)], (1, 6), {1: weights(3, 6, 10), 2: weights(4, 6)}, transB=1),
        )
        yield Case(
            "gemm_alpha",
            one_node(
                "Gemm",
                [(1, 10)],
                (1, 6),
                {1: weights(5, 10, 6), 2: weights(6, 6)},
                alpha=0.3,
                beta=-2.0,
            ),
        )
        yield Case(
            "gemm_4_bit",
            one_node("Gemm", [(1, 10)], (1, 6), {1: weights(3, 6, 10), 2: weights(4, 6)}, transB=1),
            bits=4,
        )


def _matrix(weight: Const) -> Const:
    """The same without leading axes of length 1, but for the last two."""
    shape = weight.shape
    spare = next((k for k, size in enumerate(shape[:-2]) if size != 1), max(len(shape) - 2, 0))
    return weight.map(lambda a: a.reshape(a.shape[spare:]))


def _of_rank(
    product: Imported, node: onnx.NodeProto, rank: int, shape: tuple[int, ...], dtype: str
) -> Imported:
    """The product, with the leading axes of length 1 that weights of more axes bring."""
    if rank <= len(shape):
        return product
    return product.then(Value(inner(node, "product"), shape, dtype), Reshape())


def _is_vector(shape: Sequence[int]) -> bool:
    """Whether an operand is one row, and so may come in any order."""
    return len(shape) == 2 and shape[0] == 1
