# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What operators of one real function share: every element changes by itself, and not by a line.

Such an operator takes the integers that come in as they are, and a table or thresholds give the
correctly rounded value (rule N6). Its file says the function; there is nothing else to do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Self

import onnx

from ...hw.numeric import Function, Piecewise, Unary
from ..ir.algebra import Expression, NotAFormulaError
from ..ir.pieces import as_formula
from .base import ImportContext, Imported, Op, Unsupported, one

MOST_LEVELS = 16
"""Of a function that thresholds compute: each is a comparison of a whole accumulator in every lane.
"""


class UnaryOp(Op):
    """A frozen dataclass of the function's parameters, if it has any."""

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """The operator of an ONNX node's attributes; raises Unsupported."""
        del attributes
        return cls()

    @property
    @abstractmethod
    def function(self) -> Unary:
        """What it computes."""

    @property
    def formula(self) -> Expression:
        """The same in terms of ``x``, for functions that are made of several operators.

        Raises NotAFormulaError if there is none: polynomials between breaks have one, of a curve
        its operator says it.
        """
        function = self.function
        if not isinstance(function, Piecewise):
            raise NotAFormulaError
        return as_formula(function)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One input, attributes only."""
        return one(cls.of(context.attributes(node)), [node.input[0]])

    @property
    def absorbable(self) -> bool:
        """Each element by itself."""
        return True

    @property
    def needs_table(self) -> bool:
        """Unless it makes a few steps, which are thresholds."""
        return not self.levels

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """The function's, if they are few."""
        levels = self.function.levels
        return levels if len(levels) <= MOST_LEVELS else ()

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Followed by the function."""
        del shape, axis
        return [f.then(self.function) for f in functions]


def number(attributes: Mapping[str, Any], name: str, default: float) -> Fraction:
    """An attribute, a float32, as the exact number that it is."""
    value = float(attributes.get(name, default))
    try:
        return Fraction(value)
    except (OverflowError, ValueError) as error:
        raise Unsupported(f"expected a finite {name}, found {value}") from error
