# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Clip (ONNX operator versions 6, 11, 12, 13): goes into the producer's clamp."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.numeric import Function
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Unsupported, one


@dataclass(frozen=True)
class Clip(Op):
    """``min(max(x, low), high)``; a bound may be missing."""

    low: Fraction | None = None
    high: Fraction | None = None

    onnx_types = ("Clip",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Bounds are attributes up to opset 10, constant inputs from 11; infinite ones are none."""
        attributes = context.attributes(node)
        bounds: list[Fraction | None] = []
        for position, attribute in ((1, "min"), (2, "max")):
            bound = attributes.get(attribute)
            if bound is None and len(node.input) > position and node.input[position]:
                constant = context.const(node.input[position], finite=False)
                if constant is None:
                    raise Unsupported(f"expected a constant {attribute}, found a computed one")
                if constant.values.size != 1:
                    raise Unsupported(
                        f"expected one number for {attribute}, found the shape "
                        f"{list(constant.shape)}"
                    )
                bound = constant.real.ravel()[0]
            if bound is not None and math.isnan(bound):
                raise Unsupported(f"expected a number for {attribute}, found NaN")
            # Infinity bounds nothing, if it is on its own side.
            if bound is None or bound == (-math.inf, math.inf)[position - 1]:
                bounds.append(None)
            elif math.isinf(bound):
                raise Unsupported(f"expected a finite {attribute}, found {bound}")
            else:
                bounds.append(Fraction(float(bound)))
        low, high = bounds
        if low is not None and high is not None and low > high:
            raise Unsupported(f"expected min at most max, found {float(low)} > {float(high)}")
        return one(cls(low, high), [node.input[0]])

    @property
    def absorbable(self) -> bool:
        """Monotone."""
        return True

    @property
    def clamps(self) -> bool:
        """Both bounds are the tensor's."""
        return True

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Clamp at both bounds."""
        del shape, axis
        return [f.clamped(self.low, self.high) for f in functions]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Both bounds, and one."""
        shape = (1, 4, 3, 5)
        low = np.array(-0.25, np.float32)
        high = np.array(0.5, np.float32)
        yield Case("clip", one_node("Clip", [shape], shape, {1: low, 2: high}))
        yield Case("clip_low", one_node("Clip", [shape], shape, {1: low}))
