# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Any formula of one element, and of constants that broadcast to it: what several nodes come to
that read one tensor, comparisons and choices among them.

A pattern makes it (``rewrite/formulas.py``); no opset of ONNX has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import onnx

from ...hw.numeric import Function, Piecewise, Unary
from ..ir.algebra import MOST_BITS, Expression, NotAFormulaError
from ..ir.written import parsed
from ._constants import ConstantOp, Numbers, with_constants
from ._formulas import rows, substituted, unary_of
from .base import Case, ImportContext, Imported, Unsupported
from .unary import MOST_LEVELS


@dataclass(frozen=True)
class ElementFormula(ConstantOp):
    """A function of each element.

    Attributes
    ----------
    formula : of ``x``, and of constants named ``c1``, ``c2``, ...
    constants : their values, in that order
    """

    formula: Expression
    constants: tuple[Numbers, ...] = ()

    onnx_types = ("Formula",)

    def __repr__(self) -> str:
        return f"Formula({len(self.constants)} constants)" if self.constants else "Formula()"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The text of the formula is an attribute, its constants are the other inputs."""
        numbers = []
        for name in node.input[1:]:
            constant = context.const(name)
            if constant is None:
                raise Unsupported("expected constants beside one computed tensor, found another")
            numbers.append(Numbers.of(constant))
        op = cls(parsed(context.attributes(node)["of"]), tuple(numbers))
        try:
            _ = op._functions
        except NotAFormulaError as error:
            raise Unsupported(
                "expected constants whose products and powers in the formula have at most "
                f"{MOST_BITS} bits, found longer ones; round the constants, or use lower powers"
            ) from error
        return with_constants(context, node, op, node.input[0])

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """The constants."""
        return self.constants

    @property
    def needs_table(self) -> bool:
        """A line between two bounds, however it was spelled, goes into the producer's clamp; and a
        few steps are thresholds.
        """
        return not self.levels and any(bounded_line(f) is None for f in self._functions)

    @property
    def clamps(self) -> bool:
        """Where that line is the element itself."""
        lines = [bounded_line(f) for f in self._functions]
        return all(line is not None and line[:2] == _ITSELF for line in lines)

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """Those of all channels, if they are few."""
        each = [f.levels for f in self._functions]
        levels = sorted(set().union(*each)) if all(each) else []
        return tuple(levels) if len(levels) <= MOST_LEVELS else ()

    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """Followed by the formula with these constants."""
        unary = self._with(values)
        line = bounded_line(unary)
        if line is None:
            return function.then(unary)
        slope, offset, low, high = line
        return function.times(slope).plus(offset).clamped(low, high)

    def _with(self, values: Sequence[Fraction]) -> Unary:
        names = (f"c{index}" for index in range(1, len(values) + 1))
        return unary_of(substituted(self.formula, dict(zip(names, values, strict=True))))

    @cached_property
    def _functions(self) -> list[Unary]:
        """One for each combination of constants."""
        return [
            self._with([n.values[place] for n, place in zip(self.constants, row, strict=True)])
            for row in rows([numbers.shape for numbers in self.constants])
        ]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """None of one node: its pattern has tests."""
        return iter(())


_ITSELF = (Fraction(1), Fraction(0))
"""Slope and offset."""


def bounded_line(
    function: Unary,
) -> tuple[Fraction, Fraction, Fraction | None, Fraction | None] | None:
    """Slope, offset and bounds of a line that is clamped; None if it is something else."""
    if not isinstance(function, Piecewise):
        return None
    breaks, pieces = function.breaks, function.pieces
    lines = [index for index, piece in enumerate(pieces) if len(piece) > 1]
    if function.at or len(lines) != 1 or len(pieces[lines[0]]) != 2:
        return None
    (middle,) = lines
    if middle > 1 or middle < len(pieces) - 2:
        return None
    offset, slope = pieces[middle]
    ends = [pieces[index][0] for index in range(len(pieces)) if index != middle]
    if any(offset + slope * b != end for b, end in zip(breaks, ends, strict=True)):
        return None
    first = ends[0] if middle else None
    last = ends[-1] if middle < len(pieces) - 1 else None
    return (slope, offset, first, last) if slope > 0 else (slope, offset, last, first)
