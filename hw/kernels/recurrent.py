# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What recurrent kernels share: a sequence in, a state that every step reads and writes.

There is one copy of the weights, in a memory. Rules, cited by tests as Y1 to Y5:

Y1. A step sums, for some *units* of the state at a time, one product a cycle in each lane of each
    unit: first over ``x``, then over ``h``. Sums of several units leave one after the other, and
    one pipeline (tables, products, rounding) makes a unit of the new state a cycle.
Y2. ``x`` is held in two rows: one is read while the next is written. A step begins when its row is
    there. ``h`` is held twice: the old state is read while the new one is written.
Y3. A step begins so late that what it reads of ``h`` has been written: it rests ``drain`` cycles
    behind the one before. Elements written last are read last, so mostly that is none.
Y4. Of steps whose states are results, the first cycles of each pass need a credit each.
Y5. A step may have two halves (a GRU whose reset is before the product). The first one writes in
    place of the new state what the second one reads in place of the old. Both read the same row and
    the same weights, in the same time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.images import pack_image
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..numeric.cells import Grid, Lane
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.recurrent import recurrent
from .base import Accumulators, Finished, Implementation, Kernel, StreamPort, check_width
from .finishing import unit_for
from .folds import lane_choices

_Kernel = TypeVar("_Kernel", bound="RecurrentKernel")


