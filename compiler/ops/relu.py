# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Relu (ONNX operator version 14): goes into the producer's clamp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.numeric import Function
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, one


@dataclass(frozen=True)
class Relu(Op):
    """``max(x, 0)``."""

    onnx_types = ("Relu",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """No attributes."""
        del context
        return one(cls(), [node.input[0]])

    @property
    def absorbable(self) -> bool:
        """Monotone."""
        return True

    @property
    def clamps(self) -> bool:
        """At 0."""
        return True

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Clamp from below at 0."""
        del shape, axis
        return [f.clamped(Fraction(0), None) for f in functions]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One, on its own: becomes a rescale."""
        yield Case("relu", one_node("Relu", [(1, 6, 4, 5)], (1, 6, 4, 5)))
