# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What recurrent kernels share: a sequence in, a state that every step reads and writes.

There is one copy of the weights, in a memory. Rules, cited by tests as Y1 to Y6:

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
Y6. States before the first step are constants, or come as streams, a row of all units for each
    sequence. A row is held once: a sequence begins when it is there, and the next one is written
    ``LATE`` cycles behind the first step, when the pipeline has read the last of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..finish.base import Finisher, OnnxWriter, Range
from ..formats.images import pack_image
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..numeric.cells import Grid, Lane
from .base import Accumulators, Implementation, Kernel, check_width
from .finishing import unit_for
from .folded_recurrent import FoldedRecurrent, Given, drops_of, image
from .folds import lane_choices

_T = TypeVar("_T")
_Kernel = TypeVar("_Kernel", bound="RecurrentKernel")


@dataclass(frozen=True, eq=False)
class RecurrentKernel(Kernel):
    """A cell, step by step over sequences.

    Attributes
    ----------
    x : type of the integers
    steps : of a sequence
    sequences : of a tensor, one behind the other; each begins with the same constant states
    last : whether the last state is the result, and not all of them
    channels : of the finisher: all elements of a state, or 1
    grid : of gates and states
    lanes : one for each product of a unit at a time
    weight : (units, lanes, elements of x, then of h)
    bias : (sums, units)
    given : states before the first step that are streams, in order; constants of theirs are not
        read
    hidden : (units,), the state before the first step
    f : table (N12); cells that have more add them
    """

    x: IntType
    steps: int
    sequences: int
    last: bool
    channels: int
    grid: Grid
    lanes: tuple[Lane, ...]
    weight: IntArray
    bias: IntArray
    given: tuple[Given, ...]
    hidden: IntArray
    f: IntArray

    def __post_init__(self) -> None:
        units, lanes, depth = self.weight.shape
        sums = len(self.drops)
        if lanes != len(self.lanes) or depth <= units or min(self.steps, self.sequences) < 1:
            raise ValueError(
                f"expected weights of {len(self.lanes)} lanes for x and {units} units, and a step "
                f"or more, found {self.weight.shape} and {self.sequences} times {self.steps} steps"
            )
        if self.bias.shape != (sums, units) or self.hidden.shape != (units,):
            raise ValueError(
                f"expected a bias of {sums} sums and a state of {units} units, found "
                f"{self.bias.shape} and {self.hidden.shape}"
            )
        words = [each.state for each in self.given]
        if words != [word for word in self.firsts if word in words]:
            raise ValueError(f"expected states out of {list(self.firsts)}, found {words}")
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
        return drops_of(self.lanes, self.grid)

    @property
    def results(self) -> int:
        """States of a sequence that are results."""
        return 1 if self.last else self.steps

    @property
    def firsts(self) -> Mapping[str, IntArray]:
        """All states before the first step by their names, the hidden one first."""
        return {"hidden": self.hidden}

    def begun(self, word: str) -> int:
        """The largest magnitude of a state before the first step."""
        types = [each.type for each in self.given if each.state == word]
        return max((max(-t.lo, t.hi) for t in types), default=largest(self.firsts[word]))

    @property
    def _constant(self) -> tuple[str, ...]:
        """States that begin with other constants than zeros."""
        given = [each.state for each in self.given]
        return tuple(w for w, first in self.firsts.items() if w not in given and first.any())

    @property
    def state(self) -> Range:
        """Of all states, the first among them: what the last table gives, at most."""
        most = max(largest(self.tables[-1]), self.begun("hidden"))
        return -most, most

    @property
    def kept(self) -> tuple[Range, ...]:
        """Of further states, those behind the last step of which are results of their own."""
        return ()

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """What states can be."""
        return tuple(((ends,),) * self.channels for ends in (self.state, *self.kept))

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
        return self.sequences * self.steps * self.weight.size

    def uniform(self: _Kernel) -> _Kernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """N13, N14 or N18, a step at a time for all sequences."""
        x, *begins = streams
        rows = x.astype(np.int64).reshape(-1, self.steps, self.width)
        given = self._named([each.astype(np.int64).reshape(-1, self.units) for each in begins])
        shape = len(rows), self.units
        states = tuple(
            given[word] if word in given else np.broadcast_to(first, shape)
            for word, first in self.firsts.items()
        )
        found: list[IntArray] = []
        for step in range(self.steps):
            states = self.step(rows[:, step], states)
            found.append(states[0])
        hidden = np.stack(found[-self.results :], axis=1)
        every = (hidden, *states[1 : 1 + len(self.kept)])
        return tuple((each.reshape(len(x), -1, self.channels),) for each in every)

    def _named(self, begins: Sequence[_T]) -> dict[str, _T]:
        """What each stream of a first state becomes, by the state's name."""
        return {each.state: made for each, made in zip(self.given, begins, strict=True)}

    def summed(self, x: IntArray, h: IntArray) -> list[IntArray]:
        """All sums of a step, with their biases."""
        found: list[IntArray] = []
        for k, lane in enumerate(self.lanes):
            own = self.weight[:, k]
            over_x = (x @ own[:, : self.width].T) << lane.x_left
            over_h = (h @ own[:, self.width :].T) << lane.h_left
            found += [over_x + over_h] if lane.joined else [over_x, over_h]
        return [acc + bias for acc, bias in zip(found, self.bias, strict=True)]

    @abstractmethod
    def step(self, x: IntArray, states: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
        """The states that follow; the hidden one first."""

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Sums over ``x`` of all steps at a time, then a Scan over them with all sequences."""
        x, *begins = streams
        own = [self.sequences, self.steps, self.width]
        rows = writer.reshape(writer.cast(x, np.float64), own)
        rows = writer.op("Transpose", rows, perm=[1, 0, 2])
        tables = [writer.constant(table, np.float64) for table in self.tables]
        over_x: list[str] = []
        at = 0
        for k, lane in enumerate(self.lanes):
            weight = self.weight[:, k, : self.width] << lane.x_left
            product = writer.op("MatMul", rows, writer.constant(weight.T, np.float64))
            bias = writer.constant(self.bias[at], np.float64)
            over_x.append(writer.op("Add", product, bias))
            at += 1 if lane.joined else 2

        def body(inner: OnnxWriter, states: Sequence[str], own: Sequence[str]) -> Sequence[str]:
            return self.step_onnx(inner, tables, own, states)

        shape = [self.sequences, self.units]
        given = self._named([writer.reshape(writer.cast(s, np.float64), shape) for s in begins])
        firsts = [
            given.get(word) or writer.constant(np.broadcast_to(first, shape), np.float64)
            for word, first in self.firsts.items()
        ]
        hidden, ends = writer.scan(body, firsts, over_x)
        hidden = ends[0] if self.last else writer.op("Transpose", hidden, perm=[1, 0, 2])
        every = (hidden, *ends[1 : 1 + len(self.kept)])
        return tuple((writer.reshape(each, [-1, self.channels]),) for each in every)

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
        units = tuple(
            unit_for(finisher, 1, ranges, out)
            for finisher, ranges, out in zip(finishers, self.ranges, outs, strict=True)
        )
        return [
            self.built(
                x=self.x,
                steps=self.steps,
                sequences=self.sequences,
                width=self.width,
                units=self.units,
                last=self.last,
                grid=self.grid,
                lanes=self.lanes,
                weight=IntType.holding(int(self.weight.min()), int(self.weight.max())),
                sums=self.sums,
                totals=self.totals,
                state=self.state,
                given=self.given,
                begins=self._constant,
                halves=self.halves,
                peak=max(largest(table) for table in self.tables),
                parallel=parallel,
                finishers=units,
            )
            for parallel in lane_choices(self.units)
        ]

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """Weights, biases, tables, first states, and those of finishers."""
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
        for word in b.begins:
            found[image(name, word)] = pack_image(self.firsts[word], b.bits_of(word))
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
