# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Hardware of recurrent kernels, as data: multipliers, memories, and one pipeline behind them.

Rules Y1 to Y6 of :mod:`.recurrent` hold.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ..finish.base import FinisherUnit, Range
from ..numeric import IntType
from ..numeric.cells import Grid, Lane
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.recurrent import recurrent
from .base import Implementation, StreamPort

LATE = 6
"""Cycles behind a pass until its pipeline has read the first states of its first unit (Y6)."""


_BEFORE = 4
"""Cycles from the last product of a pass to the pipeline of its first unit: operands, product, sum,
and what is held.
"""


def drops_of(lanes: Sequence[Lane], grid: Grid) -> tuple[int, ...]:
    """For each sum of these lanes, the bits that it has beyond a table's."""
    counts = ((lane.fraction - grid.steps, 1 if lane.joined else 2) for lane in lanes)
    return tuple(drop for drop, count in counts for _ in range(count))


def image(name: str, word: str) -> str:
    """Name of a memory image of the component ``name``."""
    return f"{name}_{word}.hex"


@dataclass(frozen=True)
class Given:
    """A state before the first step that is a stream, a row of all units for each sequence.

    Attributes
    ----------
    state : its name
    type : of the integers, which mean what the state's do
    """

    state: str
    type: IntType


@dataclass(frozen=True)
class FoldedRecurrent(Implementation):
    """Multipliers for some units at a time, one pipeline behind them.

    Attributes
    ----------
    x, steps, sequences, width, units, last, grid, lanes, given : as in
        :class:`~.recurrent.RecurrentKernel`
    weight : type of the weights
    sums, totals : ranges of each sum without and with its bias
    state : range of the hidden state
    begins : states of which the constant before the first step is not all zero
    halves : of a step (Y5)
    peak : largest magnitude of a table's entry
    parallel : units at a time
    finishers : one an output, of one lane
    """

    x: IntType
    steps: int
    sequences: int
    width: int
    units: int
    last: bool
    grid: Grid
    lanes: tuple[Lane, ...]
    weight: IntType
    sums: tuple[Range, ...]
    totals: tuple[Range, ...]
    state: Range
    given: tuple[Given, ...]
    begins: tuple[str, ...]
    halves: int
    peak: int
    parallel: int
    finishers: tuple[FinisherUnit, ...]

    @property
    @abstractmethod
    def arithmetic(self) -> int:
        """Cycles from the sums of a unit to its new state."""

    @property
    def made(self) -> tuple[int, ...]:
        """The same of every state that is a result, the hidden one first."""
        return (self.arithmetic,)

    @property
    def finishing(self) -> tuple[FinisherUnit, ...]:
        """One a state that is a result."""
        return self.finishers

    @property
    @abstractmethod
    def own_cost(self) -> Cost:
        """Of that pipeline, without tables of gates."""

    @property
    @abstractmethod
    def lookups(self) -> int:
        """Memories of tables."""

    @property
    def drops(self) -> tuple[int, ...]:
        """For each sum, the bits that it has beyond a table's."""
        return drops_of(self.lanes, self.grid)

    @property
    def bias_bits(self) -> int:
        """Bits of every bias in memory."""
        both = list(zip(self.totals, self.sums, strict=True))
        low = min(total[0] - own[0] for total, own in both)
        high = max(total[1] - own[1] for total, own in both)
        return IntType.holding(min(low, -1), max(high, 0)).bits

    @property
    def gate_bits(self) -> int:
        """Bits of an entry of a table."""
        return IntType.holding(-self.peak, self.peak).bits

    @property
    def state_bits(self) -> int:
        """Bits of an element of the hidden state."""
        return IntType.holding(*self.state).bits

    def bits_of(self, word: str) -> int:
        """Bits of an element of a state."""
        assert word == "hidden", "cells that have more say so"
        return self.state_bits

    @property
    def depth(self) -> int:
        """Products of a sum, one a cycle (Y1)."""
        return self.width + self.units

    @property
    def passes(self) -> int:
        """Passes of half a step, or of all of it (Y5), of some units each."""
        return self.units // self.parallel

    @property
    def pipeline(self) -> int:
        """Cycles from the last product of a pass to its first unit's state."""
        return _BEFORE + self.arithmetic

    @property
    def drain(self) -> int:
        """Cycles that a step rests behind the one before (Y3)."""
        return max(0, self.pipeline + self.parallel - self.depth)

    @property
    def word_bits(self) -> int:
        """Bits of a word of weights."""
        return self.parallel * len(self.lanes) * self.weight.bits

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The sequences, and first states."""
        x = StreamPort(self.x, 1, self.sequences * self.steps * self.width)
        return (x, *(StreamPort(g.type, 1, self.sequences * self.units) for g in self.given))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Of first states by their names."""
        return ("i", *(f"i_{each.state}" for each in self.given))

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """Hidden states; of further ones the last of each sequence."""
        counts = (1 if self.last else self.steps, *[1] * (len(self.finishers) - 1))
        return tuple(
            StreamPort(unit.out, 1, self.sequences * count * self.units)
            for unit, count in zip(self.finishers, counts, strict=True)
        )

    @property
    def output_names(self) -> tuple[str, ...]:
        """Numbered behind the hidden states'."""
        return ("o", *(f"o{k}" for k in range(1, len(self.finishers))))

    @property
    def parallelism(self) -> tuple[int, int]:
        """Sums at a time, and products of each."""
        return self.parallel * len(self.lanes), 1

    @property
    def cycles(self) -> int:
        """All passes of all steps. Rows come in meanwhile, and so do first states, unless steps are
        few.
        """
        step = self.halves * (self.passes * self.depth + self.drain)
        begins = step - self.drain + LATE + self.units if self.given else 0
        return self.sequences * max(self.steps * step, begins)

    @property
    def latency(self) -> int:
        """The first pass of a step, in its last half, the pipeline, finisher and output FIFO."""
        before = (self.halves - 1) * (self.passes * self.depth + self.drain)
        return before + self.depth + max(self.latencies) + 1

    @property
    def latencies(self) -> tuple[int, ...]:
        """Cycles from the last product of a pass to the first result of each output."""
        both = zip(self.made, self.finishers, strict=True)
        return tuple(_BEFORE + cycles + unit.latency for cycles, unit in both)

    @property
    def outlets(self) -> tuple[int, ...]:
        """Depth of each output FIFO."""
        return tuple(self.parallel * outlet_depth(self.depth, late) for late in self.latencies)

    @property
    def _held_bits(self) -> tuple[int, int]:
        """Bits of a unit's sums, which a register holds once more behind them, and of those whose
        terms come in two places; a sum over ``x`` or ``h`` alone has none below its own.
        """
        held = chosen = 0
        sums = iter(IntType.holding(*ends).bits for ends in self.sums)
        for lane in self.lanes:
            if lane.joined:
                own = next(sums) - min(lane.x_left, lane.h_left)
                held, chosen = held + own, chosen + own
            else:
                held += next(sums) - lane.x_left + next(sums) - lane.h_left
        return held, chosen

    @property
    def cost(self) -> Cost:
        """Multipliers and sums; memories; the pipeline; finisher and output FIFO."""
        count = len(self.lanes) * self.parallel
        held, chosen = self._held_bits
        totals = sum(IntType.holding(*ends).bits for ends in self.totals)
        # What is known of a unit goes along with it; tables have a place and an entry.
        along = (1 + self.arithmetic) * ((self.units - 1).bit_length() + 4)
        along += self.lookups * ((2 * self.grid.reach - 1).bit_length() + self.gate_bits)
        operand = max(self.x.bits + (not self.x.signed), self.state_bits)
        roms = [
            (self.word_bits, self.passes * self.depth),
            (len(self.sums) * self.bias_bits, self.units),
            *[(self.gate_bits, 2 * self.grid.reach)] * self.lookups,
        ]
        roms += [(self.bits_of(word), self.units) for word in self.begins]
        given = [(each.type.bits, self.units) for each in self.given]
        cost = Cost(
            products=((self.weight.bits, operand),) * count,
            memories=((self.x.bits, 2 * self.width), (self.state_bits, 2 * self.units), *given),
            roms=tuple(roms),
            # The choice of a place goes half into the adder's own logic.
            adders=self.parallel * (2 * held + chosen // 2) + 2 * totals,
            registers=2 * self.parallel * held
            + count * (self.weight.bits + operand)
            + totals
            + along,
        )
        counted = (self.depth, self.passes, self.steps, self.sequences, self.units, 2 * self.width)
        for values in (*counted, *[self.units] * len(given)):
            cost += counter_cost(values)
        for unit, depth in zip(self.finishers, self.outlets, strict=True):
            cost += outlet_cost(unit.out.bits + 1, depth) + unit.cost
        return cost + self.own_cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.recurrent.recurrent`."""
        recurrent(
            schedule,
            name,
            inputs,
            outputs,
            steps=self.steps,
            sequences=self.sequences,
            halves=self.halves,
            passes=self.passes,
            parallel=self.parallel,
            depth=self.depth,
            drain=self.drain,
            late=LATE,
            latencies=self.latencies,
            depths=self.outlets,
        )
