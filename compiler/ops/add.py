# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Add (ONNX operator versions 7, 13, 14): of two streams, or of a stream and a constant a channel;
and Sub of two streams.

A constant goes into the producer's finisher. Two streams keep their own scales: the real number
is ``s_a * (a - z_a) + s_b * (b - z_b)``, rounded once. They broadcast to each other: the smaller
one is repeated from a buffer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import onnx

from ...hw.numeric import Function
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._elementwise import MeetingOp, elementwise, meeting, met
from ._model import one_node, weights
from .base import (
    Case,
    Const,
    ImportContext,
    Imported,
    Unsupported,
    along_channels,
    one,
    one_axis,
)


@dataclass(frozen=True, eq=False)
class Add(MeetingOp):
    """A sum. ``constant`` is None for two streams, which have ``signs``."""

    constant: Const | None = None
    signs: tuple[int, int] = (1, 1)

    onnx_types = ("Add",)

    def __repr__(self) -> str:
        if self.constant:
            return f"Add(constant={self.constant.shape})"
        return "Add()" if self.signs == (1, 1) else f"Add(signs={self.signs})"

    @property
    def arity(self) -> int:
        """Two streams, or one and a constant."""
        return 1 if self.constant else 2

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Two streams broadcast to each other; a constant does to its stream."""
        left, right = node.input[0], node.input[1]
        output = context.shape(node.output[0])
        for name, other in ((left, right), (right, left)):
            constant = context.const(name)
            if constant is not None:
                if context.shape(other) != output:
                    raise Unsupported(
                        f"expected a constant that broadcasts to {list(context.shape(other))}, "
                        f"found {list(constant.shape)}"
                    )
                return one(cls(one_axis(constant)), [other])
        return meeting(context, node, cls())

    @property
    def is_core(self) -> bool:
        """Two streams meet in hardware of their own."""
        return self.constant is None

    @property
    def absorbable(self) -> bool:
        """A constant does not need hardware."""
        return self.constant is not None

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Add each channel's constant."""
        assert self.constant is not None
        values = along_channels(
            self.constant.exact(), self.constant.shape, shape, axis, len(functions)
        )
        return [f.plus(value) for f, value in zip(functions, values, strict=True)]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (output,) = outputs
        meet = met(inputs, output)
        (call,) = elementwise(meet.streams, self.signs)
        return (*meet.calls, replace(call, inputs=meet.places))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two streams, also of other shapes, and a constant a channel on its own."""
        shape = (1, 4, 3, 5)
        yield Case("add", one_node("Add", [shape, shape], shape))
        yield Case("add_channels", one_node("Add", [(1, 4, 1, 1), shape], shape))
        yield Case("add_outer", one_node("Add", [(1, 4, 1, 1), (1, 3, 5)], shape))
        yield Case("sub_streams", one_node("Sub", [shape, shape], shape))
        yield Case("sub_pixels", one_node("Sub", [(1, 1, 3, 5), shape], shape))
        yield Case("add_constant", one_node("Add", [shape], shape, {1: weights(1, 4, 1, 1)}))
