# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pow with constant exponents (ONNX operator versions 7 to 15), and Reciprocal (6, 13).

1 / 0 is infinite and saturates, as ONNX's QuantizeLinear has it; so is any number below 0 of 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import onnx

from ...hw.numeric import DomainError, Function, Interval, Unary
from ._constants import ConstantOp, Numbers, with_constants
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported, one
from .reshape import Reshape
from .sqrt import rational_root

if TYPE_CHECKING:
    from flint import arb

_MOST = 64
"""Largest size of an exponent: what is beyond it is hardly a number of few bits."""


@dataclass(frozen=True)
class Power(Unary):
    """``x**exponent``; the exponent is a whole number over a power of two, as floats are.

    ``x**(n / 2**k)`` with an odd ``n`` is rational only where ``x`` is the ``2**k``-th power of a
    rational number.
    """

    exponent: Fraction

    @property
    def _whole(self) -> bool:
        return self.exponent.denominator == 1

    def rational(self, x: Fraction) -> Fraction | None:
        if x < 0 and not self._whole:
            raise DomainError(
                f"Pow with the exponent {float(self.exponent):g} is not defined at {float(x):g}, "
                "which its input's grid holds; put a Relu or Clip before it"
            )
        if x in (0, 1):
            return x if self.exponent > 0 or x == 1 else None
        root: Fraction | None = x
        for _ in range(self.exponent.denominator.bit_length() - 1):
            root = None if root is None else rational_root(root)
        return None if root is None else root**self.exponent.numerator

    def ball(self, x: arb) -> arb:
        from flint import arb

        from ...hw.numeric.unary import ball_of

        if x.is_zero():
            return arb(0) if self.exponent > 0 else arb.pos_inf()
        if self._whole:
            return x ** int(self.exponent)
        return x ** ball_of(self.exponent)

    @property
    def turns(self) -> tuple[Interval, ...]:
        """Even ones turn at 0, and negative ones jump there."""
        if self.exponent < 0 or (self._whole and self.exponent % 2 == 0):
            return ((Fraction(0), Fraction(0)),)
        return ()


@dataclass(frozen=True)
class Pow(ConstantOp):
    """Powers, of one exponent or of one for each element along some axes."""

    exponents: Numbers

    onnx_types = ("Pow", "Reciprocal")

    def __repr__(self) -> str:
        values = set(self.exponents.values)
        return f"Pow({float(min(values)):g})" if len(values) == 1 else "Pow()"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The exponent is a constant."""
        if node.op_type == "Reciprocal":
            return one(cls(Numbers((Fraction(-1),))), [node.input[0]])
        constant = context.const(node.input[1])
        if constant is None:
            raise Unsupported("expected a constant exponent, found a computed one")
        numbers = Numbers.of(constant)
        largest = max(numbers.values, key=abs)
        if abs(largest) > _MOST:
            raise Unsupported(
                f"expected an exponent of at most {_MOST} in size, found {float(largest):g}"
            )
        same = context.shape(node.input[0]) == context.shape(node.output[0])
        if same and set(numbers.values) == {Fraction(1)}:
            return one(Reshape(True), [node.input[0]])
        return with_constants(context, node, cls(numbers), node.input[0])

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """The exponents."""
        return (self.exponents,)

    @property
    def needs_table(self) -> bool:
        """A curve."""
        return True

    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """Followed by :class:`Power`, or by a line."""
        (exponent,) = values
        if exponent == 0:  # of 0 too
            return function.times(Fraction(0)).plus(Fraction(1))
        return function if exponent == 1 else function.then(Power(exponent))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A square, a cube, a root, a fraction of a float; inverses; exponents of channels, and of
        elements.
        """
        shape = (1, 5, 3)

        def power(*exponents: float, of: tuple[int, ...] = ()) -> onnx.ModelProto:
            array = np.array(exponents, np.float32).reshape(of)
            return one_node("Pow", [shape], shape, {1: array})

        yield Case("pow_square", power(2.0))
        yield Case("pow_cube", power(3.0), -1.5, 1.0)
        yield Case("pow_root", power(0.5), 0.0, 5.0)
        yield Case("pow_fraction", power(0.3), 0.0, 5.0)
        yield Case("pow_inverse", power(-2.0), 0.5, 3.0)
        yield Case("pow_channels", power(1.0, 2.0, 0.0, 1.5, 3.0, of=(5, 1)), 0.0, 2.0)
        yield Case("pow_elements", power(*[1.0, 2.0, 3.0] * 5, of=(5, 3)), -1.0, 1.5)
        yield Case("reciprocal", one_node("Reciprocal", [shape], shape), 0.5, 4.0)
        yield Case("reciprocal_below", one_node("Reciprocal", [shape], shape), -3.0, -0.75)
