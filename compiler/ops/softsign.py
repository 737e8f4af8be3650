# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softsign (ONNX operator versions 1, 22)."""

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
class _Squashed(Unary):
    """``x / (1 + |x|)``: rises."""

    def rational(self, x: Fraction) -> Fraction:
        return x / (1 + abs(x))

    def ball(self, x: arb) -> arb:
        ends = [end / (1 + abs(end)) for end in (x.lower(), x.upper())]
        return ends[0].union(ends[1])


@dataclass(frozen=True)
class Softsign(UnaryOp):
    """``x / (1 + |x|)``."""

    onnx_types = ("Softsign",)

    @property
    def function(self) -> Unary:
        """See :class:`_Squashed`."""
        return _Squashed()

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One."""
        yield Case("softsign", one_node("Softsign", [(1, 5, 3)], (1, 5, 3)), -4.0, 3.0)
