# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Polynomials between breaks: what comparisons of an element with constants, and choices by them,
come to.

A pattern makes it (``rewrite/choices.py``); no opset of ONNX has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.numeric import Function, Piecewise, Unary
from .base import Case, ImportContext, Imported, one
from .unary import UnaryOp


@dataclass(frozen=True)
class PiecewisePolynomial(UnaryOp):
    """A function of each element, as :class:`~...hw.numeric.Piecewise` has it."""

    polynomials: Piecewise

    onnx_types = ("Piecewise",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Attributes as :func:`described` writes them."""
        options = context.attributes(node)
        breaks = tuple(Fraction(text) for text in options.get("breaks", ()))
        pieces = tuple(tuple(map(Fraction, text.split())) for text in options["pieces"])
        at = tuple(Fraction(text) if text else None for text in options.get("at", ()))
        return one(cls(Piecewise(breaks, pieces, at)), [node.input[0]])

    @property
    def function(self) -> Unary:
        """As it is."""
        return self.polynomials

    @property
    def needs_table(self) -> bool:
        """A line between two bounds, however it was spelled, goes into the producer's clamp."""
        return self._bounded_line is None and super().needs_table

    @property
    def clamps(self) -> bool:
        """Where that line is the element itself."""
        line = self._bounded_line
        return line is not None and line[:2] == (Fraction(1), Fraction(0))

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """Followed by the function."""
        line = self._bounded_line
        if line is None:
            return super().absorb(functions, shape, axis)
        slope, offset, low, high = line
        return [f.times(slope).plus(offset).clamped(low, high) for f in functions]

    @property
    def _bounded_line(
        self,
    ) -> tuple[Fraction, Fraction, Fraction | None, Fraction | None] | None:
        """Slope, offset and bounds; None if it is something else."""
        breaks, pieces, at = (getattr(self.polynomials, n) for n in ("breaks", "pieces", "at"))
        lines = [index for index, piece in enumerate(pieces) if len(piece) > 1]
        if at or len(lines) != 1 or len(pieces[lines[0]]) != 2:
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

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """None of one node: its pattern has tests."""
        return iter(())


def described(function: Piecewise) -> dict[str, Sequence[str]]:
    """Attributes that say a function in text: breaks, coefficients with the constant first, and
    values at breaks (empty where the piece above has them).
    """
    found = {
        "breaks": [str(b) for b in function.breaks],
        "pieces": [" ".join(map(str, piece)) for piece in function.pieces],
        "at": ["" if value is None else str(value) for value in function.at],
    }
    return {name: texts for name, texts in found.items() if texts}
