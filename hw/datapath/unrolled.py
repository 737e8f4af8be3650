# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A constant matrix product with a result in every cycle: an adder graph and a finisher.

What it adds, how wide and in which level is decided by :mod:`midwire.hw.kernels.adder_graph` (rules
G1 to G4); nothing stalls inside, because a vector is taken only when there is room for its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.adder_graph import ZERO, AdderGraph, Addition
from ..kernels.finishing import finish_file
from ..kernels.unrolled import UnrolledDense
from .arithmetic import delayed
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .stream import beats


class Unrolled(wiring.Component):
    """All inputs of a vector in one beat, all outputs in one beat.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i : In(beats of all inputs ``x``)
    o : Out(beats of all outputs)
    """

    def __init__(self, built: UnrolledDense, name: str) -> None:
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
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.outlet_depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        x = self.i.payload.data
        accs = sums(m, b.graph, [x[k] for k in range(len(b.graph.inputs))])
        m.d.comb += [outlet.acc0[lane].eq(acc) for lane, acc in enumerate(accs)]
        m.d.comb += [
            self.i.ready.eq(outlet.free),
            outlet.take.eq(outlet.free & self.i.valid),
            outlet.valid.eq(delayed(m, outlet.take, b.graph.stages, "valid")),
            outlet.final.eq(delayed(m, self.i.payload.last, b.graph.stages, "final")),
        ]
        return m


def sums(m: Any, graph: AdderGraph, inputs: Sequence[Value]) -> list[Value]:
    """The outputs of a graph, ``graph.stages`` cycles after the inputs."""
    # For each operand, its value as made and after one, two, ... registers.
    held: list[list[Value]] = [[value] for value in inputs]

    def at(operand: int, stage: int) -> Value:
        if operand == ZERO:
            return Const(0)
        values = held[operand]
        while len(values) <= stage - graph.born(operand):
            register = Signal.like(values[-1], name=f"r{operand}_{len(values)}")
            m.d.sync += register.eq(values[-1])
            values.append(register)
        return values[stage - graph.born(operand)]

    for index, node in enumerate(graph.nodes, len(inputs)):
        stage = graph.born(index)
        total = Signal(shape_of(graph.ranges[index]), name=f"n{index}")
        m.d.comb += total.eq(_sum(node, at(node.left, stage), at(node.right, stage)))
        held.append([total])
    return [at(output.operand, graph.stages) << output.shift for output in graph.outputs]


def _sum(node: Addition, left: Value, right: Value) -> Value:
    """A node's addition; the bits below a shifted operand do not go through the adder (G2)."""
    shift = abs(node.shift)
    if node.shift >= 0:
        high = (left >> shift) - right if node.negative else (left >> shift) + right
        low = left
    elif node.negative:
        return (left << shift) - right
    else:
        high, low = left + (right >> shift), right
    if not shift:
        return high
    below = Cat(_bit(low, k) for k in range(shift))
    return Cat(below, high).as_signed() if high.shape().signed else Cat(below, high)


def _bit(value: Value, index: int) -> Value:
    """A bit of a value of any width, as two's complement."""
    if index < len(value):
        return value[index]
    return value[-1] if value.shape().signed else Const(0, 1)
