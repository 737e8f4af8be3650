# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams taken element by element: a sum, or one stream that an absorbed operator changes; and
how computed tensors that broadcast to each other meet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.base import Kernel
from ...hw.kernels.eltwise import EltwiseKernel
from ...hw.numeric import Affine, QType
from ..ir.graph import Value
from ..ir.lowered import Call, Inner, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._moving import axis_order, repeated
from .base import ImportContext, Imported, Op, Piece, Unsupported, inner
from .reshape import Reshape


class MeetingOp(Op):
    """Base of operators on two computed tensors, which broadcast to each other (a stream a channel
    over an image, say): frozen dataclasses.
    """

    @property
    def arity(self) -> int:
        """Two streams."""
        return 2

    @property
    def is_core(self) -> bool:
        """Streams meet in hardware of their own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Any order, if all have it."""
        del shapes, index
        return None

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """The first one's order where all have one shape, else the order of the largest one's
        axes.
        """
        if len({x.shape for x in inputs}) == 1:
            return [inputs[0].layout for _ in inputs]
        perm = axis_order(max(inputs, key=lambda x: math.prod(x.shape))).perm
        return [Layout(x.shape, perm) for x in inputs]


def check_broadcast(what: str, own: tuple[int, ...], output: tuple[int, ...]) -> None:
    """Raises Unsupported unless a shape broadcasts to an output's. ONNX infers that from what has
    most axes, and does not look whether PRelu's slope, or a mask, is one of them; before operator
    version 8 from the first operand.
    """
    pairs = zip(reversed(own), reversed(output), strict=False)
    if len(own) > len(output) or not all(size in (1, whole) for size, whole in pairs):
        raise Unsupported(
            f"expected {what} that broadcasts to the output's shape {list(output)}, found the "
            f"shape {list(own)}"
        )


def meeting(
    context: ImportContext, node: onnx.NodeProto, op: Op, names: Sequence[str] = ()
) -> Imported:
    """An operator on the computed inputs of a node, which all get as many axes as its output.

    ``names`` are the inputs, all of the node's by default.
    """
    names = names or list(node.input)
    made = context.shape(node.output[0])
    pieces: list[Piece] = []
    values: list[Value] = []
    operands: list[str] = []
    for index, name in enumerate(names):
        shape = context.shape(name)
        check_broadcast("an operand", shape, made)
        operands.append(name)
        if len(shape) < len(made):
            operands[-1] = inner(node, f"operand{index}")
            wide = (1,) * (len(made) - len(shape)) + shape
            values.append(Value(operands[-1], wide, context.dtype(name)))
            pieces.append(Piece(Reshape(), (name,), (operands[-1],)))
    return Imported((*pieces, Piece(op, tuple(operands))), tuple(values))


@dataclass(frozen=True)
class Met:
    """Computed tensors in the shape and the order of the result.

    Attributes
    ----------
    calls : buffers that repeat what is broadcast
    streams : the tensors as they come to meet
    places : where each comes from, as :class:`~..ir.lowered.Call` counts
    """

    calls: tuple[Call, ...]
    streams: tuple[QTensor, ...]
    places: tuple[int, ...]


def met(inputs: Sequence[QTensor], output: OutputSpec) -> Met:
    """Bring tensors, in orders that :meth:`MeetingOp.wanted_layouts` wants, to the output's
    shape.
    """
    calls: list[Call] = []
    streams: list[QTensor] = []
    places: list[int] = []
    for index, x in enumerate(inputs):
        if x.shape == output.shape:
            streams.append(x)
            places.append(index)
            continue
        kernel, layout = repeated(x, output.shape)
        streams.append(replace(x, shape=output.shape, layout=layout))
        places.append(len(inputs) + len(calls))
        calls.append(Call(kernel, (index,), (Inner(output.shape, x.qtype, layout),)))
    return Met(tuple(calls), tuple(streams), tuple(places))


def pairs(kernel: Kernel, meet: Met, unit: Fraction) -> tuple[Call, ...]:
    """A kernel on tensors that met, whose accumulators count ``unit``."""
    first = meet.streams[0]
    axis, depth = inner_axis(first)
    meaning = Meaning([Affine((unit,), Fraction(0))] * depth, axis, first.layout)
    return (*meet.calls, Call(kernel, meet.places, (meaning,)))


def elementwise(inputs: Sequence[QTensor], signs: Sequence[int] = ()) -> tuple[Call, ...]:
    """The sum of streams in one order, each on its own grid, and with a sign if there are any.

    Channels lie along the innermost stream axis where that is an axis of the tensor; in a stream of
    another order (a flattened image) all elements are one channel.

    Raises
    ------
    Unsupported
        If the orders differ.
    """
    first = inputs[0]
    for other in inputs[1:]:
        if not first.layout.same_order(other.layout):
            raise Unsupported(
                f"expected two streams of one order, found {first.layout} and {other.layout}"
            )
    axis, count = inner_axis(first)
    types = [x.qtype for x in inputs]
    steps = [q.step * sign for q, sign in zip(types, signs or [1] * len(types), strict=True)]
    offset = sum((-s * q.zero_point for s, q in zip(steps, types, strict=True)), Fraction(0))
    kernel = EltwiseKernel(
        tuple(q.integers for q in types), int(np.prod(first.shape)), _depth(first), count
    )
    functions = [Affine(tuple(steps), offset)] * count
    return single(kernel, Meaning(functions, axis, first.layout), len(inputs))


def rounded(x: QTensor, grid: QType, place: int) -> Call:
    """A stream, which comes from ``place``, as integers of another grid."""
    (call,) = elementwise([x])
    (meaning,) = call.results
    assert isinstance(meaning, Meaning)
    own = Inner(x.shape, grid, x.layout, tuple(meaning.functions))
    return replace(call, inputs=(place,), results=(own,))


def inner_axis(x: QTensor) -> tuple[int, int]:
    """The axis along which the stream's innermost elements lie, and its length.

    An axis of one element where there is none, as in the stream of a flattened image: then all
    elements are finished alike.
    """
    depth = _depth(x)
    finer = x.layout.canonical.refined(x.shape)
    if depth == 1 and 1 in x.shape:
        return x.shape.index(1), 1
    if finer is None:
        return _inner_axis_by_elements(x, depth)
    fine, groups = finer
    order = [axis for axis in fine.perm if fine.dims[axis] > 1]
    for axis, size in enumerate(x.shape):
        own = [each for each in groups[axis] if fine.dims[each] > 1]
        if size == depth and order[len(order) - len(own) :] == own:
            return axis, size
    return 0, 1


def _inner_axis_by_elements(x: QTensor, depth: int) -> tuple[int, int]:
    """The same where the stream's order and the shape cut the elements in ways that cross."""
    turns = np.arange(math.prod(x.shape)) % depth
    for axis, size in enumerate(x.shape):
        along = np.arange(size).reshape([-1 if i == axis else 1 for i in range(len(x.shape))])
        if size == depth and np.array_equal(
            x.layout.to_stream(np.broadcast_to(along, x.shape)), turns
        ):
            return axis, size
    return 0, 1


def _depth(x: QTensor) -> int:
    """Elements of the innermost stream axis; a scalar has no axis, and one element."""
    return x.layout.stream_shape[-1] if x.layout.dims else 1
