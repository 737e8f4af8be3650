# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What reductions share: accumulators that take elements as they come, and no image in memory.

An accumulator holds what is known of the elements of one result so far: their sum, or the largest
few. Rules, cited by tests as V1 and V2:

V1. A tensor is ``outer`` times ``count`` times ``inner`` elements; result ``(o, i)`` is of the
    elements ``(o, 0, i)`` to ``(o, count - 1, i)``.
V2. Every beat is taken at once; those of the last element along ``count`` need a slot for their
    result in the FIFO of every output, the others do not.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth, tree_stages
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.moving import accumulate
from .base import Implementation, StreamPort
from .folds import lane_choices

RING = 4
"""Most accumulators of a lane that are registers; more are in a memory."""


def folds_of(count: int, inner: int) -> list[tuple[int, int]]:
    """Results of a beat, and elements of each: any lanes that divide the inner elements; where
    there is one, any that divide the count.
    """
    if inner > 1:
        return [(pe, 1) for pe in lane_choices(inner)]
    return [(1, simd) for simd in lane_choices(count)]


class AccumulatorImplementation(Implementation):
    """``pe`` accumulators at a time, or one that takes ``simd`` elements at a time.

    Attributes
    ----------
    x : type of the elements
    outer, count, inner : as in V1
    pe : results of a beat
    simd : elements of one result in a beat; 1 where there are several results in it
    """

    x: IntType
    outer: int
    count: int
    inner: int
    simd: int

    @property
    @abstractmethod
    def pe(self) -> int:
        """Results of a beat."""

    @property
    @abstractmethod
    def state_bits(self) -> int:
        """Bits of an accumulator."""

    @property
    @abstractmethod
    def own_cost(self) -> Cost:
        """Of what makes an accumulator of the one before and of new elements."""

    @property
    def squares(self) -> bool:
        """Whether elements are squared first."""
        return False

    @property
    def lanes(self) -> int:
        """Elements of a beat."""
        return self.pe * self.simd

    @property
    def folds(self) -> int:
        """Accumulators that take turns, one a beat."""
        return self.inner // self.pe

    @property
    def steps(self) -> int:
        """Times that each accumulator's turn comes for a result."""
        return self.count // self.simd

    @property
    def results(self) -> int:
        """Beats of an output: one for each turn of the accumulators."""
        return self.outer * self.folds

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The tensor."""
        return (StreamPort(self.x, self.lanes, self.cycles),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """A beat for each turn of the accumulators."""
        return tuple(StreamPort(unit.out, unit.lanes, self.results) for unit in self.finishing)

    @property
    def cycles(self) -> int:
        """A beat a cycle."""
        return self.outer * self.steps * self.folds

    @property
    def arithmetic(self) -> int:
        """Cycles from a beat to what it adds: operands, squares, tree."""
        return 1 + self.squares + tree_stages(self.simd)

    @property
    def pipelines(self) -> tuple[int, ...]:
        """Cycles from the last beat to its result at each output's FIFO: arithmetic, accumulator,
        then the finisher.
        """
        return tuple(self.arithmetic + 1 + unit.latency for unit in self.finishing)

    @property
    def latency(self) -> int:
        """The longest pipeline and the output FIFO."""
        return max(self.pipelines) + 1

    @property
    def depths(self) -> tuple[int, ...]:
        """Depth of each output's FIFO."""
        return tuple(outlet_depth(1, pipeline) for pipeline in self.pipelines)

    @property
    def cost(self) -> Cost:
        """Operands, accumulators, counters, finishers and output FIFOs."""
        bits = self.state_bits * self.pe
        own = self.own_cost + Cost(registers=bits)
        if self.folds > RING:
            own += Cost(memories=((bits, self.folds),), registers=self.arithmetic)
        else:
            own += Cost(registers=bits * (self.folds - 1))
        for count in (self.folds, self.steps):
            own += counter_cost(count)
        for unit, depth in zip(self.finishing, self.depths, strict=True):
            own += outlet_cost(unit.lanes * unit.out.bits + 1, depth) + unit.cost
        return own

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.accumulate`."""
        accumulate(
            schedule,
            name,
            inputs[0],
            outputs,
            turn=self.steps * self.folds,
            last=self.folds,
            latencies=self.pipelines,
            depths=self.depths,
        )
