# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel of exponentials beside the largest of a group: the first half of a softmax (N9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.images import pack_image
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..numeric.norms import powers, powers_onnx
from ..timing.components import tree_stages
from ..timing.cost import Cost
from .base import Accumulators, Implementation, Kernel
from .groups import GroupImplementation, check_groups, group_units


@dataclass(frozen=True, eq=False)
class PowersKernel(Kernel):
    """``table[largest - q]`` for the integers ``q`` of each group.

    Attributes
    ----------
    x : type of the integers
    groups, count : groups of a tensor, and elements of each
    channels : of the finisher, which divide a group
    table : one entry for each difference of two integers of the type, none negative
    """

    x: IntType
    groups: int
    count: int
    channels: int
    table: IntArray

    name = "powers"

    def __post_init__(self) -> None:
        check_groups(self.groups, self.count, self.channels)
        if len(self.table) != 1 << self.x.bits or self.table.min() < 0:
            raise ValueError(
                f"expected a table of {1 << self.x.bits} entries of at least 0, found "
                f"{len(self.table)} from {self.table.min()} on"
            )

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The first half of N9."""
        (x,) = streams
        q = x.astype(np.int64).reshape(len(x), self.groups, self.count)
        return ((powers(self.table, q).reshape(len(x), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A maximum, and a Gather."""
        (x,) = streams
        q = writer.reshape(writer.cast(x, np.float64), [self.groups, self.count])
        return ((writer.reshape(powers_onnx(writer, self.table, q), [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """Those of the table."""
        return ((((int(self.table.min()), int(self.table.max())),),) * self.channels,)

    def uniform(self) -> PowersKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedPowers]:
        """One for each number of lanes that divides a group."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        units = group_units(finisher, out, ranges, self.count)
        return [FoldedPowers(self.x, self.groups, self.count, unit) for unit in units]

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """The table, which is the same for all lanes, and the finisher's."""
        assert isinstance(implementation, FoldedPowers)
        table = pack_image(self.table, implementation.word)
        return {**super().images(implementation, finishers, name), table_file(name): table}


def table_file(name: str) -> str:
    """Name of the memory image of the table in the component ``name``."""
    return f"{name}_table.hex"


@dataclass(frozen=True)
class FoldedPowers(GroupImplementation):
    """A maximum, then a table for each lane; fields as in :class:`GroupImplementation`."""

    x: IntType
    groups: int
    count: int
    unit: FinisherUnit

    @property
    def word(self) -> int:
        """Bits of an entry of the table."""
        return max(1, self.unit.ranges[0][1].bit_length())

    @property
    def totals(self) -> tuple[Range, ...]:
        """The largest integer."""
        return ((self.x.lo, self.x.hi),)

    @property
    def reduction(self) -> int:
        """The largest of a beat, then of a group."""
        return tree_stages(self.lanes) + 1

    @property
    def arithmetic(self) -> int:
        """The table."""
        return 1

    @property
    def own_cost(self) -> Cost:
        """Comparisons, a subtraction and a table for each lane."""
        bits = self.x.bits
        tables = ((self.word, 1 << bits),) * self.lanes
        return Cost(adders=self.lanes * 3 * bits, registers=bits, roms=tables)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.powers.Powers`."""
        from ..datapath.powers import Powers

        return Powers(self, name)
