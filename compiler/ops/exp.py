# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exp (ONNX operator versions 6, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...hw.numeric import Exponential, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp


@dataclass(frozen=True)
class Exp(UnaryOp):
    """The exponential function."""

    onnx_types = ("Exp",)

    @property
    def function(self) -> Unary:
        """``exp(x)``."""
        return Exponential()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("exp", one_node("Exp", [(1, 5, 3)], (1, 5, 3)), -4.0, 1.0)
