# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Neg (ONNX operator versions 6, 13): goes into the producer's slope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.numeric import Function
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, one


@dataclass(frozen=True)
class Neg(Op):
    """``-x``."""

    onnx_types = ("Neg",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """No attributes."""
        del context
        return one(cls(), [node.input[0]])

    @property
    def absorbable(self) -> bool:
        """A line."""
        return True

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Times -1."""
        del shape, axis
        return [f.times(Fraction(-1)) for f in functions]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One, on its own: becomes a rescale."""
        yield Case("neg", one_node("Neg", [(1, 5, 3)], (1, 5, 3)), -1.0, 3.0)
