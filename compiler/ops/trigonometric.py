# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sin, Cos, Tan, their inverses, and the hyperbolic ones (ONNX operator versions 7, 9, 22).

All are transcendental at all algebraic numbers but the one whose value is noted here (Lindemann;
for the inverses, because what they invert is). Where ONNX has no number, outside of the domain of
an inverse, the value is that of the nearest end: integers have no NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import onnx

from ...hw.numeric import DomainError, Interval, Unary
from ._model import one_node
from .base import Case, ImportContext, Imported, one
from .unary import UnaryOp

if TYPE_CHECKING:
    from flint import arb

REACH = 100
"""Angles that Sin, Cos and Tan take, from minus that, in radians."""

_PI = Fraction(14488038916154245684, 2**62)
"""Less than pi, by less than 2**-62."""


@lru_cache
def _multiples(first: Fraction) -> tuple[Interval, ...]:
    """Narrow intervals around ``(first + k) * pi`` within reach."""
    found = []
    for k in range(-REACH // 3, REACH // 3 + 1):
        places = [(first + k) * (_PI + more) for more in (0, Fraction(1, 2**62))]
        found.append((min(places), max(places)))
    return tuple(found)


@dataclass(frozen=True)
class _Known:
    """What is known of a function.

    Attributes
    ----------
    at, value : the algebraic number at which its value is rational, and that value
    low, high : its domain; None where it has no end
    turns : where it turns or jumps, over pi, with a period of pi; None for nowhere
    """

    at: int
    value: int
    low: int | None = None
    high: int | None = None
    turns: Fraction | None = None


_HALF = Fraction(1, 2)
_FUNCTIONS = {
    "Sin": _Known(0, 0, turns=_HALF),
    "Cos": _Known(0, 1, turns=Fraction(0)),
    "Tan": _Known(0, 0, turns=_HALF),
    "Asin": _Known(0, 0, -1, 1),
    "Acos": _Known(1, 0, -1, 1),
    "Atan": _Known(0, 0),
    "Sinh": _Known(0, 0),
    "Cosh": _Known(0, 1),
    "Asinh": _Known(0, 0),
    "Acosh": _Known(1, 0, low=1),
    "Atanh": _Known(0, 0, -1, 1),
}


@dataclass(frozen=True)
class _Curve(Unary):
    """One of them, by its ONNX name."""

    name: str

    @property
    def known(self) -> _Known:
        return _FUNCTIONS[self.name]

    def rational(self, x: Fraction) -> Fraction | None:
        if self.known.turns is not None and abs(x) > REACH:
            raise DomainError(
                f"{self.name} takes angles from -{REACH} to {REACH}, and its input's grid holds "
                f"{float(x):g}; put a Clip before it"
            )
        return Fraction(self.known.value) if self._held(x) == self.known.at else None

    def _held(self, x: Fraction) -> Fraction:
        """Within the domain."""
        low, high = self.known.low, self.known.high
        x = x if low is None else max(x, Fraction(low))
        return x if high is None else min(x, Fraction(high))

    def ball(self, x: arb) -> arb:
        known = self.known
        if known.low is None and known.high is None:
            return self._value(x)
        # Inverses are monotone.
        ends = [self._value(self._within(end)) for end in (x.lower(), x.upper())]
        return ends[0].union(ends[1])

    def _within(self, x: arb) -> arb:
        from flint import arb

        known = self.known
        if known.low is not None and x < known.low:
            return arb(known.low)
        if known.high is not None and x > known.high:
            return arb(known.high)
        return x

    def _value(self, x: arb) -> arb:
        from flint import arb

        if self.name == "Atanh" and abs(x) == 1:
            return arb.pos_inf() if x > 0 else arb.neg_inf()
        return getattr(x, self.name.lower())()

    @property
    def turns(self) -> tuple[Interval, ...]:
        if self.known.turns is not None:
            return _multiples(self.known.turns)
        return ((Fraction(0), Fraction(0)),) if self.name == "Cosh" else ()


@dataclass(frozen=True)
class Trigonometric(UnaryOp):
    """A function, by its ONNX name."""

    name: str

    onnx_types = tuple(_FUNCTIONS)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """No attributes."""
        return one(cls(node.op_type), [node.input[0]])

    @property
    def function(self) -> Unary:
        """See :class:`_Curve`."""
        return _Curve(self.name)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Each; angles of more than a turn, and inverses up to the ends of their domains."""
        shape = (1, 5, 3)
        ranges = {
            "Sin": (-4.0, 7.0),
            "Cos": (-7.0, 4.0),
            "Tan": (-1.4, 1.2),
            "Asin": (-1.0, 1.0),
            "Acos": (-1.0, 1.0),
            "Acosh": (1.0, 4.0),
            "Atanh": (-0.9, 0.9),
        }
        for name in _FUNCTIONS:
            model = one_node(name, [shape], shape)
            yield Case(name.lower(), model, *ranges.get(name, (-2.0, 3.0)))
