# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Splitting: several streams take turns to be served from one. The inverse of :mod:`.concat`.

What nobody wants is dropped, so that a slice of consecutive elements needs no buffer. Rules, cited
by tests as D1 and D2:

D1. A turn gives ``blocks[k]`` elements to output ``to[k]``, one block after the other, or to nobody
    where that is -1; a tensor is ``turns`` turns.
D2. A beat waits for the output whose turn it is only: what the others do does not matter. What is
    dropped waits for nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.moving import scatter
from .base import Accumulators, Implementation, Kernel, StreamPort
from .finishing import check_turns, unit_for
from .folds import lane_choices


@dataclass(frozen=True)
class SplitKernel(Kernel):
    """One stream to several (D1): channels of a pixel, pixels of a row, or parts of a tensor.

    Attributes
    ----------
    x : type of the elements
    blocks : elements of a turn, in parts
    to : for each block the output that it goes to, from 0 on, or -1
    turns : turns of a tensor
    channels : of each output's finisher; they divide every block of it, and are 1 where it treats
        all elements alike

    Raises
    ------
    ValueError
        If there is no output, channels do not divide a block, or an output has no block or no
        number of channels.
    """

    x: IntType
    blocks: tuple[int, ...]
    to: tuple[int, ...]
    turns: int
    channels: tuple[int, ...]

    name = "split"

    def __post_init__(self) -> None:
        outputs = range(len(self.channels))
        if not outputs:
            raise ValueError("a split needs an output at least, not none")
        if len(self.to) != len(self.blocks) or set(self.to) - {-1} != set(outputs):
            raise ValueError(
                f"each of {len(self.blocks)} blocks needs an output or -1, and each of "
                f"{len(outputs)} outputs a block, not {self.to}"
            )
        check_turns(self.blocks, self.turns, 1)
        for block, k in zip(self.blocks, self.to, strict=True):
            if k >= 0 and (self.channels[k] < 1 or block % self.channels[k]):
                raise ValueError(
                    f"a block of {block} elements to output {k} is not a multiple of its "
                    f"{self.channels[k]} channels"
                )

    def _places(self, output: int) -> IntArray:
        """Which elements of a turn go to an output (D1)."""
        return np.flatnonzero(np.repeat(self.to, self.blocks) == output)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """The elements themselves, (N, elements / channels, channels) for each output."""
        (x,) = streams
        wide = x.reshape(len(x), self.turns, -1)
        return tuple(
            (wide[:, :, self._places(k)].astype(np.int64).reshape(len(x), -1, channels),)
            for k, channels in enumerate(self.channels)
        )

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A Gather for each output."""
        (x,) = streams
        rows = writer.reshape(x, [self.turns, sum(self.blocks)])
        results = []
        for k, channels in enumerate(self.channels):
            places = writer.constant(self._places(k), np.int64)
            part = writer.cast(writer.op("Gather", rows, places, axis=1), np.float64)
            results.append((writer.reshape(part, [-1, channels]),))
        return tuple(results)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """All that the type holds."""
        return tuple((((self.x.lo, self.x.hi),),) * channels for channels in self.channels)

    def uniform(self) -> SplitKernel:
        """All elements of an output are one channel."""
        return replace(self, channels=(1,) * len(self.channels))

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedSplit]:
        """Any lanes that divide all blocks, and the channels of every finisher that has several."""
        lanes_of = lane_choices(gcd(*self.blocks, *(c for c in self.channels if c > 1)))
        return [
            FoldedSplit(
                self.x,
                tuple(block // lanes for block in self.blocks),
                self.to,
                self.turns,
                tuple(
                    unit_for(finisher, lanes, ranges, out)
                    for finisher, ranges, out in zip(finishers, self.ranges, outs, strict=True)
                ),
            )
            for lanes in lanes_of
        ]


@dataclass(frozen=True)
class FoldedSplit(Implementation):
    """A finisher and an output FIFO for each output, a beat each cycle.

    Attributes
    ----------
    x : type of the elements
    beats : of each block in a turn
    to, turns : as in :class:`SplitKernel`
    units : the outputs' finishers
    """

    x: IntType
    beats: tuple[int, ...]
    to: tuple[int, ...]
    turns: int
    units: tuple[FinisherUnit, ...]

    @property
    def lanes(self) -> int:
        """Elements of every beat."""
        return self.units[0].lanes

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The whole."""
        return (StreamPort(self.x, self.lanes, self.cycles),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """Its parts."""
        return tuple(
            StreamPort(unit.out, self.lanes, beats)
            for unit, beats in zip(self.units, self.beats_out, strict=True)
        )

    @property
    def beats_out(self) -> tuple[int, ...]:
        """Beats of each output."""
        return tuple(
            self.turns * sum(n for n, to in zip(self.beats, self.to, strict=True) if to == k)
            for k in range(len(self.units))
        )

    @property
    def finishing(self) -> tuple[FinisherUnit, ...]:
        """One an output that is read."""
        return self.units

    @property
    def in_turns(self) -> bool:
        """One output's block comes after another's, or after one that is dropped."""
        return True

    @property
    def output_names(self) -> tuple[str, ...]:
        """One an output."""
        return tuple(f"o{k}" for k in range(len(self.units)))

    @property
    def cycles(self) -> int:
        """A beat a cycle."""
        return self.turns * sum(self.beats)

    @property
    def latency(self) -> int:
        """The longest finisher and the output FIFO."""
        return max(unit.latency for unit in self.units) + 1

    @property
    def depths(self) -> tuple[int, ...]:
        """Depth of each output FIFO."""
        return tuple(outlet_depth(1, unit.latency) for unit in self.units)

    @property
    def cost(self) -> Cost:
        """Sequencer, finishers and output FIFOs."""
        cost = counter_cost(len(self.beats)) + counter_cost(max(self.beats))
        for unit, depth, beats in zip(self.units, self.depths, self.beats_out, strict=True):
            outlet = outlet_cost(self.lanes * unit.out.bits + 1, depth)
            cost = cost + counter_cost(beats) + outlet + unit.cost
        return cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.scatter`."""
        (i,) = inputs
        latencies = [unit.latency for unit in self.units]
        scatter(
            schedule,
            name,
            i,
            outputs,
            turn=self.beats,
            to=self.to,
            latencies=latencies,
            depths=self.depths,
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.split.SplitDemux`."""
        from ..datapath.split import SplitDemux

        return SplitDemux(self, name)
