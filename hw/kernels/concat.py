# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Concatenation: several streams take turns to become one.

The streams may have different types and scales: then each channel of the result has a finisher of
its own, whose accumulator is the integer of whichever stream it comes from. Rules, cited by tests
as C1 and C2:

C1. A turn takes ``blocks[k]`` elements of stream ``k``, one stream after the other; the result is
    ``turns`` turns.
C2. A beat is taken of the stream whose turn it is only; the others wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, outlet_cost, select_bits
from ..timing.moving import gather
from .base import Accumulators, Finished, Kernel, StreamPort
from .finishing import check_turns, turn_channels, unit_for
from .folds import lane_choices


@dataclass(frozen=True)
class ConcatKernel(Kernel):
    """Streams in turn (C1): channels of a pixel, pixels of a row, or whole tensors.

    Attributes
    ----------
    xs : types of the streams' integers
    blocks : elements of each stream in a turn
    turns : turns of a tensor
    channels : of the finisher; they divide the elements of a turn, and are all of these where each
        stream has a scale of its own, or 1 where all elements are alike

    Raises
    ------
    ValueError
        If there is not one block a stream, or the channels do not divide the elements of a turn.
    """

    xs: tuple[IntType, ...]
    blocks: tuple[int, ...]
    turns: int
    channels: int = 1

    name = "concat"

    def __post_init__(self) -> None:
        if len(self.xs) != len(self.blocks):
            raise ValueError(
                f"each stream needs a block, but there are {len(self.xs)} streams and "
                f"{len(self.blocks)} blocks"
            )
        check_turns(self.blocks, self.turns, self.channels)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The elements themselves, (N, elements / channels, channels)."""
        parts = [
            x.astype(np.int64).reshape(len(x), self.turns, block)
            for x, block in zip(streams, self.blocks, strict=True)
        ]
        joined = np.concatenate(parts, axis=2)
        return ((joined.reshape(len(joined), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A Concat of turns, in double: what carries a stream depends on its type."""
        parts = [
            writer.reshape(writer.cast(x, np.float64), [self.turns, block])
            for x, block in zip(streams, self.blocks, strict=True)
        ]
        joined = writer.op("Concat", *parts, axis=1)
        return ((writer.reshape(joined, [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """For each channel, all that the types of its streams hold."""
        low = turn_channels([x.lo for x in self.xs], self.blocks, self.channels).min(axis=0)
        high = turn_channels([x.hi for x in self.xs], self.blocks, self.channels).max(axis=0)
        return (tuple(((int(lo), int(hi)),) for lo, hi in zip(low, high, strict=True)),)

    def uniform(self) -> ConcatKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedConcat]:
        """Any lanes that divide all blocks."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        counts = lane_choices(gcd(*self.blocks))
        if self.channels > 1:
            counts = [lanes for lanes in counts if self.channels % lanes == 0]
        return [
            FoldedConcat(
                self.xs,
                tuple(block // lanes for block in self.blocks),
                self.turns,
                unit_for(finisher, lanes, ranges, out),
            )
            for lanes in counts
        ]


@dataclass(frozen=True)
class FoldedConcat(Finished):
    """A multiplexer, a finisher and an output FIFO, a beat each cycle.

    Attributes
    ----------
    xs : types of the streams' integers
    beats : of each stream in a turn
    turns : of a tensor
    unit : the finisher
    """

    xs: tuple[IntType, ...]
    beats: tuple[int, ...]
    turns: int
    unit: FinisherUnit

    @property
    def lanes(self) -> int:
        """Elements of every beat."""
        return self.unit.lanes

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The streams."""
        return tuple(
            StreamPort(x, self.lanes, self.turns * beats)
            for x, beats in zip(self.xs, self.beats, strict=True)
        )

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """All of them in turn."""
        return (StreamPort(self.unit.out, self.lanes, self.cycles),)

    @property
    def input_names(self) -> tuple[str, ...]:
        """One a stream."""
        return tuple(f"i{k}" for k in range(len(self.xs)))

    @property
    def cycles(self) -> int:
        """A beat a cycle."""
        return self.turns * sum(self.beats)

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Multiplexer, sequencer, finisher and output FIFO."""
        width = max(x.bits for x in self.xs) * self.lanes
        select = Cost(adders=select_bits(width, len(self.xs)))
        sequencer = counter_cost(len(self.xs)) + counter_cost(max(self.beats))
        outlet = outlet_cost(self.lanes * self.unit.out.bits + 1, self.depth)
        return select + sequencer + outlet + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.gather`."""
        (o,) = outputs
        latency = self.unit.latency
        gather(schedule, name, inputs, o, turn=self.beats, latency=latency, depth=self.depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.concat.ConcatMux`."""
        from ..datapath.concat import ConcatMux

        return ConcatMux(self, name)
