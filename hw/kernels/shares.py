# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of shares of a sum: the second half of a softmax (N9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..numeric.norms import shares, shares_onnx
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
class SharesKernel(Kernel):
    """``quotient(2**bits * e, sum e)`` for the integers ``e`` of each group, which are not all 0.

    Attributes
    ----------
    x : type of the integers, unsigned
    groups, count : groups of a tensor, and elements of each
    channels : of the finisher, which divide a group
    bits : fractional bits of the results, which are from 0 to ``2**bits``
    """

    x: IntType
    groups: int
    count: int
    channels: int
    bits: int

    name = "shares"

    def __post_init__(self) -> None:
        check_groups(self.groups, self.count, self.channels)
        if self.x.signed or self.bits < 1:
            raise ValueError(
                f"expected unsigned integers, and results of at least 1 fractional bit; found "
                f"{self.x} and {self.bits}"
            )

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The second half of N9."""
        (x,) = streams
        e = x.astype(np.int64).reshape(len(x), self.groups, self.count)
        return ((shares(e, self.bits).reshape(len(x), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A sum and a division, which is mended."""
        (x,) = streams
        e = writer.reshape(writer.cast(x, np.float64), [self.groups, self.count])
        return ((writer.reshape(shares_onnx(writer, e, self.bits), [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """Nothing to all."""
        return ((((0, 1 << self.bits),),) * self.channels,)

    def uniform(self) -> SharesKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedShares]:
        """One for each number of lanes that divides a group."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        units = group_units(finisher, out, ranges, self.count)
        return [FoldedShares(self.x, self.groups, self.count, self.bits, unit) for unit in units]


@dataclass(frozen=True)
class FoldedShares(GroupImplementation):
    """A sum, then a divider for each lane; fields as in :class:`SharesKernel`."""

    x: IntType
    groups: int
    count: int
    bits: int
    unit: FinisherUnit

    @property
    def totals(self) -> tuple[Range, ...]:
        """The sum."""
        return ((0, self.count * self.x.hi),)

    @property
    def reduction(self) -> int:
        """The sum of a beat, then of a group."""
        return tree_stages(self.lanes) + 1

    @property
    def quotient_bits(self) -> int:
        """Bits of the largest result."""
        return self.bits + 1

    @property
    def arithmetic(self) -> int:
        """The quotient."""
        return quotient_stages(self.quotient_bits)

    @property
    def own_cost(self) -> Cost:
        """Adders and dividers."""
        total = IntType.holding(*self.totals[0]).bits
        sums = tree_cost(self.lanes, self.x.bits) + Cost(adders=total, registers=total)
        return sums + quotient_cost(self.lanes, self.quotient_bits, total)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.shares.Shares`."""
        from ..datapath.shares import Shares

        return Shares(self, name)
