# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Add (ONNX operator versions 7, 13, 14): of two streams, or of a stream and a constant a channel.

A constant goes into the producer's finisher. Two streams keep their own scales: the real number
is ``s_a * (a - z_a) + s_b * (b - z_b)``, rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from ...hw.formats.tensor import Layout
from ...hw.numeric import Function
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._elementwise import elementwise
from ._model import one_node, weights
from .base import (
    Case,
    Const,
    ImportContext,
    Imported,
    Op,
    Unsupported,
    along_channels,
    one,
    one_axis,
)


@dataclass(frozen=True, eq=False)
class Add(Op):
    """A sum. ``constant`` is None for two streams."""

    constant: Const | None = None

    onnx_types = ("Add",)

    def __repr__(self) -> str:
        return f"Add(constant={self.constant.shape})" if self.constant else "Add()"

    @property
    def arity(self) -> int:
        """Two streams, or one and a constant."""
        return 1 if self.constant else 2

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Two streams must have the same shape."""
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
        if context.shape(left) != context.shape(right):
            raise Unsupported(
                f"expected two streams of one shape, found {list(context.shape(left))} and "
                f"{list(context.shape(right))}"
            )
        return one(cls(), [left, right])

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

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Any order, if both have it."""
        del shapes, index
        return None

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """The first one's order."""
        return [inputs[0].layout for _ in inputs]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        del outputs
        return elementwise(inputs)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two streams, and a constant a channel on its own."""
        shape = (1, 4, 3, 5)
        yield Case("add", one_node("Add", [shape, shape], shape))
        yield Case("add_constant", one_node("Add", [shape], shape, {1: weights(1, 4, 1, 1)}))
