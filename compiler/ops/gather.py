# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Gather of a computed tensor by constant indices (ONNX operator versions 1 to 13).

Consecutive indices are a Slice. Others are read from a buffer that holds the axis and all inside of
it, at places that a table gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.reorder import ReorderKernel
from ..ir.graph import Value
from ..ir.lowered import Call, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import MovingOp, moved
from .base import Case, ImportContext, Imported, Op, Piece, Unsupported, axis_of, inner, one
from .embedding import Embedding
from .reshape import Reshape
from .slice import Slice

MOST_PLACES = 4096
"""Most indices that are no range: their places are in logic."""


@dataclass(frozen=True)
class Gather(MovingOp):
    """Elements of an axis, in the order of ``indices``."""

    axis: int
    indices: tuple[int, ...]

    onnx_types = ("Gather",)

    def __repr__(self) -> str:
        return f"Gather(axis={self.axis}, {len(self.indices)} indices)"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One of tensor and indices is computed: a constant table makes a
        :class:`~.embedding.Embedding`.
        """
        table = context.const(node.input[0])
        if table is not None:
            return Embedding.of_gather(context, node, table)
        constant = context.const(node.input[1])
        if constant is None:
            raise Unsupported(
                "expected constant indices, found computed ones; a one-hot mask and MatMul would "
                "work"
            )
        shape = context.shape(node.input[0])
        axis = axis_of(int(context.attributes(node).get("axis", 0)), shape)
        indices = [int(v) % shape[axis] for v in constant.values.ravel()]
        if not indices:
            raise Unsupported("expected at least one index, found none")
        output = context.shape(node.output[0])
        made = (*shape[:axis], len(indices), *shape[axis + 1 :])
        found = one(picking(shape, axis, indices), [node.input[0]])
        if made == output:
            return found
        between = Value(inner(node, "picked"), made, context.dtype(node.input[0]))
        return found.then(between, Reshape())

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        perm = x.layout.perm
        place = perm.index(self.axis)
        run = math.prod(x.shape[axis] for axis in perm[place + 1 :])
        block = x.shape[self.axis] * run
        kernel = ReorderKernel(
            x.qtype.integers,
            block,
            math.prod(x.shape) // block,
            ((run, 1),),
            starts=tuple(index * run for index in self.indices),
        )
        return single(kernel, moved(x.qtype, Layout(output.shape, perm)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Channels, rows, some twice; a range; one of them; indices of two axes."""

        def gather(name: str, axis: int, indices: object, *out: int) -> Case:
            constant = {1: np.array(indices, np.int64)}
            model = one_node("Gather", [(1, 4, 3, 6)], out, constant, axis=axis)
            return Case(f"gather_{name}", model)

        yield gather("channels", 1, [2, 0, -1], 1, 3, 3, 6)
        yield gather("rows", 2, [2, 0, 0, 1], 1, 4, 4, 6)
        yield gather("range", 3, [1, 2, 3], 1, 4, 3, 3)
        yield gather("one", 1, 2, 1, 3, 6)
        yield gather("grid", -1, [[5, 3], [0, 2]], 1, 4, 3, 2, 2)


def picking(shape: Sequence[int], axis: int, indices: Sequence[int]) -> Op:
    """The operator that takes these elements of an axis.

    Raises Unsupported if they are no range, and too many.
    """
    first, last = indices[0], indices[-1]
    if list(indices) == list(range(first, last + 1)):
        whole = [(0, 1, size) for size in shape]
        whole[axis] = (first, 1, len(indices))
        return Reshape(True) if whole[axis][2] == shape[axis] else Slice(tuple(whole))
    if len(indices) > MOST_PLACES:
        raise Unsupported(
            f"expected a range, or at most {MOST_PLACES} indices, found {len(indices)}"
        )
    return Gather(axis, tuple(indices))


def picks(
    context: ImportContext, node: onnx.NodeProto, chosen: Mapping[int, Sequence[int]]
) -> Imported:
    """Elements of several axes of a node's first input, one axis after the other."""
    name, shape = node.input[0], context.shape(node.input[0])
    pieces: list[Piece] = []
    values: list[Value] = []
    for axis, indices in chosen.items():
        op = picking(shape, axis, indices)
        shape = (*shape[:axis], len(indices), *shape[axis + 1 :])
        values.append(Value(inner(node, f"axis{axis}"), shape, context.dtype(node.input[0])))
        pieces.append(Piece(op, (name,), (values[-1].name,)))
        name = values[-1].name
    if not pieces:
        return one(Reshape(True), [name])
    pieces[-1] = replace(pieces[-1], outputs=())
    return Imported(tuple(pieces), tuple(values[:-1]))
