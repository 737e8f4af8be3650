# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The unrolled strategy of a matrix product with constants: adders only, a vector every cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..finish.base import Finisher, FinisherUnit, Range
from ..numeric import IntArray, IntType
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, outlet_cost
from .adder_graph import AdderGraph
from .adder_solver import digit_count, solve
from .base import Finished, StreamPort

__all__ = ["MOST_DIGITS", "UnrolledDense", "unrolled"]

MOST_DIGITS = 4096
"""Signed digits of the largest matrix that is unrolled: about as many milliseconds to solve, and
some twenty thousand full adders.
"""


@dataclass(frozen=True)
class UnrolledDense(Finished):
    """A matrix product as an adder graph, every input in one beat, every output in one beat.

    Attributes
    ----------
    graph : the matrix as additions
    x : type of the inputs
    unit : the finisher, one lane an output
    vectors : of an inference
    depth : of the output FIFO; None for just enough for full throughput
    """

    graph: AdderGraph
    x: IntType
    unit: FinisherUnit
    vectors: int
    depth: int | None = None

    strategy = "unrolled"

    @property
    def pipeline(self) -> int:
        """Cycles from a vector to its written result: the registers of the graph, the finisher."""
        return self.graph.stages + self.unit.latency

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """A vector a beat."""
        return (StreamPort(self.x, len(self.graph.inputs), self.vectors),)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """A result a beat."""
        return (StreamPort(self.unit.out, self.unit.lanes, self.vectors),)

    @property
    def cycles(self) -> int:
        """One for each vector."""
        return self.vectors

    @property
    def outlet_depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(1, self.pipeline) if self.depth is None else self.depth

    @property
    def cost(self) -> Cost:
        """Adders and registers of the graph, finisher, output FIFO."""
        graph = Cost(
            adders=self.graph.adder_bits,
            registers=self.graph.register_bits + 2 * self.graph.stages,
        )
        width = self.unit.lanes * self.unit.out.bits + 1
        return graph + self.unit.cost + outlet_cost(width, self.outlet_depth)

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """A pipeline of one beat each cycle (rule T5)."""
        (o,) = outputs
        schedule.stream(name, inputs, o, latency=self.pipeline, depth=self.outlet_depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.unrolled.Unrolled`."""
        from ..datapath.unrolled import Unrolled

        return Unrolled(self, name)


def unrolled(
    weight: IntArray,
    x: IntType,
    ranges: Sequence[Range],
    finisher: Finisher,
    out: IntType,
    vectors: int,
    *,
    most_digits: int = MOST_DIGITS,
) -> UnrolledDense | None:
    """The unrolled implementation of a dense layer; None if the matrix is too large.

    Parameters
    ----------
    weight : integers (outputs, inputs), or (outputs, 1, ..., inputs) as a convolution has them
    x : type of the inputs
    ranges : for each output, the range of its accumulator
    finisher, out : what follows, one channel an output, and the type of its results
    vectors : of an inference
    most_digits : signed digits of the weights beyond which not to try

    Raises
    ------
    ValueError
        If the weights are those of a larger window.
    """
    if weight.size == len(weight) * weight.shape[-1]:
        weight = weight.reshape(len(weight), -1)
    if weight.ndim != 2:
        raise ValueError(f"a matrix (outputs, inputs) can be unrolled, not {weight.shape}")
    if digit_count(weight) > most_digits:
        return None
    graph = solve(weight, [(x.lo, x.hi)] * weight.shape[1])
    span = min(lo for lo, _ in ranges), max(hi for _, hi in ranges)
    return UnrolledDense(graph, x, finisher.unit(len(weight), (span,), out), vectors)
