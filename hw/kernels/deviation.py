# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of division by a deviation (N10), the root of the mean square (N11), a norm (N15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..numeric.norms import DeviationRule
from ..timing.components import tree_stages
from ..timing.cost import Cost
from .base import Accumulators, Kernel
from .folds import tree_cost
from .groups import (
    GroupImplementation,
    check_groups,
    group_units,
    quotient_cost,
    quotient_stages,
)


@dataclass(frozen=True)
class DeviationKernel(Kernel):
    """Every element of a group, divided as a rule says.

    Attributes
    ----------
    x : type of the integers
    groups : of a tensor; the rule knows the elements of each
    channels : of the finisher, which divide a group
    rule : N10, N11 or N15, for integers of this type
    """

    x: IntType
    groups: int
    channels: int
    rule: DeviationRule

    name = "deviation"

    def __post_init__(self) -> None:
        check_groups(self.groups, self.rule.count, self.channels)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """N10, N11 or N15."""
        (x,) = streams
        q = x.astype(np.int64).reshape(len(x), self.groups, self.rule.count)
        return ((self.rule.apply(q).reshape(len(x), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Sums, a root and a division, both mended."""
        (x,) = streams
        q = writer.reshape(writer.cast(x, np.float64), [self.groups, self.rule.count])
        return ((writer.reshape(self.rule.onnx(writer, q), [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """What the rule says."""
        return (((self.rule.span,),) * self.channels,)

    def uniform(self) -> DeviationKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedDeviation]:
        """One for each number of lanes that divides a group."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        units = group_units(finisher, out, ranges, self.rule.count)
        return [
            FoldedDeviation(self.x, self.groups, self.rule.count, self.rule, unit) for unit in units
        ]


@dataclass(frozen=True)
class FoldedDeviation(GroupImplementation):
    """Sums, one root for all, a divider for each lane; fields as in :class:`DeviationKernel`."""

    x: IntType
    groups: int
    count: int
    rule: DeviationRule
    unit: FinisherUnit

    @property
    def element(self) -> Range:
        """An integer less the rule's origin."""
        return self.x.lo - self.rule.origin, self.x.hi - self.rule.origin

    @property
    def square(self) -> int:
        """The largest sum of squares, or of sizes, or the largest size."""
        low, high = self.element
        if self.rule.power == 0:
            return max(-low, high)
        return self.count * max(-low, high) ** self.rule.power

    @property
    def totals(self) -> tuple[Range, ...]:
        """The sum of squares or of sizes, or the largest; the sum if a mean is taken off."""
        low, high = self.element
        if self.rule.power == 0:
            return (self.element,)
        own = ((self.count * low, self.count * high),) if self.rule.centred else ()
        return ((0, self.square), *own)

    @property
    def radicand(self) -> int:
        """The largest number under the root."""
        return (self.rule.times * self.square << (2 * self.rule.root_bits)) + self.rule.epsilon

    @property
    def statistics(self) -> tuple[Range, ...]:
        """The root, if there is one, and the sum if a mean is taken off."""
        if not self.rule.rooted:
            return self.totals
        return ((1, isqrt(self.radicand)), *self.totals[1:])

    @property
    def root_bits(self) -> int:
        """Bits of the root, one a cycle; where there is none, of the divisor."""
        if not self.rule.rooted:
            return self.square.bit_length()
        return isqrt(self.radicand).bit_length()

    @property
    def busy(self) -> int:
        """Totals, two products, what is under the root, the root, and its way out; nothing where
        there is no root.
        """
        return 4 + self.root_bits if self.rule.rooted else 0

    @property
    def reduction(self) -> int:
        """Squares, the sum of a beat, then of a group."""
        return 1 + tree_stages(self.lanes) + 1

    @property
    def quotient_bits(self) -> int:
        """Bits of the largest result without its sign."""
        return self.rule.span[1].bit_length()

    @property
    def arithmetic(self) -> int:
        """A product, a difference and its size, the quotient, its sign."""
        return 3 + quotient_stages(self.quotient_bits)

    @property
    def own_cost(self) -> Cost:
        """Squares and their sums; the root; a product by a constant and a divider a lane."""
        element = IntType.holding(*self.element).bits
        widths = [IntType.holding(*ends).bits for ends in self.totals]
        cost = Cost(adders=sum(widths), registers=2 * sum(widths))
        if not self.rule.rooted:
            cost += Cost(adders=element * self.lanes)
        else:
            under = self.radicand.bit_length()
            cost += Cost(
                products=((element, element),) * self.lanes + tuple((w, w) for w in widths[1:]),
                adders=3 * under + 2 * self.root_bits,
                registers=3 * under + 2 * self.root_bits,
            )
        for width in (max(1, self.rule.power) * element, element)[: len(widths)]:
            cost += tree_cost(self.lanes, width)
        numerator = element + self.rule.times.bit_length()
        lane = Cost(
            adders=numerator * (self.rule.times.bit_count() + 2) + 2 * self.quotient_bits,
            registers=2 * numerator + self.quotient_bits + quotient_stages(self.quotient_bits),
        )
        cost = sum([lane] * self.lanes, cost)
        return cost + quotient_cost(self.lanes, self.quotient_bits, self.root_bits)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.deviation.Deviation`."""
        from ..datapath.deviation import Deviation

        return Deviation(self, name)
