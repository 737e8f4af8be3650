# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Add and Sub of two computed tensors (ONNX operator versions 7, 13, 14).

Both keep their own scales: the real number is ``s_a * (a - z_a) + s_b * (b - z_b)``, rounded once.
They broadcast to each other: the smaller one is repeated from a buffer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._elementwise import MeetingOp, elementwise, met
from ._model import one_node
from .base import Case


@dataclass(frozen=True)
class Add(MeetingOp):
    """The sum of two tensors, each with a sign; the import rule is that of ``scale``."""

    signs: tuple[int, int] = (1, 1)

    def __repr__(self) -> str:
        return "Add()" if self.signs == (1, 1) else f"Add(signs={self.signs})"

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (output,) = outputs
        meet = met(inputs, output)
        (call,) = elementwise(meet.streams, self.signs)
        return (*meet.calls, replace(call, inputs=meet.places))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two streams of one shape, and of others; differences."""
        shape = (1, 4, 3, 5)
        yield Case("add", one_node("Add", [shape, shape], shape))
        yield Case("add_channels", one_node("Add", [(1, 4, 1, 1), shape], shape))
        yield Case("add_outer", one_node("Add", [(1, 4, 1, 1), (1, 3, 5)], shape))
        yield Case("sub_streams", one_node("Sub", [shape, shape], shape))
        yield Case("sub_pixels", one_node("Sub", [(1, 1, 3, 5), shape], shape))
