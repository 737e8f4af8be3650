# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MatMul with a stack of constant matrices (ONNX operator versions 1 to 13): an ensemble of dense
layers, say.

Rows that all matrices share are one product with all of them side by side. Rows of their own are
pixels whose channels are grouped, a group for each matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from ...hw.kernels.geometry import Geometry
from ..ir.graph import Value
from .base import Const, ImportContext, Imported, Op, Unsupported, check_exact, inner, one
from .conv import Conv, dense
from .reshape import Reshape
from .transpose import Transpose

_TURN = Transpose((0, 2, 1))
"""Rows become columns."""


def stacked(context: ImportContext, node: onnx.NodeProto, weight: Const) -> Imported:
    """(..., stack, M, K), or (1, ..., 1, M, K), times ``weight`` (stack..., K, N)."""
    shape, output = context.shape(node.input[0]), context.shape(node.output[0])
    depth, width = weight.shape[-2:]
    count, given = math.prod(weight.shape[:-2]), math.prod(shape[:-2])
    if len(shape) < 2 or given not in (1, count) or math.prod(output[:-2]) != count:
        raise Unsupported(
            "expected a matrix of weights, or a stack of them and rows that it shares or that are "
            f"stacked alike, found the shapes {list(shape)} and {list(weight.shape)}"
        )
    rows, channels = shape[-2], count * width
    # Outputs of one matrix follow those of the one before.
    kernel = weight.map(lambda a: a.reshape(count, depth, width).swapaxes(1, 2))
    kernel = kernel.map(lambda a: a.reshape(channels, depth, 1, 1))
    if given > 1:
        check_exact([channels, given * depth])
        kernel = dense(kernel, given)
    product = Conv(kernel, None, Geometry((rows, 1)), merged=given)
    steps: Sequence[tuple[str, tuple[int, ...], Op]] = (
        ("rows", (given, rows, depth), _TURN),
        ("columns", (given, depth, rows), Reshape()),
        ("pixels", (1, given * depth, rows, 1), product),
        ("sums", (1, channels, rows, 1), Reshape()),
        ("stacks", (count, width, rows), _TURN),
        ("made", (count, rows, width), Reshape()),
    )
    found, dtype = one(Reshape(), [node.input[0]]), context.dtype(node.input[0])
    for word, before, op in steps:
        found = found.then(Value(inner(node, word), before, dtype), op)
    return found
