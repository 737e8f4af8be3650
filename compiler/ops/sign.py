# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sign (ONNX operator versions 9, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ...hw.numeric import Piecewise, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp


@dataclass(frozen=True)
class Sign(UnaryOp):
    """-1, 0 or 1."""

    onnx_types = ("Sign",)

    @property
    def function(self) -> Unary:
        """Two steps at 0."""
        zero, one = Fraction(0), Fraction(1)
        return Piecewise((zero,), ((-one,), (one,)), (zero,))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("sign", one_node("Sign", [(1, 5, 3)], (1, 5, 3)))
