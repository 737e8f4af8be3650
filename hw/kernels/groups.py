# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What normalisations share: groups of elements, each of which needs to know something of all.

A group is buffered while its *totals* are reduced (a maximum, sums); *statistics* are made of
those, and then the group is read again and every element becomes an accumulator. Rules, cited by
tests as U1 to U4:

U1. A beat holds elements of one group: lanes divide the elements of a group.
U2. The buffer is a ring of beats: a slot is free in the cycle after it was read. It holds a group
    and what comes meanwhile, so that no beat waits where statistics take no longer than a group.
U3. Totals are queued ``reduction`` cycles after a group's last beat, and there in the cycle after
    that. Where statistics are others, one group after another keeps their maker ``busy`` for so
    many cycles, and then they are there.
U4. A beat is read when its group's statistics are there and there is a credit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ..finish.base import Finisher, FinisherUnit, Range
from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, fifo_cost, outlet_cost
from ..timing.moving import grouped
from .base import Finished, StreamPort
from .finishing import unit_for
from .folds import lane_choices

QUOTIENT_STEPS = 2
"""Bits of a quotient between two registers."""


def check_groups(groups: int, count: int, channels: int) -> None:
    """Refuse groups without elements, and channels that do not divide a group."""
    if groups < 1 or count < 1 or channels < 1 or count % channels:
        raise ValueError(
            f"groups and their elements must be at least 1, and channels divide the elements; "
            f"found {groups} groups of {count} elements and {channels} channels"
        )


def group_units(
    finisher: Finisher, out: IntType, ranges: Sequence[Sequence[Range]], count: int
) -> list[FinisherUnit]:
    """The finisher for each number of lanes that divides a group (U1) and its channels."""
    channels = len(ranges)
    lanes = lane_choices(channels if channels > 1 else count)
    return [unit_for(finisher, each, ranges, out) for each in lanes]


def quotient_stages(bits: int) -> int:
    """Cycles of a quotient of so many bits, rounding included."""
    return -(-bits // QUOTIENT_STEPS) + 1


def quotient_cost(lanes: int, bits: int, divisor: int) -> Cost:
    """Quotients of ``bits`` bits, a lane each, by one divisor: a subtraction a bit, registers a
    stage, then half a unit more.
    """
    stages = quotient_stages(bits)
    each = Cost(
        adders=bits * (divisor + 1) + divisor + 2 * bits, registers=stages * (divisor + bits + 1)
    )
    cost = Cost(registers=stages * divisor)
    return sum([each] * lanes, cost)


class GroupImplementation(Finished):
    """A ring of beats, totals, statistics, and a pipeline from elements to accumulators.

    Attributes
    ----------
    x : type of the elements
    groups, count : groups of a tensor, and elements of each
    unit : hardware of the finisher
    """

    x: IntType
    groups: int
    count: int

    @property
    @abstractmethod
    def totals(self) -> tuple[Range, ...]:
        """What is reduced over a group."""

    @property
    @abstractmethod
    def reduction(self) -> int:
        """Cycles from a beat to totals that have it."""

    @property
    @abstractmethod
    def arithmetic(self) -> int:
        """Cycles from elements and statistics to accumulators."""

    @property
    @abstractmethod
    def own_cost(self) -> Cost:
        """Of totals, statistics and accumulators."""

    @property
    def statistics(self) -> tuple[Range, ...]:
        """What accumulators need to know of a group; the totals by default."""
        return self.totals

    @property
    def busy(self) -> int:
        """Cycles that the statistics of a group take (U3)."""
        return 0

    @property
    def lanes(self) -> int:
        """Elements of a beat."""
        return self.unit.lanes

    @property
    def beats(self) -> int:
        """Beats of a group."""
        return self.count // self.lanes

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """Groups, one behind the other."""
        return (StreamPort(self.x, self.lanes, self.groups * self.beats),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """As many elements."""
        return (StreamPort(self.unit.out, self.lanes, self.groups * self.beats),)

    @property
    def cycles(self) -> int:
        """A beat each cycle, unless the statistics take longer than a group."""
        return self.groups * max(self.beats, self.busy)

    @property
    def waits(self) -> int:
        """Cycles from a group's last beat to its statistics (U3)."""
        return self.reduction + 1 + self.busy

    @property
    def pipeline(self) -> int:
        """Cycles from a read to its result at the output FIFO."""
        return 1 + self.arithmetic + self.unit.latency

    @property
    def latency(self) -> int:
        """Statistics, a read, and the output FIFO."""
        return self.waits + self.pipeline + 1

    @property
    def ring(self) -> int:
        """Beats of the ring (U2)."""
        return self.beats + self.waits

    @property
    def queue(self) -> int:
        """Groups that may be in the ring at a time, at most."""
        return self.ring // self.beats + 1

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Ring, queues and counters; arithmetic; finisher and output FIFO."""
        word = self.lanes * self.x.bits
        own = Cost(memories=((word, self.ring),), registers=self.pipeline * 2)
        for count in (self.ring, self.ring, self.ring + 1, self.beats, self.beats, self.groups):
            own += counter_cost(count)
        for ranges in (self.totals, self.statistics) if self.busy else (self.totals,):
            width = sum(IntType.holding(*ends).bits for ends in ranges)
            own += fifo_cost(width, self.queue) + Cost(registers=width)
        outlet = outlet_cost(self.lanes * self.unit.out.bits + 1, self.depth)
        return own + self.own_cost + outlet + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.grouped`."""
        grouped(
            schedule,
            name,
            inputs[0],
            outputs[0],
            groups=self.groups,
            ring=self.ring,
            reduction=self.reduction,
            busy=self.busy,
            latency=self.pipeline,
            depth=self.depth,
        )
