# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Normalisations: groups of elements along some axes, and how finely their results are computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.numeric.norms import DeviationRule
from ..ir.lowered import OutputSpec
from .base import Const, ImportContext, Op, Unsupported
from .unary import number

GUARD_BITS = 5
"""Bits of an accumulator beyond those of the result: what it may be off by is then 3 % of a step of
the result at most, and less than half of one alone decides a rounding.
"""


@dataclass(frozen=True)
class Groups:
    """The groups of a tensor: elements that differ along ``axes`` only.

    Attributes
    ----------
    shape : of the tensor
    axes : ascending; the last one is that of the finisher's channels
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def layout(self) -> Layout:
        """One group behind the other."""
        others = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        return Layout(self.shape, (*others, *self.axes))

    @property
    def count(self) -> int:
        """Elements of a group."""
        return math.prod(self.shape[axis] for axis in self.axes)

    @property
    def number(self) -> int:
        """How many there are."""
        return math.prod(self.shape) // self.count

    @property
    def channel_axis(self) -> int:
        """The innermost axis."""
        return self.axes[-1]

    @property
    def channels(self) -> int:
        """Its length."""
        return self.shape[self.channel_axis]


def trailing(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """An axis, counted from either end, and all behind it."""
    return tuple(range(axis % len(shape), len(shape)))


def fraction_bits(output: OutputSpec, unit: Fraction = Fraction(1)) -> int:
    """Fractional bits with which accumulators are by :data:`GUARD_BITS` finer than the result.

    They are relative to the whole range of the result, and where a step is finer than that would
    make it, to the step. ``unit`` is what an accumulator of 1 stands for.
    """
    whole = 0 if output.rounded is None else output.rounded.bits
    return max(whole + GUARD_BITS, step_bits(output, unit))


def step_bits(output: OutputSpec, unit: Fraction) -> int:
    """Fractional bits with which accumulators are by :data:`GUARD_BITS` finer than a step of the
    result, at least; ``unit`` is what an accumulator of 1 stands for.
    """
    if output.rounded is None:
        return 8 + GUARD_BITS  # nothing rounds it: what follows says so
    finest = unit / output.rounded.step
    return ((math.ceil(finest) - 1).bit_length() if finest > 1 else 0) + GUARD_BITS


def constant_factor(
    context: ImportContext, node: onnx.NodeProto, position: int, word: str
) -> Const | None:
    """An input that scales or shifts results, None if there is none; refused unless constant."""
    if len(node.input) <= position or not node.input[position]:
        return None
    constant = context.const(node.input[position])
    if constant is None:
        raise Unsupported(f"expected a constant {word}, found a computed one")
    if not constant.values.size:
        raise Unsupported(f"expected values of the {word}, found none")
    return constant


def epsilon_of(context: ImportContext, node: onnx.NodeProto) -> Fraction:
    """What is added to a variance; refused below 0."""
    epsilon = number(context.attributes(node), "epsilon", float(np.float32(1e-5)))
    if epsilon < 0:
        raise Unsupported(f"expected an epsilon of at least 0, found {float(epsilon)}")
    return epsilon


class GroupOp(Op):
    """An operator that reads one group behind the other.

    Attributes
    ----------
    axes : those of a group, ascending
    """

    axes: tuple[int, ...]

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """One group behind the other."""
        return Groups(shapes[index], self.axes).layout


def finest_rule(rule_of: Callable[[int], DeviationRule], bits: int) -> DeviationRule:
    """The finest rule of at most so many bits; where double arithmetic allows none, says why."""
    while True:
        try:
            return rule_of(bits)
        except ValueError as error:
            if bits <= 1:
                raise Unsupported(str(error)) from error
            bits -= 1
