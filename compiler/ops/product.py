# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Mul of two computed tensors (ONNX operator versions 7 to 14), which broadcast to each other.

The accumulator is the product of both integers without their zero points; the real number is that
times both scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...hw.kernels.dot import DotKernel
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._elementwise import MeetingOp, inner_axis, met, pairs
from ._model import one_node
from .base import Case


@dataclass(frozen=True)
class Product(MeetingOp):
    """The product of two tensors, element by element."""

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A buffer that repeats what is broadcast, then products."""
        (output,) = outputs
        meet = met(inputs, output)
        _, depth = inner_axis(meet.streams[0])
        a, b = (x.qtype for x in inputs)
        kernel = DotKernel(
            (a.integers, b.integers),
            (a.zero_point, b.zero_point),
            math.prod(output.shape),
            1,
            depth,
            depth,
        )
        return pairs(kernel, meet, a.step * b.step)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two images, and an image with a factor a channel, or a row."""
        shape = (1, 4, 3, 5)
        yield Case("product", one_node("Mul", [shape, shape], shape))
        yield Case("product_of_channels", one_node("Mul", [shape, (1, 4, 1, 1)], shape))
        yield Case("product_of_ranks", one_node("Mul", [shape, (3, 1)], shape))
