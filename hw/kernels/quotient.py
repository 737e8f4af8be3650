# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The quotient of two computed streams, element by element (N19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..finish.base import Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntType
from ..numeric.norms import EXACT, ratio, ratio_onnx
from ..timing.components import Edge, Schedule, outlet_depth
from ..timing.cost import Cost, outlet_cost
from .base import Accumulators, Finished, StreamPort, WidthError
from .finishing import unit_for
from .folds import lane_choices
from .groups import quotient_cost, quotient_stages
from .pairs import PairKernel, check_channels


@dataclass(frozen=True)
class QuotientKernel(PairKernel):
    """``ratio(a - za, b - zb)`` to ``bits`` fractional bits, for each element of both streams.

    Attributes
    ----------
    elements : of a tensor
    inner : length of the innermost axis
    channels : of the finisher: ``inner`` where it differs along that axis, or 1
    bits : fractional bits of the results

    Raises
    ------
    ValueError
        If the axes do not fit, or (WidthError) a result may be too wide.
    """

    elements: int
    inner: int
    channels: int
    bits: int

    name = "quotient"

    def __post_init__(self) -> None:
        if self.inner < 1 or self.elements < 1 or self.elements % self.inner or self.bits < 0:
            raise ValueError(
                f"elements must be a multiple of inner, and bits at least 0, not {self.elements}, "
                f"{self.inner} and {self.bits}"
            )
        check_channels(self.channels, self.inner)
        if 2 * self.largest > EXACT:
            raise WidthError(
                f"quotients of integers of {self.xs[0].bits} bits to {self.bits} fractional bits "
                "need more than 51 bits; use fewer bits"
            )

    @property
    def largest(self) -> int:
        """Size of no result is larger: that of the largest numerator, divided by 1."""
        return max(map(abs, self.factors[0])) << self.bits

    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """N19, (N, elements / channels, channels)."""
        a, b = self.without_zeros(streams)
        return ((ratio(a, b, self.bits).reshape(len(a), -1, self.channels),),)

    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """A Div in double, which is mended."""
        a, b = self.without_zeros_onnx(writer, streams)
        return ((writer.reshape(ratio_onnx(writer, a, b, self.bits), [-1, self.channels]),),)

    @property
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """The same for all channels."""
        signed = min(self.factors[0] + self.factors[1]) < 0
        return ((((-self.largest if signed else 0, self.largest),),) * self.channels,)

    def uniform(self) -> QuotientKernel:
        """All elements are one channel."""
        return replace(self, channels=1)

    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[FoldedQuotient]:
        """Any lanes that divide the innermost axis."""
        (finisher,), (out,), (ranges,) = finishers, outs, self.ranges
        return [
            FoldedQuotient(
                self.xs,
                self.zeros,
                self.elements,
                self.bits,
                unit_for(finisher, lanes, ranges, out),
            )
            for lanes in lane_choices(self.inner)
        ]


@dataclass(frozen=True)
class FoldedQuotient(Finished):
    """A divider for each lane, which takes a numerator and a divisor in every cycle.

    Attributes
    ----------
    xs, zeros, elements, bits : as in :class:`QuotientKernel`
    unit : the finisher, of the lanes
    """

    xs: tuple[IntType, IntType]
    zeros: tuple[int, int]
    elements: int
    bits: int
    unit: FinisherUnit

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """Both streams."""
        return tuple(StreamPort(x, self.unit.lanes, self.cycles) for x in self.xs)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """As many elements."""
        return (StreamPort(self.unit.out, self.unit.lanes, self.cycles),)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What is divided, and by what."""
        return ("a", "b")

    @property
    def cycles(self) -> int:
        """A beat a cycle."""
        return self.elements // self.unit.lanes

    @property
    def sizes(self) -> tuple[int, int]:
        """Bits of the size of a numerator, without the fractional ones, and of a divisor."""
        a, b = (
            max(x.hi - zero, zero - x.lo).bit_length()
            for x, zero in zip(self.xs, self.zeros, strict=True)
        )
        return a, b

    @property
    def quotient_bits(self) -> int:
        """Bits of the largest result's size."""
        return self.sizes[0] + self.bits

    @property
    def arithmetic(self) -> int:
        """Cycles from elements to an accumulator: sizes, the quotient, its sign."""
        return 2 + quotient_stages(self.quotient_bits)

    @property
    def pipeline(self) -> int:
        """Cycles from a beat to its result at the output FIFO."""
        return self.arithmetic + self.unit.latency

    @property
    def outlet_depth(self) -> int:
        """Depth of the output FIFO, for full throughput."""
        return outlet_depth(1, self.pipeline)

    @property
    def cost(self) -> Cost:
        """Sizes, dividers, signs, finisher and output FIFO."""
        lanes = self.unit.lanes
        width = sum(self.sizes) + 2
        ends = Cost(adders=width + self.quotient_bits + 1, registers=width + self.quotient_bits + 1)
        each = quotient_cost(1, self.quotient_bits, self.sizes[1]) + ends
        flags = Cost(registers=2 * self.arithmetic + lanes * self.arithmetic)
        outlet = outlet_cost(lanes * self.unit.out.bits + 1, self.outlet_depth)
        return sum([each] * lanes, flags) + outlet + self.unit.cost

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """A joining pipeline of one beat each cycle (rule T5)."""
        (o,) = outputs
        schedule.stream(name, inputs, o, latency=self.pipeline, depth=self.outlet_depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.quotient.Divider`."""
        from ..datapath.quotient import Divider

        return Divider(self, name)
