# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Split (ONNX operator versions 2 to 18): parts of a tensor along any axis, on the same grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.split import SplitKernel
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import MovingOp, moved
from .base import Case, ImportContext, Imported, Unsupported, axis_of, one

_TOLD = 16  # sizes that a message has at most


@dataclass(frozen=True)
class Split(MovingOp):
    """Parts of these sizes along ``axis``; ``wanted`` says which of them are outputs: what nobody
    reads is dropped.
    """

    axis: int
    sizes: tuple[int, ...]
    wanted: tuple[bool, ...]

    onnx_types = ("Split",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The sizes are a constant, or what shape inference makes of their number."""
        shape = context.shape(node.input[0])
        attributes = context.attributes(node)
        axis = axis_of(int(attributes.get("axis", 0)), shape)
        sizes = attributes.get("split")
        if len(node.input) > 1 and node.input[1]:
            constant = context.const(node.input[1])
            if constant is None:
                raise Unsupported("expected constant sizes, found computed ones")
            # There may be millions: of too many, one more than counts or is told.
            most = max(len(node.output), _TOLD) + 1
            sizes = [int(v) for v in constant.values.ravel()[:most]]
        if sizes is None:
            count = len(node.output)
            most = -(-shape[axis] // count)
            sizes = [min(most, shape[axis] - k * most) for k in range(count)]
        if len(sizes) != len(node.output) or sum(sizes) != shape[axis] or min(sizes) < 1:
            told = ", ".join(str(size) for size in sizes[:_TOLD])
            more = ", ..." if len(sizes) > _TOLD else ""
            raise Unsupported(
                f"expected {len(node.output)} sizes of at least 1 whose sum is {shape[axis]}, "
                f"found [{told}{more}]"
            )
        wanted = tuple(context.is_read(name) for name in node.output)
        if not any(wanted):
            raise Unsupported("expected an output that is read, found none")
        outputs = [name for name, read in zip(node.output, wanted, strict=True) if read]
        return one(cls(axis, tuple(sizes), wanted), [node.input[0]], outputs)

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """One kernel with all outputs."""
        (x,) = inputs
        perm = x.layout.perm
        place = perm.index(self.axis)
        inner = math.prod(x.shape[axis] for axis in perm[place + 1 :])
        numbers = np.cumsum(self.wanted) - 1
        kernel = SplitKernel(
            x.qtype.integers,
            tuple(size * inner for size in self.sizes),
            tuple(int(k) if wanted else -1 for k, wanted in zip(numbers, self.wanted, strict=True)),
            math.prod(x.shape[axis] for axis in perm[:place]),
            (1,) * len(outputs),
        )
        meanings = tuple(moved(x.qtype, Layout(output.shape, perm)) for output in outputs)
        return (Call(kernel, (0,), meanings),)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Channels of images, in equal and unequal parts."""
        sizes = np.array([2, 1, 3], np.int64)
        yield Case(
            "split",
            one_node(
                "Split",
                [(1, 6, 3, 4)],
                (1, 2, 3, 4),
                {1: sizes},
                further=[(1, 1, 3, 4), (1, 3, 3, 4)],
                axis=1,
            ),
        )
        yield Case(
            "split_rows",
            one_node(
                "Split", [(1, 4, 6, 2)], (1, 4, 3, 2), opset=11, further=[(1, 4, 3, 2)], axis=2
            ),
        )
