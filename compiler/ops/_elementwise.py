# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams taken element by element: a sum, or one stream that an absorbed operator changes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ...hw.kernels.eltwise import EltwiseKernel
from ...hw.numeric import Affine
from ..ir.lowered import Call, Meaning, single
from ..ir.quant import QTensor
from .base import Unsupported


def elementwise(inputs: Sequence[QTensor]) -> tuple[Call, ...]:
    """The sum of streams in one order, each on its own grid.

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
    offset = sum((-q.step * q.zero_point for q in types), Fraction(0))
    kernel = EltwiseKernel(
        tuple(q.integers for q in types), int(np.prod(first.shape)), _depth(first), count
    )
    functions = [Affine(tuple(q.step for q in types), offset)] * count
    return single(kernel, Meaning(functions, axis, first.layout), len(inputs))


def inner_axis(x: QTensor) -> tuple[int, int]:
    """The axis along which the stream's innermost elements lie, and its length.

    An axis of one element where there is none, as in the stream of a flattened image: then all
    elements are finished alike.
    """
    depth = _depth(x)
    turns = np.arange(int(np.prod(x.shape))) % depth
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
