# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Floor, Ceil and Round (ONNX operator versions 6, 11, 13, 22)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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

_STEPS: dict[str, Callable[[Fraction], int]] = {
    "Floor": math.floor,
    "Ceil": math.ceil,
    "Round": round,  # halves to even, as ONNX has it
}


@dataclass(frozen=True)
class _Steps(Unary):
    """To a whole number, by the ONNX name; never falls."""

    name: str

    def rational(self, x: Fraction) -> Fraction:
        return Fraction(_STEPS[self.name](x))

    def ball(self, x: arb) -> arb:
        from flint import arb

        low, high = self._ends(x)
        return arb(low).union(arb(high))

    def __call__(self, x: Fraction | arb) -> Fraction | arb:
        """A whole number, where all of a ball has the same."""
        if isinstance(x, Fraction):
            return self.rational(x)
        low, high = self._ends(x)
        return Fraction(low) if low == high else self.ball(x)

    def _ends(self, x: arb) -> tuple[int, int]:
        """Of both ends of a ball, which are dyadic."""
        step = _STEPS[self.name]
        low, high = (end.fmpq() for end in (x.lower(), x.upper()))
        return step(Fraction(int(low.p), int(low.q))), step(Fraction(int(high.p), int(high.q)))


@dataclass(frozen=True)
class Round(UnaryOp):
    """To a whole number, by the ONNX name."""

    name: str

    onnx_types = tuple(_STEPS)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """No attributes."""
        return one(cls(node.op_type), [node.input[0]])

    @property
    def function(self) -> Unary:
        """See :class:`_Steps`."""
        return _Steps(self.name)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Each."""
        for name in _STEPS:
            yield Case(name.lower(), one_node(name, [(1, 5, 3)], (1, 5, 3)), -3.0, 4.0)
