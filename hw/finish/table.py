# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The table finisher: a result for every accumulator, for any function of few bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..formats.images import pack_image
from ..numeric import IntArray, IntType
from ..timing.cost import Cost
from .base import Finisher, FinisherUnit, OnnxWriter, Range, folds_of, numbered

MAX_TABLE_BITS = 16
"""Bits of an accumulator up to which a table is made."""


@dataclass(frozen=True, eq=False)
class Table(Finisher):
    """``table[channel, acc - low]``.

    Attributes
    ----------
    count : channels
    low : the accumulator of the first entry
    table : int64 array, (channels, entries), or (1, entries) where all channels share one
    """

    count: int
    low: int
    table: IntArray

    kind = "table"

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.count

    @property
    def terms(self) -> int:
        """One."""
        return 1

    @property
    def span(self) -> Range:
        """Smallest and largest entry."""
        return int(self.table.min()), int(self.table.max())

    @property
    def shared(self) -> bool:
        """Whether all channels have the same table."""
        return len(self.table) == 1

    def apply(self, *accs: IntArray) -> IntArray:
        """Entries of accumulators whose last axis is the channel axis (or has length 1)."""
        (acc,) = accs
        rows = np.zeros(self.count, np.int64) if self.shared else np.arange(self.count)
        return self.table[rows, acc - self.low]

    def onnx(self, writer: OnnxWriter, terms: Sequence[str]) -> str:
        """One Gather from all tables behind each other."""
        (term,) = terms
        entries = self.table.shape[1]
        rows = np.zeros(1, np.int64) if self.shared else np.arange(self.count) * entries
        moved = writer.op(
            "Add", writer.cast(term, np.int64), writer.constant(rows - self.low, np.int64)
        )
        flat = writer.constant(self.table.reshape(-1), np.float64)
        return writer.op("Gather", flat, moved, axis=0)

    def take(self, channels: Sequence[int]) -> Table:
        """The tables of these channels."""
        rows = list(channels)
        return replace(self, count=len(rows), table=self.table if self.shared else self.table[rows])

    def unit(self, lanes: int, ranges: Sequence[Range], out: IntType) -> TableUnit:
        """Its hardware for ``lanes`` channels at a time.

        Raises ValueError if the channels are not a multiple of ``lanes``, an accumulator has no
        entry, or an entry does not fit in ``out``.
        """
        ((low, high),) = ranges
        last = self.low + self.table.shape[1] - 1
        if low < self.low or high > last:
            raise ValueError(
                f"accumulators from {low} to {high} have no entries in a table from {self.low} to "
                f"{last}"
            )
        least, most = self.span
        if least < out.lo or most > out.hi:
            raise ValueError(f"results from {least} to {most} do not fit in {out}")
        folds = folds_of(self.channels, lanes)
        return TableUnit(
            lanes=lanes,
            out=out,
            ranges=((int(low), int(high)),),
            word=IntType.holding(least, most),
            shared=self.shared,
            folds=1 if self.shared else folds,
        )

    def images(self, unit: FinisherUnit, file: str) -> dict[str, str]:
        """One for all lanes, or one each, with the tables of its channels behind each other."""
        assert isinstance(unit, TableUnit)
        ((low, high),) = unit.ranges
        accs = np.arange(low, high + 1)
        words = np.full((len(self.table), unit.depth), self.table[0, 0])
        words[:, accs % unit.depth] = self.table[:, accs - self.low]
        if self.shared:
            return {file: pack_image(words[0], unit.word.bits)}
        return {
            name: pack_image(words[lane :: unit.lanes].reshape(-1), unit.word.bits)
            for lane, name in enumerate(unit.files(file))
        }


@dataclass(frozen=True)
class TableUnit(FinisherUnit):
    """A memory a lane, addressed by the lowest bits of the accumulator.

    Attributes
    ----------
    word : type of an entry
    shared : whether all lanes have the same memory
    folds : tables in a memory: beats until the channels come round again, 1 if shared
    """

    lanes: int
    out: IntType
    ranges: tuple[Range, ...]
    word: IntType
    shared: bool
    folds: int

    @property
    def bits(self) -> int:
        """Bits that tell the accumulators of the range apart."""
        ((low, high),) = self.ranges
        return max(1, (high - low).bit_length())

    @property
    def depth(self) -> int:
        """Words of one table."""
        return 1 << self.bits

    @property
    def latency(self) -> int:
        """The memory's."""
        return 1

    @property
    def cost(self) -> Cost:
        """Memories only."""
        return Cost(roms=((self.word.bits, self.depth * self.folds),) * self.lanes)

    def files(self, file: str) -> tuple[str, ...]:
        """The image of each lane."""
        if self.shared:
            return (file,) * self.lanes
        return tuple(numbered(file, lane) for lane in range(self.lanes))

    def component(self, file: str) -> Any:
        """See :class:`~midwire.hw.datapath.lookup.Lookup`."""
        from ..datapath.lookup import Lookup

        return Lookup(self, file)
