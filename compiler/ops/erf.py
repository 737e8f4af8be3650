# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Erf (ONNX operator versions 9, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _Error(Unary):
    """Rises; transcendental at all algebraic numbers but 0 (Siegel, Shidlovskii)."""

    def rational(self, x: Fraction) -> Fraction | None:
        return x if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x.erf()


@dataclass(frozen=True)
class Erf(UnaryOp):
    """The error function."""

    onnx_types = ("Erf",)

    @property
    def function(self) -> Unary:
        """``2 / sqrt(pi)`` times the integral of ``exp(-t * t)`` from 0 to ``x``."""
        return _Error()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("erf", one_node("Erf", [(1, 5, 3)], (1, 5, 3)), -2.0, 2.5)
