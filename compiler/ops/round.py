# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Round, Floor and Ceil (ONNX operator versions 11, 6 and 13): numbers without their fraction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import onnx

from ...hw.numeric import Unary
from ._model import one_node
from .base import Case, ImportContext, Imported, one
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True)
class _Whole(Unary):
    """Steps, which rise: to the nearest whole number, halves to even, or down, or up."""

    mode: str

    def rational(self, x: Fraction) -> Fraction:
        if self.mode == "Round":
            return Fraction(round(x))
        return Fraction(math.floor(x) if self.mode == "Floor" else math.ceil(x))

    def ball(self, x: arb) -> arb:
        from flint import arb

        if self.mode == "Round":
            # Whichever way a half goes, it lies between both.
            half = arb(1) / 2
            return (x - half).ceil().union((x + half).floor())
        return x.floor() if self.mode == "Floor" else x.ceil()


@dataclass(frozen=True)
class Round(UnaryOp):
    """A whole number near ``x``; ``mode`` is the ONNX operator's name."""

    mode: str

    onnx_types = ("Ceil", "Floor", "Round")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """No attributes."""
        del context
        return one(cls(node.op_type), [node.input[0]])

    @property
    def function(self) -> Unary:
        """See :class:`_Whole`."""
        return _Whole(self.mode)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Each."""
        shape = (1, 5, 3)
        for kind in cls.onnx_types:
            yield Case(kind.lower(), one_node(kind, [shape], shape), -4.0, 4.0)
