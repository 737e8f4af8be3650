# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision trees with a result in every cycle: comparisons, leaf numbers, look-ups, sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.tree_ensemble import Trees, UnrolledTrees
from .arithmetic import adder_tree, delayed
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .stream import beats


class DecisionTrees(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.tree_ensemble.UnrolledTrees`, rules E1 to E3 there.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i : In(beats of a whole vector)
    o : Out(beats of all sums)
    """

    def __init__(self, built: UnrolledTrees, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        (i,), (o,) = built.inputs, built.outputs
        super().__init__(
            {
                "i": In(beats(shape_for(i.type), i.lanes)),
                "o": Out(beats(shape_for(o.type), o.lanes)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        x = self.i.payload.data
        sums = self._sums(m, b.trees, [x[k] for k in range(b.trees.features)])
        m.d.comb += [outlet.acc0[lane].eq(total) for lane, total in enumerate(sums)]
        m.d.comb += [
            self.i.ready.eq(outlet.free),
            outlet.take.eq(outlet.free & self.i.valid),
            outlet.valid.eq(delayed(m, outlet.take, b.sum_delay, "valid")),
            outlet.final.eq(delayed(m, self.i.payload.last, b.sum_delay, "final")),
        ]
        return m

    def _sums(self, m: Any, trees: Trees, x: Sequence[Value]) -> list[Value]:
        """The sums, ``sum_delay`` cycles after the features."""
        columns: list[list[Value]] = [[] for _ in trees.values[0]]
        for tree, number in enumerate(_numbers(m, trees, x)):
            for column, value in zip(columns, _row(m, trees, tree, number), strict=True):
                column.append(value)
        return [adder_tree(m, column, f"sum{k}") for k, column in enumerate(columns)]


class _Held:
    """Values and the registers behind them, each made when it is first asked for."""

    def __init__(self, m: Any, value: Value, name: str) -> None:
        self._m = m
        self._values = [value]
        self._name = name

    def after(self, cycles: int) -> Value:
        if isinstance(self._values[0], Const):
            return self._values[0]
        while len(self._values) <= cycles:
            register = Signal.like(self._values[-1], name=f"{self._name}_{len(self._values)}")
            self._m.d.sync += register.eq(self._values[-1])
            self._values.append(register)
        return self._values[cycles]


def _numbers(m: Any, trees: Trees, x: Sequence[Value]) -> list[Value]:
    """For each tree the number of the row that is chosen, ``1 + trees.stage`` cycles later (E2)."""
    answers: dict[tuple[int, int], _Held] = {}
    for index, (feature, threshold) in enumerate(trees.comparisons):
        answer = Signal(name=f"c{index}")
        m.d.sync += answer.eq(x[feature] <= threshold)
        answers[feature, threshold] = _Held(m, answer, f"c{index}")
    made: dict[int, tuple[_Held, int]] = {}

    def at(way: int, stage: int) -> Value:
        if way < 0:
            return Const(trees.numbers[-1 - way])
        held, own = made[way]
        return held.after(stage - own)

    for index in range(len(trees.nodes) - 1, -1, -1):
        *pair, true, false = trees.nodes[index]
        stage = trees.stages[index]
        number = Signal(trees.widths[index], name=f"n{index}")
        answer = answers[pair[0], pair[1]].after(stage)
        m.d.comb += number.eq(Mux(answer, at(true, stage), at(false, stage)))
        made[index] = _Held(m, number, f"n{index}"), stage
    return [at(root, trees.stage) for root in trees.roots]


def _row(m: Any, trees: Trees, tree: int, number: Value) -> list[Value]:
    """The row of a tree, a cycle after its number."""
    rows, ranges = trees.rows[tree], trees.row_ranges(tree)
    if len(rows) == 1:
        return [Const(value, shape_of((value, value))) for value in rows[0]]
    values = [
        Signal(shape_of(span), name=f"v{tree}_{column}") for column, span in enumerate(ranges)
    ]
    with m.Switch(number):
        for index, row in enumerate(rows):
            # The last one for all that cannot be, too.
            with m.Case(index) if index < len(rows) - 1 else m.Default():
                m.d.sync += [v.eq(value) for v, value in zip(values, row, strict=True)]
    return list(values)
