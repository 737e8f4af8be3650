# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MatMul and Gemm with a constant second operand (ONNX operator versions 13): a 1 x 1 convolution.

The rows of the weight matrix follow the stream's order, so that a Flatten before costs nothing.
MatMul of two computed tensors is :class:`~.matrix_product.MatrixProduct`.
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
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node, weights
from .base import Case, ImportContext, Imported, Op, Unsupported, one
from .conv import WeightedOp, centred, channel_scales, convolution, shifted
from .matrix_product import MatrixProduct
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
        """The second operand must be a constant matrix."""
        attributes = context.attributes(node)
        weight = context.const(node.input[1])
        if weight is None:
            if context.const(node.input[0]) is not None:
                raise Unsupported("expected the constant as second operand, found it as the first")
            if node.op_type == "MatMul":
                return MatrixProduct.of(context, node)
            raise Unsupported("expected a constant second operand, found two computed ones")
        if len(weight.shape) != 2:
            raise Unsupported(f"expected a matrix of weights, found the shape {list(weight.shape)}")
        if attributes.get("transA", 0):
            raise Unsupported("expected transA 0, found 1")
        if not attributes.get("transB", 0):
            weight = weight.map(np.transpose)
        shape = context.shape(node.input[0])
        if len(shape) < 2:
            raise Unsupported(f"expected an input of 2 axes or more, found {list(shape)}")
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
        return one(cls(weight, bias, alpha, beta), [node.input[0]])

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
        """Both spellings, rows of a matrix, and rows along several axes."""
        yield Case("matmul", one_node("MatMul", [(1, 12)], (1, 7), {1: weights(1, 7, 12).T.copy()}))
        yield Case(
            "matmul_rows",
            one_node("MatMul", [(1, 5, 8)], (1, 5, 6), {1: weights(2, 6, 8).T.copy()}),
        )
        yield Case(
            "matmul_axes",
            one_node("MatMul", [(1, 2, 3, 4)], (1, 2, 3, 5), {1: weights(7, 5, 4).T.copy()}),
        )
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


def _is_vector(shape: Sequence[int]) -> bool:
    """Whether an operand is one row, and so may come in any order."""
    return len(shape) == 2 and shape[0] == 1
