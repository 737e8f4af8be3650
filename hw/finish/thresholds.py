# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The threshold finisher: a result for every interval between ascending thresholds.

For any function of few steps, however wide the accumulator: few output bits, or few changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..formats.images import pack_image
from ..numeric import IntArray, IntType
from ..timing.cost import Cost, ram_cost
from .base import Finisher, FinisherUnit, OnnxWriter, Range, folds_of, numbered
from .parameters import Parameter, parameter_image
from .steps import Steps

MAX_THRESHOLDS = 1023
"""Thresholds of a channel: ten comparisons, one behind the other, find the interval."""

PARALLEL = 15
"""Up to so many thresholds are compared at once where all channels have the same results."""


@dataclass(frozen=True, eq=False)
class Thresholds(Finisher):
    """``values[channel, number of thresholds that are at most acc]``.

    Attributes
    ----------
    count : channels
    thresholds : int64 array, (channels, steps), or (1, steps) where all channels share them;
        ascending, some may be equal
    values : int64 array, (channels, steps + 1) or (1, steps + 1)
    """

    count: int
    thresholds: IntArray
    values: IntArray

    kind = "thresholds"

    @classmethod
    def of(cls, channels: Sequence[Steps]) -> Thresholds:
        """The finisher of these functions, one a channel."""
        width = max(1, *(len(c.starts) for c in channels))
        for sign in (1, -1):
            # If all rise (or all fall), they pass through the same results, some in no time.
            if all((sign * np.diff(c.values) > 0).all() for c in channels):
                merged = np.unique(np.concatenate([sign * c.values for c in channels]))
                if 1 <= len(merged) - 1 <= max(PARALLEL, width):
                    rows = [_reaching(c, merged, sign) for c in channels]
                    return cls._shared(rows, [sign * merged] * len(rows))
        rows, values = [], []
        for c in channels:
            more = width - len(c.starts)
            rows.append(np.concatenate([c.starts, np.full(more, c.hi)]))
            values.append(np.concatenate([c.values, np.full(more, c.values[-1])]))
        return cls._shared(rows, values)

    @classmethod
    def _shared(cls, thresholds: Sequence[IntArray], values: Sequence[IntArray]) -> Thresholds:
        """One row instead of several that are equal."""
        stacks = [np.stack(rows) for rows in (thresholds, values)]
        stacks = [rows[:1] if (rows == rows[0]).all() else rows for rows in stacks]
        return cls(len(thresholds), *stacks)

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
        """Smallest and largest result."""
        return int(self.values.min()), int(self.values.max())

    @property
    def levels(self) -> int:
        """Comparisons of a search."""
        return self.thresholds.shape[1].bit_length()

    def apply(self, *accs: IntArray) -> IntArray:
        """Results for accumulators whose last axis is the channel axis (or has length 1)."""
        (acc,) = accs
        acc = np.broadcast_to(acc, (*acc.shape[:-1], self.count))
        if len(self.thresholds) == 1:
            counts = np.searchsorted(self.thresholds[0], acc, side="right")
        else:
            counts = np.empty(acc.shape, np.int64)
            for channel, row in enumerate(self.thresholds):
                counts[..., channel] = np.searchsorted(row, acc[..., channel], side="right")
        return self.values[self._rows(self.values), counts]

    def _rows(self, array: IntArray) -> IntArray:
        return np.zeros(self.count, np.int64) if len(array) == 1 else np.arange(self.count)

    def onnx(self, writer: OnnxWriter, terms: Sequence[str]) -> str:
        """A binary search: one Gather and one comparison a level, then one Gather of the result."""
        (term,) = terms
        found = ""
        for level, rows in enumerate(self._tree()):
            table = writer.constant(rows.reshape(-1), np.float64)
            where = self._at(writer, rows, found)
            reached = writer.op("GreaterOrEqual", term, writer.op("Gather", table, where, axis=0))
            bit = writer.cast(reached, np.int64)
            if level:
                two = writer.constant(np.array(2), np.int64)
                bit = writer.op("Add", writer.op("Mul", found, two), bit)
            found = bit
        results = self._results()
        table = writer.constant(results.reshape(-1), np.float64)
        return writer.op("Gather", table, self._at(writer, results, found), axis=0)

    def _at(self, writer: OnnxWriter, rows: IntArray, found: str) -> str:
        """Where a channel's entry stands in rows behind each other."""
        begin = writer.constant(self._rows(rows) * rows.shape[1], np.int64)
        return writer.op("Add", found, begin) if found else begin

    def _tree(self) -> list[IntArray]:
        """Thresholds as each level of the search asks for them: (1 or channels, 2**level).

        Behind the last threshold the search may go on at will: the result stays the same.
        """
        size = 1 << self.levels
        padding = ((0, 0), (0, size - 1 - self.thresholds.shape[1]))
        full = np.pad(self.thresholds, padding, mode="edge")
        tree = []
        for level in range(self.levels):
            stride = size >> level
            tree.append(full[:, stride // 2 - 1 :: stride])
        return tree

    def _results(self) -> IntArray:
        """Results by what the search found: (1 or channels, 2**levels)."""
        padding = ((0, 0), (0, (1 << self.levels) - self.values.shape[1]))
        return np.pad(self.values, padding, mode="edge")

    def take(self, channels: Sequence[int]) -> Thresholds:
        """The thresholds of these channels."""
        rows = list(channels)
        parts = {"thresholds": self.thresholds, "values": self.values}
        taken = {name: a if len(a) == 1 else a[rows] for name, a in parts.items()}
        return replace(self, count=len(rows), **taken)

    def unit(self, lanes: int, ranges: Sequence[Range], out: IntType) -> ThresholdsUnit:
        """Its hardware for ``lanes`` channels at a time.

        Raises ValueError if the channels are not a multiple of ``lanes``, or a result does not fit
        in ``out``.
        """
        ((low, high),) = ranges
        least, most = self.span
        if least < out.lo or most > out.hi:
            raise ValueError(f"results from {least} to {most} do not fit in {out}")
        folds = folds_of(self.channels, lanes)
        steps = self.thresholds.shape[1]
        parallel = steps <= PARALLEL and len(self.values) == 1
        columns = self._columns() if parallel else {}
        return ThresholdsUnit(
            lanes=lanes,
            out=out,
            ranges=((int(low), int(high)),),
            threshold=IntType.holding(int(self.thresholds.min()), int(self.thresholds.max())),
            word=IntType.holding(least, most),
            levels=self.levels,
            folds=folds,
            own=(len(self.thresholds) > 1, len(self.values) > 1),
            fields=tuple(Parameter.of(name, column, lanes) for name, column in columns.items()),
            results=tuple(int(v) for v in self.values[0]) if parallel else (),
        )

    def loadable(self, lanes: int, ranges: Sequence[Range], out: IntType) -> ThresholdsUnit | None:
        """Comparators for any rising functions to all results of ``out``; None if these fall, or
        are too many to compare with at once.
        """
        if (1 << out.bits) - 1 > PARALLEL or (np.diff(self.values) < 0).any():
            return None
        unit = self._completed(ranges[0], out).unit(lanes, ranges, out)
        ((low, high),) = unit.ranges
        fields = (Parameter(field.name, None, low, high + 1) for field in unit.fields)
        # Whether channels share them, and what they are, is the image's matter.
        kind = IntType.holding(low, high + 1)
        return replace(unit, fields=tuple(fields), threshold=kind, own=(True, False), loadable=True)

    def _completed(self, span: Range, out: IntType) -> Thresholds:
        """The same rising functions with every result of a type: some are passed in no time."""
        results = np.arange(out.lo, out.hi + 1)
        rows = []
        for channel in range(self.count):
            values = self.values[channel % len(self.values)]
            starts = self.thresholds[channel % len(self.thresholds)]
            reached = np.concatenate([[span[0]], starts, [span[1] + 1]])
            rows.append(reached[np.searchsorted(values, results[1:])])
        return Thresholds(self.count, np.stack(rows), results[None])

    def _columns(self) -> dict[str, IntArray]:
        """Every threshold by name, one value a channel."""
        columns = np.broadcast_to(self.thresholds, (self.count, self.thresholds.shape[1])).T
        return {f"threshold{k}": np.ascontiguousarray(c) for k, c in enumerate(columns)}

    def images(self, unit: FinisherUnit, file: str) -> dict[str, str]:
        """Thresholds that are compared at once, a word a beat; or a memory a level of the search,
        and one of the results.
        """
        assert isinstance(unit, ThresholdsUnit)
        if unit.parallel:
            all_ = self._completed(unit.ranges[0], unit.out) if unit.loadable else self
            return parameter_image(unit.fields, all_._columns(), unit.lanes, file)
        return {
            name: pack_image(rows.reshape(-1), memory.word.bits)
            for level, memory in enumerate(unit.memories)
            for name, rows in self._lanes(unit, level, file).items()
        }

    def _lanes(self, unit: ThresholdsUnit, level: int, file: str) -> Mapping[str, IntArray]:
        """The rows of each lane's memory of a level, by file name."""
        rows = [*self._tree(), self._results()][level]
        names = unit.files(file, level)
        return {name: rows[lane % len(rows) :: unit.lanes] for lane, name in enumerate(names)}


def _reaching(channel: Steps, results: IntArray, sign: int) -> IntArray:
    """For each result but the first, the accumulator from which a rising channel is at least there;
    one beyond the range if it never is.
    """
    own = np.searchsorted(sign * channel.values, results[1:])
    return np.concatenate([[channel.lo], channel.starts, [channel.hi + 1]])[own]


@dataclass(frozen=True)
class Level:
    """One memory of a search, for a lane.

    Attributes
    ----------
    word : type of its words
    size : words of a channel
    folds : channels in it, behind each other
    """

    word: IntType
    size: int
    folds: int


@dataclass(frozen=True)
class ThresholdsUnit(FinisherUnit):
    """Comparators side by side, or a binary search with a memory a level.

    Attributes
    ----------
    threshold, word : types of thresholds and results
    levels : comparisons of a search
    folds : beats until the channels come round again
    own : whether each channel has thresholds, and results, of its own
    fields : thresholds to compare with at once; none for a search
    results : the result of every interval, where thresholds are compared at once
    loadable : whether their memory can be written (F5)
    """

    lanes: int
    out: IntType
    ranges: tuple[Range, ...]
    threshold: IntType
    word: IntType
    levels: int
    folds: int
    own: tuple[bool, bool]
    fields: tuple[Parameter, ...]
    results: tuple[int, ...]
    loadable: bool = False

    @property
    def parallel(self) -> bool:
        """Whether all thresholds are compared at once."""
        return bool(self.fields)

    @property
    def writable(self) -> tuple[int, int] | None:
        """The thresholds' memory, if it can be written."""
        return (self._word, self.folds) if self.loadable else None

    @property
    def _word(self) -> int:
        """Bits of a word of the memory of thresholds that are compared at once."""
        return self.lanes * sum(f.type.bits for f in self.fields if f.values is None)

    @property
    def latency(self) -> int:
        """Compare and choose; or a memory a level, and that of the results."""
        return 2 if self.parallel else self.levels + 1

    @property
    def memories(self) -> tuple[Level, ...]:
        """The memories of a lane, first to last."""
        own_thresholds, own_results = (self.folds if own else 1 for own in self.own)
        levels = [Level(self.threshold, 1 << k, own_thresholds) for k in range(self.levels)]
        return (*levels, Level(self.word, 1 << self.levels, own_results))

    @property
    def cost(self) -> Cost:
        """Comparators and multiplexers, or a comparator and a memory a level; per lane."""
        ((low, high),) = self.ranges
        bits = IntType.holding(low, high).bits
        if self.parallel:
            words = self._word, self.folds
            cost = Cost(
                adders=self.lanes * len(self.fields) * (bits + 1),
                registers=self.lanes * len(self.fields),
            )
            if self.loadable:
                return cost + ram_cost(*words)
            return cost + Cost(roms=(words,)) if self._word else cost
        memories = tuple((m.word.bits, m.size * m.folds) for m in self.memories)
        return Cost(
            adders=self.lanes * self.levels * bits,
            registers=self.lanes * self.levels * (bits + self.levels // 2),
            roms=memories * self.lanes,
        )

    def files(self, file: str, level: int) -> tuple[str, ...]:
        """The image of each lane's memory of a level."""
        if not self.own[level == self.levels]:
            return (numbered(file, level),) * self.lanes
        return tuple(numbered(file, level, lane) for lane in range(self.lanes))

    def component(self, file: str) -> Any:
        """See :class:`~midwire.hw.datapath.thresholds.Comparators` and
        :class:`~midwire.hw.datapath.thresholds.Search`.
        """
        from ..datapath.thresholds import Comparators, Search

        return Comparators(self, file) if self.parallel else Search(self, file)
