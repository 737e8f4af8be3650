# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pow with constant exponents (ONNX operator versions 7, 12, 13, 15).

An exponent is a float, so a whole number over a power of two. Where it is none, the power of a
rational number is rational only if as many square roots are, which tells every tie.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import onnx

from ...hw.numeric import DomainError, Function, Interval, Unary
from ._constants import ConstantOp, Numbers, with_constants
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported

if TYPE_CHECKING:
    from flint import arb

MOST = 64
"""The largest exponent: more than any grid tells apart."""


@dataclass(frozen=True)
class _Power(Unary):
    """``x ** exponent``. At 0, a negative power is infinity, which saturates."""

    exponent: Fraction

    def rational(self, x: Fraction) -> Fraction | None:
        if x < 0 and self.exponent.denominator > 1:
            raise DomainError(
                f"Pow is not defined at {float(x):g}, which its input's grid holds, for the "
                f"exponent {float(self.exponent):g}; put a Relu or Clip before it"
            )
        if x == 0 and self.exponent < 0:
            return None
        root = _root(x, self.exponent.denominator)
        return None if root is None else Fraction(root**self.exponent.numerator)

    def ball(self, x: arb) -> arb:
        from flint import arb

        whole, parts = self.exponent.numerator, self.exponent.denominator
        if x.is_zero() and whole < 0:
            return arb.pos_inf()
        if parts == 1:
            return x**whole
        # Rises, or falls, on its domain.
        ends = [end.max(arb(0)) for end in (x.lower(), x.upper())]
        for _ in range(parts.bit_length() - 1):
            ends = [end.sqrt() for end in ends]
        powers = [end**whole for end in ends]
        return powers[0].union(powers[1])

    @property
    def turns(self) -> tuple[Interval, ...]:
        if self.exponent < 0 or self.exponent.numerator % 2 == 0:
            return ((Fraction(0), Fraction(0)),)
        return ()


def _root(x: Fraction, power: int) -> Fraction | None:
    """The root whose power of two this is, if it is rational."""
    while power > 1:
        top, bottom = math.isqrt(x.numerator), math.isqrt(x.denominator)
        if (top**2, bottom**2) != (x.numerator, x.denominator):
            return None
        x, power = Fraction(top, bottom), power // 2
    return x


@dataclass(frozen=True)
class Power(ConstantOp):
    """Each element to the power of a constant."""

    exponents: Numbers

    onnx_types = ("Pow",)

    def __repr__(self) -> str:
        values = self.exponents.values
        return f"Power({float(values[0]):g})" if len(set(values)) == 1 else "Power()"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """A constant exponent, or one for each element."""
        constant = context.const(node.input[1])
        if constant is None:
            raise Unsupported("expected a constant exponent, found a computed one")
        numbers = Numbers.of(constant)
        if any(abs(value) > MOST for value in numbers.values):
            worst = max(numbers.values, key=abs)
            raise Unsupported(f"expected exponents from -{MOST} to {MOST}, found {float(worst):g}")
        return with_constants(context, node, cls(numbers), node.input[0])

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """The exponents."""
        return (self.exponents,)

    @property
    def affine(self) -> bool:
        """Not so, but for the exponent 1."""
        return set(self.exponents.values) == {Fraction(1)}

    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """To a power."""
        (exponent,) = values
        return function if exponent == 1 else function.then(_Power(exponent))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Squares, cubes, roots, inverses; one for each channel, and for each element."""
        shape = (1, 4, 3)

        def model(*values: float, of: tuple[int, ...] = ()) -> onnx.ModelProto:
            return one_node("Pow", [shape], shape, {1: np.array(values, np.float32).reshape(of)})

        yield Case("pow_square", model(2.0))
        yield Case("pow_cube", model(3.0), -2.0, 1.5)
        yield Case("pow_root", model(0.5), 0.0, 4.0)
        yield Case("pow_inverse_root", model(-0.5), 0.25, 4.0)
        yield Case("pow_inverse", model(-2.0), 0.5, 3.0)
        yield Case("pow_channels", model(1.0, 2.0, 0.0, 1.5, of=(4, 1)), 0.0, 2.0)
        yield Case("pow_elements", model(*[1.0, 2.0, 3.0] * 4, of=(4, 3)), -1.0, 1.5)
