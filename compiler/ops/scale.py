# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Add, Sub, Mul and Div with a constant, and BatchNormalization (ONNX operator versions 7 to 15).

Of two computed tensors, Mul is :class:`~.product.Product`, Div :class:`~.quotient.Quotient`, Add
and Sub are :class:`~.add.Add`. All of the others are ``factor * x + offset`` with constants, which
go into the producer's finisher where they differ along one axis. A quotient is an exact rational
number. BatchNormalization's ``scale / sqrt(variance + epsilon)``, which need not be rational, is
rounded to a double once; its offset follows from that factor exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import numpy as np
import onnx

from ...hw.numeric import Function
from ..ir.graph import Value
from ._constants import ConstantOp, Numbers, with_constants
from ._elementwise import meeting
from ._model import one_node, weights
from .add import Add
from .base import Case, ImportContext, Imported, Piece, Unsupported, inner, one, vector
from .pow import Pow
from .product import Product
from .quotient import Quotient

_MOST_LEVELS = 64
"""Values of all channels together that are worth a grid of their own."""


@dataclass(frozen=True)
class Scale(ConstantOp):
    """``factor * x + offset``; both are constants of one shape, in row-major order."""

    factor: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    shape: tuple[int, ...]

    onnx_types: ClassVar[tuple[str, ...]] = ("Add", "Mul", "Div", "Sub", "BatchNormalization")

    def __repr__(self) -> str:
        return f"Scale(shape={self.shape})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One operand may be constant; statistics are."""
        if node.op_type == "BatchNormalization":
            return one(_batch_normalization(context, node), [node.input[0]])
        sums = node.op_type in ("Add", "Sub")
        for position, name in enumerate(node.input[::-1]):
            constant, other = context.const(name, finite=not sums), node.input[position]
            if constant is not None:
                if node.op_type == "Div" and position == 1:
                    return cls._divided(context, node, Numbers.of(constant), other)
                op = cls._beside(node.op_type, Numbers.of(constant), first=position == 1)
                return with_constants(context, node, op, other)
        return meeting(context, node, _MEETINGS[node.op_type])

    @classmethod
    def _divided(
        cls, context: ImportContext, node: onnx.NodeProto, constant: Numbers, name: str
    ) -> Imported:
        """A constant over what is computed is the inverse of that, times the constant."""
        by = cls._beside("Mul", constant, first=True)
        if by.is_core:
            raise Unsupported(
                "expected a constant that differs along one axis over what is computed, found the "
                f"shape {list(constant.shape)}; Reciprocal, and Mul by the constant, would work"
            )
        times = with_constants(context, node, by, name)
        (*before, last) = times.pieces
        shape, dtype = context.shape(node.output[0]), context.dtype(name)
        value = Value(inner(node, "inverse"), shape, dtype)
        inverse = Piece(Pow(Numbers((Fraction(-1),))), last.inputs, (value.name,))
        factor = replace(last, inputs=(value.name,))
        return Imported((*before, inverse, factor), (*times.inner, value))

    @classmethod
    def _beside(cls, op_type: str, constant: Numbers, *, first: bool) -> Scale:
        """The operator with a constant, which is the ``first`` operand or the second."""
        ones, zeros = constant.map(lambda _: Fraction(1)), constant.map(lambda _: Fraction(0))
        sign = -1 if op_type == "Sub" else 1
        factor, offset = ones, zeros
        if op_type == "Mul":
            factor = constant
        elif op_type == "Div":
            if 0 in constant.values:
                raise Unsupported("expected divisors other than zero, found zero")
            factor = constant.map(lambda v: 1 / v)
        elif first:
            factor, offset = ones.map(lambda v: sign * v), constant
        else:
            offset = constant.map(lambda v: sign * v)
        return cls(factor.values, offset.values, constant.shape)

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """Factor and offset."""
        return Numbers(self.factor, self.shape), Numbers(self.offset, self.shape)

    def levels_of(self, before: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """Of all pairs of factor and offset, if they are few."""
        pairs = set(zip(self.factor, self.offset, strict=True))
        if len(pairs) * len(before) > _MOST_LEVELS:
            return ()
        return tuple(sorted({factor * x + offset for factor, offset in pairs for x in before}))

    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """Times the factor, plus the offset."""
        factor, offset = values
        return function.times(factor).plus(offset)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Factors of both signs and of zero, either order of a difference, statistics; constants
        that differ along several axes, and that have more elements than the stream.
        """
        shape = (1, 4, 3, 5)
        factors = np.array([0.5, -2.0, 0.0, 1.25], np.float32).reshape(4, 1, 1)
        yield Case("mul", one_node("Mul", [shape], shape, {1: factors}))
        yield Case("div", one_node("Div", [shape], shape, {1: np.array(3.0, np.float32)}))
        over = {0: np.array(-2.0, np.float32)}
        yield Case("div_of_constant", one_node("Div", [shape], shape, over), 0.5, 4.0)
        yield Case("add_constant", one_node("Add", [shape], shape, {1: weights(1, 4, 1, 1)}))
        yield Case("sub", one_node("Sub", [shape], shape, {1: weights(1, 4, 1, 1)}))
        yield Case("sub_from", one_node("Sub", [shape], shape, {0: weights(2, 4, 1, 1)}))
        yield Case("add_map", one_node("Add", [(1, 6, 3)], (1, 6, 3), {1: weights(4, 6, 3)}))
        yield Case("add_columns", one_node("Add", [shape], shape, {1: weights(7, 5)}))
        yield Case("mul_rows", one_node("Mul", [shape], shape, {0: weights(5, 4, 3, 1)}))
        yield Case("sub_wide", one_node("Sub", [(1, 3, 1)], (1, 3, 4), {1: weights(6, 1, 3, 4)}))
        statistics = {i: weights(i, 4) for i in (1, 2, 3)}
        statistics[4] = np.array([0.1, 0.7, 1.0, 3.0], np.float32)
        yield Case(
            "batch_normalization",
            one_node("BatchNormalization", [shape], shape, statistics, opset=15, epsilon=1e-3),
        )


def _batch_normalization(context: ImportContext, node: onnx.NodeProto) -> Scale:
    attributes = context.attributes(node)
    if attributes.get("training_mode", 0):
        raise Unsupported("expected training_mode 0, found 1")
    if attributes.get("spatial", 1) != 1:
        raise Unsupported(f"expected spatial 1, found {attributes['spatial']}")
    shape = context.shape(node.input[0])
    if len(shape) < 2:
        raise Unsupported(f"expected an input of 2 axes or more, found {list(shape)}")
    scale, bias, mean, variance = (
        vector(context, name, what, shape[1])
        for name, what in zip(node.input[1:5], _STATISTICS, strict=True)
    )
    spread = variance.real + float(attributes.get("epsilon", 1e-5))
    if not np.all(spread > 0):
        raise Unsupported(
            f"expected variance + epsilon above zero, found a variance of {variance.real.min()}"
        )
    factor = [Fraction(float(f)) for f in scale.real / np.sqrt(spread)]
    offset = [b - m * f for b, m, f in zip(bias.exact(), mean.exact(), factor, strict=True)]
    return Scale(tuple(factor), tuple(offset), (len(factor), *[1] * (len(shape) - 2)))


_MEETINGS = {"Add": Add(), "Div": Quotient(), "Mul": Product(), "Sub": Add((1, -1))}
"""What they are of two computed tensors."""

_STATISTICS = ("scale", "bias", "mean", "variance")
