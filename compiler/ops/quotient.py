# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Div of two computed tensors (ONNX operator versions 7 to 14), which broadcast to each other: rule
N19.

The accumulator is the quotient of both integers without their zero points, to some fractional bits.
A divisor that is 0 on its grid counts as a step of it, whatever is infinite elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...hw.kernels.base import WidthError
from ...hw.kernels.quotient import QuotientKernel
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._elementwise import MeetingOp, inner_axis, met, pairs
from ._groups import step_bits
from ._model import one_node
from .base import Case, Unsupported


@dataclass(frozen=True)
class Quotient(MeetingOp):
    """The first tensor divided by the second, element by element."""

    @property
    def divisors(self) -> tuple[int, ...]:
        """The second."""
        return (1,)

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A buffer that repeats what is broadcast, then quotients."""
        (output,) = outputs
        meet = met(inputs, output)
        _, depth = inner_axis(meet.streams[0])
        a, b = (x.qtype for x in inputs)
        unit = a.step / b.step
        bits = step_bits(output, unit)
        try:
            kernel = QuotientKernel(
                (a.integers, b.integers),
                (a.zero_point, b.zero_point),
                math.prod(output.shape),
                depth,
                depth,
                bits,
            )
        except WidthError as error:
            raise Unsupported(str(error)) from error
        return pairs(kernel, meet, unit / (1 << bits))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two images; an image by a factor a channel, and one for all; by what is below 0."""
        shape = (1, 4, 3, 5)
        yield Case("quotient", one_node("Div", [shape, shape], shape), 0.5, 4.0)
        yield Case("quotient_by_channels", one_node("Div", [shape, (1, 4, 1, 1)], shape), 0.5, 4.0)
        yield Case("quotient_by_one", one_node("Div", [shape, (1, 1, 1, 1)], shape), 1.0, 2.0)
        yield Case("quotient_below", one_node("Div", [(1, 7), (1, 7)], (1, 7)), -3.0, -0.25, 4)
