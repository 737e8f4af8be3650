# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What operators share that change each element by itself, and by constants that broadcast to it.

A constant of one axis goes into the producer's finisher, which has parameters for each channel. One
that differs along several axes (a map, a position's embedding) is hardware of its own: a finisher
whose channels are all elements of the constant, one after the other.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray, Layout
from ...hw.kernels.eltwise import EltwiseKernel
from ...hw.numeric import Function, IntArray
from ..ir.graph import Value
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._elementwise import check_broadcast, inner_axis
from ._moving import value_of
from .base import (
    MOST_EXACT,
    Const,
    ImportContext,
    Imported,
    Op,
    Piece,
    Unsupported,
    along_channels,
    inner,
)
from .expand import Expand
from .reshape import Reshape

BEYOND = Fraction(1 << 256)
"""What is summed in place of infinity (a mask's). No grid whose scale is a float32 reaches as far,
so the result is its lowest or highest integer, as it is for infinity.
"""


@dataclass(frozen=True)
class Numbers:
    """A constant: exact values in row-major order, and its shape."""

    values: tuple[Fraction, ...]
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, constant: Const) -> Numbers:
        """All elements of a constant; infinity as :data:`BEYOND`. Raises Unsupported if there are
        none.
        """
        if not constant.values.size:
            shape = list(constant.shape)
            raise Unsupported(f"expected a constant with elements, found the shape {shape}")
        if constant.scale is not None or np.isfinite(constant.values).all():
            return cls(tuple(constant.exact()), constant.shape)
        signs = np.where(np.isinf(constant.values), np.sign(constant.values), 0).ravel()
        finite = Const(np.where(np.isinf(constant.values), 0, constant.values)).exact()
        values = (v + int(s) * BEYOND for v, s in zip(finite, signs, strict=True))
        return cls(tuple(values), constant.shape)

    def map(self, change: Any) -> Numbers:
        """Every value changed."""
        return Numbers(tuple(change(value) for value in self.values), self.shape)

    def full_shape(self, rank: int) -> tuple[int, ...]:
        """The shape with as many axes as what it broadcasts to."""
        return (1,) * (rank - len(self.shape)) + self.shape

    def along(self, shape: tuple[int, ...], axis: int) -> list[Fraction]:
        """One value for each element of an axis of a tensor.

        Raises Unsupported if it differs along another axis too.
        """
        return along_channels(self.values, self.shape, shape, axis, shape[axis])

    def streamed(self, x: QTensor) -> IntArray:
        """Which of the values each element of a tensor has, in the order of its stream."""
        places = np.arange(len(self.values)).reshape(self.full_shape(len(x.shape)))
        return x.layout.to_stream(np.broadcast_to(places, x.shape))


class ConstantOp(Op):
    """Base of operators with such constants: frozen dataclasses."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[Numbers, ...]:
        """The constants."""

    @abstractmethod
    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """A function followed by the operator with one value of each constant."""

    @property
    def is_core(self) -> bool:
        """A map has hardware of its own."""
        return any(sum(size > 1 for size in numbers.shape) > 1 for numbers in self.numbers)

    @property
    def absorbable(self) -> bool:
        """A constant of one axis does not need hardware."""
        return not self.is_core

    @property
    def alike(self) -> bool:
        """Not where a constant has several elements."""
        return all(len(numbers.values) == 1 for numbers in self.numbers)

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Each channel with its own constants."""
        columns = [numbers.along(shape, axis) for numbers in self.numbers]
        rows = zip(*columns, strict=True) if columns else [()] * len(functions)
        return [self.changed(f, values) for f, values in zip(functions, rows, strict=True)]

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Any order."""
        del shapes, index
        return None

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """Any order."""
        return [None for _ in inputs]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A finisher whose channels are the elements of the constants; they come round again for
        each element of the stream's outer axes.
        """
        del outputs
        (x,) = inputs
        axis, depth = inner_axis(x)
        streams = [numbers.streamed(x) for numbers in self.numbers]
        period = period_of(x, depth, streams)
        own = value_of(x.qtype)
        made = cache(lambda *values: self.changed(own, values))
        functions = [
            made(*(n.values[place] for n, place in zip(self.numbers, places, strict=True)))
            for places in zip(*(stream[:period] for stream in streams), strict=True)
        ]
        kernel = EltwiseKernel((x.qtype.integers,), math.prod(x.shape), depth, period)
        return single(kernel, Meaning(functions, axis, x.layout))

    def alone(self, x: QTensor) -> tuple[Call, ...] | None:
        """As :meth:`lower`, if the constants lie along another axis than the innermost one."""
        axis, _ = inner_axis(x)
        wide = [n.full_shape(len(x.shape)) for n in self.numbers]
        if all(size == 1 or own == axis for full in wide for own, size in enumerate(full)):
            return None
        return self.lower([x], ())


def period_of(x: QTensor, depth: int, streams: Sequence[IntArray]) -> int:
    """The fewest elements, whole turns of the inner axes, after which all constants come again.

    Raises Unsupported if they are more than :data:`MOST_EXACT`.
    """
    period = 1
    for size in (1, *reversed(x.layout.stream_shape)):
        period *= size
        turns = [stream.reshape(-1, period) for stream in streams]
        if period % depth == 0 and all((turn == turn[0]).all() for turn in turns):
            break
    if period > MOST_EXACT:
        raise Unsupported(
            f"expected constants that come round again after at most {MOST_EXACT} elements of "
            f"the stream, found {period}"
        )
    return period


def with_constants(
    context: ImportContext, node: onnx.NodeProto, op: ConstantOp, name: str
) -> Imported:
    """An operator with constants on one computed tensor, which takes the output's shape first."""
    shape, output = context.shape(name), context.shape(node.output[0])
    dtype = context.dtype(name)
    for numbers in op.numbers:
        check_broadcast("a constant", numbers.shape, output)
    check_broadcast("an operand", shape, output)
    pieces: list[Piece] = []
    values: list[Value] = []
    wide = (1,) * (len(output) - len(shape)) + shape
    steps: list[tuple[Op, tuple[int, ...], str]] = []
    if wide != shape:
        steps.append((Reshape(), wide, "operand"))
    if wide != output:
        steps.append((Expand(), output, "repeated"))
    for step, made, word in steps:
        values.append(Value(inner(node, word), made, dtype))
        pieces.append(Piece(step, (name,), (values[-1].name,)))
        name = values[-1].name
    return Imported((*pieces, Piece(op, (name,))), tuple(values))


def narrowed(values: AnyArray) -> AnyArray:
    """An array without the repetitions that broadcasting gives back."""
    for axis in range(values.ndim):
        first = values.take([0], axis)
        if (values == first).all():
            values = first
    return values
