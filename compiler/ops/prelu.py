# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""PRelu (ONNX operator versions 7 to 16) with a constant slope, one for all or for each channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.numeric import Function, Piecewise
from ._constants import ConstantOp, Numbers, with_constants
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported


@dataclass(frozen=True)
class PRelu(ConstantOp):
    """``x`` where that is positive, else ``slope * x``."""

    slope: Numbers

    onnx_types = ("PRelu",)

    def __repr__(self) -> str:
        return f"PRelu(slope={self.slope.shape})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The slope is constant and broadcasts to the tensor."""
        slope = context.const(node.input[1])
        if slope is None:
            raise Unsupported(
                "expected a constant slope, found a computed one; Relu, and Min with 0 times the "
                "slope, added, would work"
            )
        return with_constants(context, node, cls(Numbers.of(slope)), node.input[0])

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """The slope."""
        return (self.slope,)

    @property
    def needs_table(self) -> bool:
        """Two lines."""
        return True

    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """Two lines that meet in 0."""
        (slope,) = values
        zero = Fraction(0)
        return function.then(Piecewise((zero,), ((zero, slope), (zero, Fraction(1)))))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A slope for each channel, rising and falling; one for all; one for each element."""
        shape = (1, 4, 3, 5)
        slopes = np.array([0.25, -0.5, 0.0, 1.0], np.float32).reshape(4, 1, 1)
        yield Case("prelu", one_node("PRelu", [shape], shape, {1: slopes}))
        yield Case("prelu_alike", one_node("PRelu", [shape], shape, {1: slopes[:1, 0]}))
        each = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
        yield Case("prelu_map", one_node("PRelu", [(1, 4, 3)], (1, 4, 3), {1: each}))
