# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Mish (ONNX operator versions 18, 22)."""

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

_TURN = (Fraction(-11925, 10_000), Fraction(-11924, 10_000))
"""Around the one number where it turns from falling to rising."""


@dataclass(frozen=True)
class _Mish(Unary):
    """``x * tanh(log(1 + exp(x)))``, which is ``x * (1 - 2 / ((1 + exp(x))**2 + 1))``; irrational
    at all rational numbers but 0, as exp is.
    """

    def rational(self, x: Fraction) -> Fraction | None:
        return x if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x * (1 - 2 / ((1 + x.exp()) ** 2 + 1))

    @property
    def turns(self) -> tuple[Interval, ...]:
        return (_TURN,)


@dataclass(frozen=True)
class Mish(UnaryOp):
    """``x`` times tanh of softplus of ``x``."""

    onnx_types = ("Mish",)

    @property
    def function(self) -> Unary:
        """See :class:`_Mish`."""
        return _Mish()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Around its turn."""
        model = one_node("Mish", [(1, 5, 3)], (1, 5, 3), opset=22)
        yield Case("mish", model, -5.0, 3.0)