@dataclass(frozen=True, eq=False)
class RecurrentKernel(Kernel):
    """A cell, step by step over a sequence.

    Attributes
    ----------
    x : type of the integers
    steps : of the sequence
    last : whether the last state is the result, and not all of them
    channels : of the finisher: all elements of a state, or 1
    grid : of gates and states
    lanes : one for each product of a unit at a time
    weight : (units, lanes, elements of x, then of h)
    bias : (sums, units)
    hidden : (units,), the state before the first step
    f : table (N12); cells that have more add them
    """

    x: IntType
    steps: int
    last: bool
    channels: int
    grid: Grid
    lanes: tuple[Lane, ...]
    weight: IntArray
    bias: IntArray
    hidden: IntArray
    f: IntArray

    def __post_init__(self) -> None:
        units, lanes, depth = self.weight.shape
        sums = len(self.drops)
        if lanes != len(self.lanes) or depth <= units or self.steps < 1:
            raise ValueError(
                f"expected weights of {len(self.lanes)} lanes for x and {units} units, and a step "
                f"or more, found {self.weight.shape} and {self.steps} steps"
            )
        if self.bias.shape != (sums, units) or self.hidden.shape != (units,):
            raise ValueError(
                f"expected a bias of {sums} sums and a state of {units} units, found "
                f"{self.bias.shape} and {self.hidden.shape}"
            )
        if self.channels not in (1, units):
            raise ValueError(f"expected 1 or {units} channels, found {self.channels}")
        if any(len(table) != 2 * self.grid.reach for table in self.curves.values()):
            raise ValueError(f"expected tables of {2 * self.grid.reach} entries")
        check_width(self.products, depth)

    @property
    def units(self) -> int:
        """Elements of the state."""
        return self.weight.shape[0]

    @property
    def width(self) -> int:
        """Elements of ``x`` in a step."""
        return self.weight.shape[2] - self.units

    @property
    def curves(self) -> Mapping[str, IntArray]:
        """Tables in ONNX's order, by its letters for them: f, g, h."""
        return {"f": self.f}

    @property
    def tables(self) -> tuple[IntArray, ...]:
        """The same without letters."""
        return tuple(self.curves.values())

    @property
    def halves(self) -> int:
        """Halves of a step (Y5): 1 or 2."""
        return 1

    @property
    def drops(self) -> tuple[int, ...]:
        """For each sum, the bits that it has beyond a table's."""
        return _drops(self.lanes, self.grid)

    @property
    def results(self) -> int:
        """States that are results."""
        return 1 if self.last else self.steps

    @property
    def state(self) -> Range:
        """Of all states, the first among them: what the last table gives, at most."""
        most = max(largest(self.tables[-1]), largest(self.hidden))
        return -most, most

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """What a state can be."""
        return (((self.state,),) * self.channels,)

    @property
    def sums(self) -> tuple[Range, ...]:
        """Of each sum without its bias, over all units; a part of a sum is never beyond."""
        found: list[Range] = []
        for k, lane in enumerate(self.lanes):
            own = self.weight[:, k]
            x = _reach(own[:, : self.width] << lane.x_left, (self.x.lo, self.x.hi))
            h = _reach(own[:, self.width :] << lane.h_left, self.state)
            parts = [(x[0] + h[0], x[1] + h[1])] if lane.joined else [x, h]
            found += [(int(low.min()), int(high.max())) for low, high in parts]
        return tuple(found)

    @property
    def totals(self) -> tuple[Range, ...]:
        """Of each sum with its bias."""
        low, high = self.bias.min(axis=1), self.bias.max(axis=1)
        return tuple(
            (lo + int(least), hi + int(most))
            for (lo, hi), least, most in zip(self.sums, low, high, strict=True)
        )

    @property
    @abstractmethod
    def products(self) -> tuple[Range, ...]:
        """Ranges of the widest numbers of a step."""

    @property
    def macs(self) -> int:
        """Every weight, in every step."""
        return self.steps * self.weight.size

    def uniform(self: _Kernel) -> _Kernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """N13, N14 or N18, a step at a time for all sequences."""
        (x,) = streams
        count = len(x)
        rows = x.astype(np.int64).reshape(count, self.steps, self.width)
        states = self.first(count)
        found: list[IntArray] = []
        for step in range(self.steps):
            states = self.step(rows[:, step], states)
            found.append(states[0])
        kept = found[-self.results :]
        return ((np.stack(kept, axis=1).reshape(count, -1, self.channels),),)

    def summed(self, x: IntArray, h: IntArray) -> list[IntArray]:
        """All sums of a step, with their biases."""
        found: list[IntArray] = []
        for k, lane in enumerate(self.lanes):
            own = self.weight[:, k]
            over_x = (x @ own[:, : self.width].T) << lane.x_left
            over_h = (h @ own[:, self.width :].T) << lane.h_left
            found += [over_x + over_h] if lane.joined else [over_x, over_h]
        return [acc + bias for acc, bias in zip(found, self.bias, strict=True)]

    def first(self, count: int) -> tuple[IntArray, ...]:
        """The states before the first step, of so many sequences."""
        return (np.broadcast_to(self.hidden, (count, self.units)),)

    @abstractmethod
    def step(self, x: IntArray, states: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
        """The states that follow; the hidden one first."""

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Sums over ``x`` of all steps at a time, then a Scan."""
        (x,) = streams
        rows = writer.reshape(writer.cast(x, np.float64), [self.steps, self.width])
        tables = [writer.constant(table, np.float64) for table in self.tables]
        over_x: list[str] = []
        at = 0
        for k, lane in enumerate(self.lanes):
            own = self.weight[:, k, : self.width] << lane.x_left
            product = writer.op("MatMul", rows, writer.constant(own.T, np.float64))
            bias = writer.constant(self.bias[at], np.float64)
            over_x.append(writer.op("Add", product, bias))
            at += 1 if lane.joined else 2

        def body(inner: OnnxWriter, states: Sequence[str], own: Sequence[str]) -> Sequence[str]:
            return self.step_onnx(inner, tables, own, states)

        begins = [writer.constant(state[0], np.float64) for state in self.first(1)]
        hidden = writer.scan(body, begins, over_x)
        if self.last:
            ends = [writer.constant([value], np.int64) for value in (self.steps - 1, self.steps)]
            hidden = writer.op("Slice", hidden, *ends)
        return ((writer.reshape(hidden, [-1, self.channels]),),)

    def summed_onnx(self, writer: OnnxWriter, over_x: Sequence[str], h: str) -> list[str]:
        """The same as :meth:`summed` on doubles; what is over ``x`` has its bias."""
        sums: list[str] = []
        for k, lane in enumerate(self.lanes):
            weight = (self.weight[:, k, self.width :] << lane.h_left).T
            over_h = writer.op("MatMul", h, writer.constant(weight, np.float64))
            if lane.joined:
                sums.append(writer.op("Add", over_x[k], over_h))
            else:
                bias = writer.constant(self.bias[len(sums) + 1], np.float64)
                sums += [over_x[k], writer.op("Add", over_h, bias)]
        return sums

    @abstractmethod
    def step_onnx(
        self,
        writer: OnnxWriter,
        tables: Sequence[str],
        over_x: Sequence[str],
        states: Sequence[str],
    ) -> Sequence[str]:
        """The same as :meth:`step` on doubles, of the sums over ``x``, one a lane."""

    @abstractmethod
    def built(self, **common: Any) -> FoldedRecurrent:
        """The implementation with these common fields."""

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedRecurrent]:
        """One for each number of units that divides the state."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        unit = unit_for(finisher, 1, ranges, out)
        return [
            self.built(
                x=self.x,
                steps=self.steps,
                width=self.width,
                units=self.units,
                last=self.last,
                grid=self.grid,
                lanes=self.lanes,
                weight=IntType.holding(int(self.weight.min()), int(self.weight.max())),
                sums=self.sums,
                totals=self.totals,
                state=self.state,
                begins=bool(self.hidden.any()),
                halves=self.halves,
                peak=max(largest(table) for table in self.tables),
                parallel=parallel,
                unit=unit,
            )
            for parallel in lane_choices(self.units)
        ]

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """Weights, biases, tables, the first state, and the finisher's."""
        b = implementation
        assert isinstance(b, FoldedRecurrent)
        # A word has what all lanes of some units multiply in a cycle.
        words = self.weight.reshape(b.passes, b.parallel * len(self.lanes), -1)
        weights = words.swapaxes(1, 2).reshape(-1, b.parallel * len(self.lanes))
        found = {
            image(name, "weights"): pack_image(weights, b.weight.bits),
            image(name, "bias"): pack_image(self.bias.T, b.bias_bits),
        }
        for letter, table in self.curves.items():
            found[image(name, letter)] = pack_image(table, b.gate_bits)
        if b.begins:
            found[image(name, "hidden")] = pack_image(self.hidden, b.state_bits)
        return {**super().images(b, finishers, name), **found}


def largest(values: IntArray) -> int:
    """The largest magnitude."""
    return int(np.abs(values).max())


def check_gates(f: IntArray, one: int) -> None:
    """Refuse a table of gates that lets more through than all, or less than nothing."""
    if f.min() < 0 or f.max() > one:
        raise ValueError(f"expected gates from 0 to {one}, found {f.min()} to {f.max()}")


def _reach(weight: IntArray, ends: Range) -> tuple[IntArray, IntArray]:
    """For each unit the least and the largest sum over elements between these ends."""
    both = weight * ends[0], weight * ends[1]
    return np.minimum(*both).sum(axis=1), np.maximum(*both).sum(axis=1)


def _drops(lanes: Sequence[Lane], grid: Grid) -> tuple[int, ...]:
    counts = ((lane.fraction - grid.steps, 1 if lane.joined else 2) for lane in lanes)
    return tuple(drop for drop, count in counts for _ in range(count))


def image(name: str, word: str) -> str:
    """Name of a memory image of the component ``name``."""
    return f"{name}_{word}.hex"


@dataclass(frozen=True)
class FoldedRecurrent(Finished):
    """Multipliers for some units at a time, one pipeline behind them.

    Attributes
    ----------
    x, steps, width, units, last, grid, lanes : as in :class:`RecurrentKernel`
    weight : type of the weights
    sums, totals : ranges of each sum without and with its bias
    state : range of the hidden state
    begins : whether the state before the first step is not all zero
    halves : of a step (Y5)
    peak : largest magnitude of a table's entry
    parallel : units at a time
    unit : hardware of the finisher, of one lane
    """

    x: IntType
    steps: int
    width: int
    units: int
    last: bool
    grid: Grid
    lanes: tuple[Lane, ...]
    weight: IntType
    sums: tuple[Range, ...]
    totals: tuple[Range, ...]
    state: Range
    begins: bool
    halves: int
    peak: int
    parallel: int
    unit: FinisherUnit

    @property
    @abstractmethod
    def arithmetic(self) -> int:
        """Cycles from the sums of a unit to its new state."""

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
        return _drops(self.lanes, self.grid)

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
        """Cycles from the last product of a pass to its first unit's state: operands, product, sum,
        what is held for the pipeline, and that.
        """
        return 4 + self.arithmetic

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
        """The sequence."""
        return (StreamPort(self.x, 1, self.steps * self.width),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """States."""
        return (StreamPort(self.unit.out, 1, (1 if self.last else self.steps) * self.units),)

    @property
    def parallelism(self) -> tuple[int, int]:
        """Sums at a time, and products of each."""
        return self.parallel * len(self.lanes), 1

    @property
    def cycles(self) -> int:
        """All passes of all steps; a row comes in meanwhile."""
        return self.steps * self.halves * (self.passes * self.depth + self.drain)

    @property
    def latency(self) -> int:
        """The first pass of a step, in its last half, the pipeline, finisher and output FIFO."""
        before = (self.halves - 1) * (self.passes * self.depth + self.drain)
        return before + self.depth + self.pipeline + self.unit.latency + 1

    @property
    def outlet(self) -> int:
        """Depth of the output FIFO."""
        return self.parallel * outlet_depth(self.depth, self.pipeline + self.unit.latency)

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
        if self.begins:
            roms.append((self.state_bits, self.units))
        cost = Cost(
            products=((self.weight.bits, operand),) * count,
            memories=((self.x.bits, 2 * self.width), (self.state_bits, 2 * self.units)),
            roms=tuple(roms),
            # The choice of a place goes half into the adder's own logic.
            adders=self.parallel * (2 * held + chosen // 2) + 2 * totals,
            registers=2 * self.parallel * held
            + count * (self.weight.bits + operand)
            + totals
            + along,
        )
        for values in (self.depth, self.passes, self.steps, self.units, 2 * self.width):
            cost += counter_cost(values)
        outlet = outlet_cost(self.unit.out.bits + 1, self.outlet)
        return cost + self.own_cost + outlet + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.recurrent.recurrent`."""
        recurrent(
            schedule,
            name,
            inputs[0],
            outputs[0],
            steps=self.steps,
            halves=self.halves,
            passes=self.passes,
            parallel=self.parallel,
            depth=self.depth,
            drain=self.drain,
            latency=self.pipeline + self.unit.latency,
            outlet=self.outlet,
        )
