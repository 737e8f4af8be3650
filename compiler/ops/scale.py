# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Mul, Div and Sub with a constant, and BatchNormalization (ONNX operator versions 7 to 15).

Of two computed tensors, Mul is :class:`~.product.Product` and Sub is :class:`~.add.Add`. All of the
others are ``factor * x +
offset`` with constants a channel, and go into the producer's finisher. A quotient is an exact
rational number. BatchNormalization's ``scale / sqrt(variance + epsilon)``, which need not be
rational, is rounded to a double once; its offset follows from that factor exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.numeric import Function
from ._elementwise import meeting
from ._model import one_node, weights
from .add import Add
from .base import (
    Case,
    ImportContext,
    Imported,
    Op,
    Unsupported,
    along_channels,
    one,
    one_axis,
    vector,
)
from .product import Product


@dataclass(frozen=True)
class Scale(Op):
    """``factor * x + offset``; both are constants of one shape, in row-major order."""

    factor: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    shape: tuple[int, ...]

    onnx_types = ("Mul", "Div", "Sub", "BatchNormalization")

    def __repr__(self) -> str:
        return f"Scale(shape={self.shape})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One operand is constant and broadcasts to the other; statistics are constant."""
        if node.op_type == "BatchNormalization":
            return one(_batch_normalization(context, node), [node.input[0]])
        for position, name in enumerate(node.input[::-1]):
            constant, other = context.const(name), node.input[position]
            if constant is None:
                continue
            if context.shape(other) != context.shape(node.output[0]):
                raise Unsupported(
                    f"expected a constant that broadcasts to {list(context.shape(other))}, "
                    f"found {list(constant.shape)}"
                )
            values = tuple(one_axis(constant).exact())
            ones, zeros = (Fraction(1),) * len(values), (Fraction(0),) * len(values)
            if node.op_type == "Mul":
                return one(cls(values, zeros, constant.shape), [other])
            if node.op_type == "Sub" and position == 0:
                return one(cls(ones, tuple(-v for v in values), constant.shape), [other])
            if node.op_type == "Sub":
                return one(cls(tuple(-v for v in ones), values, constant.shape), [other])
            if position:
                raise Unsupported("expected a constant divisor, found a computed one")
            if 0 in values:
                raise Unsupported("expected divisors other than zero, found zero")
            return one(cls(tuple(1 / v for v in values), zeros, constant.shape), [other])
        if node.op_type == "Div":
            raise Unsupported(
                "expected a constant divisor, found two computed operands; a constant divisor, or "
                "Mul by a computed factor, would work"
            )
        return meeting(context, node, Product() if node.op_type == "Mul" else Add(signs=(1, -1)))

    @property
    def absorbable(self) -> bool:
        """Monotone: rising or, for a negative factor, falling."""
        return True

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Each channel's factor and offset."""
        factors = along_channels(self.factor, self.shape, shape, axis, len(functions))
        offsets = along_channels(self.offset, self.shape, shape, axis, len(functions))
        return [
            f.times(factor).plus(offset)
            for f, factor, offset in zip(functions, factors, offsets, strict=True)
        ]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Factors of both signs and of zero, either order of a difference, statistics."""
        shape = (1, 4, 3, 5)
        factors = np.array([0.5, -2.0, 0.0, 1.25], np.float32).reshape(4, 1, 1)
        yield Case("mul", one_node("Mul", [shape], shape, {1: factors}))
        yield Case("div", one_node("Div", [shape], shape, {1: np.array(3.0, np.float32)}))
        yield Case("sub", one_node("Sub", [shape], shape, {1: weights(1, 4, 1, 1)}))
        yield Case("sub_from", one_node("Sub", [shape], shape, {0: weights(2, 4, 1, 1)}))
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


_STATISTICS = ("scale", "bias", "mean", "variance")
