# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reciprocal (ONNX operator versions 6, 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hw.numeric import Interval, Unary
from ._model import one_node
from .base import Case
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _Inverse(Unary):
    """``1 / x``: falls on both sides of 0, where it is infinity, which saturates."""

    def rational(self, x: Fraction) -> Fraction | None:
        return 1 / x if x else None

    def ball(self, x: arb) -> arb:
        from flint import arb

        return arb.pos_inf() if x.is_zero() else 1 / x

    @property
    def turns(self) -> tuple[Interval, ...]:
        return ((Fraction(0), Fraction(0)),)


@dataclass(frozen=True)
class Reciprocal(UnaryOp):
    """One over each element."""

    onnx_types = ("Reciprocal",)

    @property
    def function(self) -> Unary:
        """See :class:`_Inverse`."""
        return _Inverse()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Numbers above zero, and below."""
        shape = (1, 5, 3)
        yield Case("reciprocal", one_node("Reciprocal", [shape], shape), 0.5, 4.0)
        yield Case("reciprocal_below", one_node("Reciprocal", [shape], shape), -3.0, -0.75)
