# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The product of two computed streams: sums of ``depth`` products, or, with a depth of 1, products.

A matrix product of two computed tensors is this behind two reorder buffers: one repeats each row of
the first for every column of the second, the other repeats the columns for every row. It is also
what a layer is whose weights stream in with every inference. Rules, cited by tests as P1 and P2:

P1. Accumulator ``g`` is the sum over ``k`` of ``(a - za) * (b - zb)``, with the elements
    ``g * depth + k`` of both streams.
P2. A pass takes ``depth / simd`` beats of both streams, in step; it may wait between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..timing.components import Edge, Schedule, outlet_depth, tree_stages
from ..timing.cost import Cost, counter_cost, outlet_cost
from ..timing.moving import dot
from .base import Accumulators, Finished, StreamPort, check_width
from .finishing import unit_for
from .folds import lane_choices
from .pairs import PairKernel, check_channels


@dataclass(frozen=True)
class DotKernel(PairKernel):
    """Sums of products of two streams (P1).

    Attributes
    ----------
    groups : accumulators of a tensor
    depth : products of each
    inner : length of the innermost axis of the result
    channels : of the finisher: ``inner`` where it differs along that axis, or 1

    Raises
    ------
    ValueError
        If the axes do not fit, or (WidthError) an accumulator may be too wide.
    """

    groups: int
    depth: int
    inner: int = 1
    channels: int = 1

    name = "dot"

    def __post_init__(self) -> None:
        if self.groups < 1 or self.depth < 1 or self.inner < 1 or self.groups % self.inner:
            raise ValueError(
                f"groups and depth must be at least 1, and groups a multiple of inner, not "
                f"{self.groups}, {self.depth} and {self.inner}"
            )
        check_channels(self.channels, self.inner)
        check_width([self.sums], self.depth)

    @property
    def sums(self) -> Range:
        """Range of the accumulators."""
        ends = [x * y for x in self.factors[0] for y in self.factors[1]]
        return self.depth * min(ends), self.depth * max(ends)

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """Exact sums, (N, groups / channels, channels)."""
        a, b = (x.reshape(len(x), self.groups, self.depth) for x in self.without_zeros(streams))
        total = np.einsum("ngk,ngk->ng", a, b)
        return ((total.reshape(len(total), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A Mul and a ReduceSum in double, which holds every partial sum."""
        factors = [
            writer.reshape(x, [self.groups, self.depth])
            for x in self.without_zeros_onnx(writer, streams)
        ]
        total = writer.op("Mul", *factors)
        if self.depth > 1:
            total = writer.op("ReduceSum", total, writer.constant([1], np.int64), keepdims=0)
        return ((writer.reshape(total, [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """The same for all channels."""
        return (((self.sums,),) * self.channels,)

    @property
    def macs(self) -> int:
        """A product each."""
        return self.groups * self.depth

    def uniform(self) -> DotKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedDot]:
        """Any lanes that divide the depth; then whole groups that divide the innermost axis."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        folds = [(1, simd) for simd in lane_choices(self.depth)]
        folds += [(pe, self.depth) for pe in lane_choices(self.inner)[1:]]
        return [
            FoldedDot(
                self.xs,
                self.zeros,
                self.groups,
                self.depth,
                simd,
                unit_for(finisher, pe, ranges, out),
            )
            for pe, simd in folds
        ]


@dataclass(frozen=True)
class FoldedDot(Finished):
    """``pe`` accumulators of ``simd`` multipliers each.

    Attributes
    ----------
    xs, zeros, groups, depth : as in :class:`DotKernel`
    simd : products of an accumulator at a time; ``depth`` where there are several accumulators
    unit : the finisher, of ``pe`` lanes
    """

    xs: tuple[IntType, IntType]
    zeros: tuple[int, int]
    groups: int
    depth: int
    simd: int
    unit: FinisherUnit

    @property
    def pe(self) -> int:
        """Accumulators at a time."""
        return self.unit.lanes

    @property
    def steps(self) -> int:
        """Beats of a pass (P2)."""
        return self.depth // self.simd

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """Both streams."""
        return tuple(StreamPort(x, self.pe * self.simd, self.cycles) for x in self.xs)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """A beat a pass."""
        return (StreamPort(self.unit.out, self.pe, self.groups // self.pe),)

    @property
    def parallelism(self) -> tuple[int, int]:
        """Accumulators, and products of each."""
        return self.pe, self.simd

    @property
    def input_names(self) -> tuple[str, ...]:
        """The factors."""
        return ("a", "b")

    @property
    def cycles(self) -> int:
        """A beat a cycle."""
        return self.groups // self.pe * self.steps

    @property
    def pipeline(self) -> int:
        """Cycles from the last step of a pass to the written result: operands, products, adder
        tree, accumulator, then the finisher.
        """
        return 3 + tree_stages(self.simd) + self.unit.latency

    @property
    def outlet_depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(self.steps, self.pipeline)

    @property
    def factors(self) -> tuple[IntType, IntType]:
        """Narrowest types of the factors, without their zero points."""
        (a, b), (za, zb) = self.xs, self.zeros
        return IntType.holding(a.lo - za, a.hi - za), IntType.holding(b.lo - zb, b.hi - zb)

    @property
    def cost(self) -> Cost:
        """Multipliers, adder trees, accumulators, finisher and output FIFO."""
        lanes = self.pe * self.simd
        a, b = (factor.bits for factor in self.factors)
        acc = IntType.holding(*self.unit.ranges[0]).bits * self.pe
        centring = sum(x.bits for x, zero in zip(self.xs, self.zeros, strict=True) if zero)
        own = Cost(
            products=((a, b),) * lanes,
            adders=lanes * centring + (lanes - self.pe) * (a + b) + acc,
            registers=2 * lanes * (a + b) + acc,
        )
        outlet = outlet_cost(self.pe * self.unit.out.bits + 1, self.outlet_depth)
        return own + counter_cost(self.steps) + outlet + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :func:`~midwire.hw.timing.moving.dot`."""
        dot(
            schedule,
            name,
            inputs,
            outputs[0],
            steps=self.steps,
            latency=self.pipeline,
            depth=self.outlet_depth,
        )

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.dot.DotProduct`."""
        from ..datapath.dot import DotProduct

        return DotProduct(self, name)
