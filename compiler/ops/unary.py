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
from .base import ImportContext, Imported, Op, Unsupported, one


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

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """One input, attributes only."""
        return one(cls.of(context.attributes(node)), [node.input[0]])

    @property
    def absorbable(self) -> bool:
        """Each element by itself."""
        return True

    @property
    def affine(self) -> bool:
        """Not so."""
        return False

    @property
    def levels(self) -> tuple[Fraction, ...] | None:
        """Those of steps."""
        function = self.function
        return function.levels if isinstance(function, Piecewise) else None

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
