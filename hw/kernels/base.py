# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a kernel is, and what an implementation of it is.

A kernel is one computation on integer streams; a few of them serve all operators. Its file has
everything about it: typed parameters, numpy run, form in ONNX operators, ranges, and the
implementations that the compiler may choose from. Rules, cited by tests as K1 to K5:

K1. A kernel is a frozen dataclass. Its fields are its parameters: integers, booleans, strings,
    tuples of those, other such dataclasses, and integer arrays. :mod:`.program` writes and reads
    them, so a bundle's program gives the very same kernel back.
K2. :meth:`Kernel.run` gives exact accumulators; finishers turn those into the integers of the
    output types. The ONNX form gives the same accumulators as doubles, so no kernel has any beyond
    2**53: :func:`check_width` refuses it.
K3. An :class:`Implementation` is data: a frozen, hashable dataclass, made without Amaranth, that
    knows its ports, cycles, latency, cost and timing. Equal implementations have equal Verilog, but
    for the names of instance and memory images; values of memories are not in it.
K4. Predicted cycles come true: :meth:`Implementation.timing` mirrors the component's handshakes.
K5. Strategies are *folded* (a few multipliers, used in turn, weights fixed in memories), *unrolled*
    (constants in logic, one result every cycle) and *loadable* (as folded, but all that tells one
    layer from another like it is in memories that side ports write). Weights that stream in beside
    every inference are not a strategy: they are the second input of the ``dot`` kernel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..finish.base import MAX_EXACT_DOUBLE, Finisher, FinisherUnit, OnnxWriter, Range
from ..formats.tensor import AnyArray
from ..numeric import IntArray, IntType
from ..timing.components import Edge, Schedule
from ..timing.cost import Cost
from .finishing import finish_images

__all__ = [
    "PART",
    "Accumulators",
    "Implementation",
    "Kernel",
    "SidePort",
    "StreamPort",
    "WidthError",
    "check_width",
]

PART = 1 << 15
"""Accumulators that are computed with at a time: what a processor's cache holds."""

Accumulators = tuple[IntArray, ...]
"""Accumulators of one output: int64 (N, ..., channels), one array for each term of its finisher."""


@dataclass(frozen=True)
class StreamPort:
    """One end of a stream.

    Attributes
    ----------
    type : of the elements
    lanes : elements of a beat
    beats : beats of a tensor
    run : elements after which a new beat begins, where ``lanes`` does not divide them (the last
        beat of a run is then filled up with elements that mean nothing); 0 where beats are full
    """

    type: IntType
    lanes: int
    beats: int
    run: int = 0

    @classmethod
    def of(cls, type_: IntType, lanes: int, elements: int, run: int) -> StreamPort:
        """A port for a tensor whose innermost axis has ``run`` elements."""
        if run % lanes == 0:
            return cls(type_, lanes, elements // lanes)
        return cls(type_, lanes, elements // run * -(-run // lanes), run)

    @property
    def padded(self) -> bool:
        """Whether some beats are not full."""
        return self.run != 0

    @property
    def elements(self) -> int:
        """Elements of a tensor, without those that fill up beats."""
        if not self.padded:
            return self.beats * self.lanes
        return self.beats // -(-self.run // self.lanes) * self.run

    @property
    def payload_bits(self) -> int:
        """Bits of a beat: its lanes, then ``last``."""
        return self.lanes * self.type.bits + 1


@dataclass(frozen=True)
class SidePort:
    """A port beside the tensors' streams, through which a memory can be written.

    It is a stream of words: the first goes to address 0, ``last`` is on the final one, and then
    all have been loaded. The memory has two banks: the one that is not read is written, and the
    component's input ``weight_bank`` says which one is read. A port that is not connected,
    ``valid`` low, leaves bank 0 with its image.

    Attributes
    ----------
    name : the component's own name of the member; of the memory image it is the ending
        (``"weights"``: ``{name of the component}_weights.hex``)
    width : bits of a word
    depth : words
    """

    name: str
    width: int
    depth: int

    @property
    def word_bytes(self) -> int:
        """Bytes of a beat: a word, filled up."""
        return -(-self.width // 8)

    def image(self, name: str) -> str:
        """Name of the memory image in the component ``name``."""
        return f"{name}_{self.name}.hex"


MOST_PORT_BITS, MOST_BITS = 8192, 60_000
"""Of a beat's lanes, and of a word of weights. Amaranth 0.5 counts the bits of a cell in 16 bits; a
fork has some streams beside each other, and a finisher some constants for every lane.
"""


class Implementation(ABC):
    """One way to build a kernel with its finishers: a frozen, hashable dataclass (K3).

    Attributes
    ----------
    strategy : "folded", "unrolled" or "loadable" (K5)
    """

    strategy: ClassVar[str] = "folded"

    @property
    @abstractmethod
    def inputs(self) -> tuple[StreamPort, ...]:
        """Ports of the inputs."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[StreamPort, ...]:
        """Ports of the outputs."""

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Cycles that one inference keeps it busy: the interval that it allows."""

    @property
    @abstractmethod
    def latency(self) -> int:
        """Cycles from the last beat that a result needs to that result on the output."""

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What it takes."""

    @property
    def word_bits(self) -> int:
        """Bits of a word of weights; 0 if there are none in a memory."""
        return 0

    @property
    def buildable(self) -> bool:
        """Whether nothing in it is too wide."""
        lanes = max(port.lanes * port.type.bits for port in (*self.inputs, *self.outputs))
        return lanes <= MOST_PORT_BITS and self.word_bits <= MOST_BITS

    @property
    def effort(self) -> float:
        """About how long it takes to elaborate (see :mod:`midwire.hw.elaborate`)."""
        lanes = sum(port.lanes for port in (*self.inputs, *self.outputs))
        return 1.0 + 0.02 * lanes + 0.05 * len(self.cost.products)

    @property
    def in_slice(self) -> bool:
        """Implementations are the parts that a slice has."""
        return True

    @property
    def parallelism(self) -> tuple[int, int]:
        """Lanes out (PE) and lanes in (SIMD), for reports."""
        return self.outputs[0].lanes, self.inputs[0].lanes

    @property
    def side_ports(self) -> tuple[SidePort, ...]:
        """Ports beside the streams."""
        return ()

    @property
    def finishing(self) -> tuple[FinisherUnit, ...]:
        """Hardware of the finishers, one an output; none where nothing is finished."""
        return ()

    @property
    def in_turns(self) -> bool:
        """Whether each output has turns, in which it comes faster than on the average."""
        return False

    @property
    def input_names(self) -> tuple[str, ...]:
        """The component's own names of its inputs (``"i.1"``: entry 1 of an array)."""
        return ("i",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The component's own names of its outputs."""
        return ("o",)

    @abstractmethod
    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """Add its timing process to a schedule, between these edges (K4)."""

    @abstractmethod
    def component(self, name: str) -> Any:
        """The Amaranth component; ``name`` is the prefix of the names of its memory images."""


class Finished(Implementation):
    """One output, which a finisher ends in.

    Attributes
    ----------
    unit : the finisher, of the output's lanes
    """

    unit: FinisherUnit

    @property
    def finishing(self) -> tuple[FinisherUnit, ...]:
        """The one."""
        return (self.unit,)

    @property
    def pipeline(self) -> int:
        """Cycles from what completes a result to that result at the output FIFO: the finisher's."""
        return self.unit.latency

    @property
    def latency(self) -> int:
        """The pipeline and the output FIFO."""
        return self.pipeline + 1


class WidthError(ValueError):
    """Accumulators are wider than all forms of a kernel can compute (K2)."""


def check_width(spans: Iterable[Range], terms: int) -> None:
    """Refuse sums of ``terms`` products, or elements, that a double may not hold.

    Raises WidthError.
    """
    for low, high in spans:
        if max(-low, high) >= MAX_EXACT_DOUBLE:
            raise WidthError(
                f"sums of {terms} terms lie between {low} and {high}, but must stay below 2**53; "
                "use fewer bits, or sum over less"
            )


class Kernel(ABC):
    """One computation on integer streams (K1, K2).

    Attributes
    ----------
    name : in a bundle's program
    """

    name: ClassVar[str]

    @abstractmethod
    def run(self, *streams: AnyArray) -> tuple[Accumulators, ...]:
        """Exact accumulators of every output, for streams (N, elements), one an input."""

    def run_parts(self, *streams: AnyArray) -> Iterator[tuple[Accumulators, ...]]:
        """The same a part of the accumulators at a time, in stream order, (..., channels) each, for
        streams of any types of integers: those of images would fill memory. Here it is one part.
        """
        yield self.run(*(stream.astype(np.int64) for stream in streams))

    @abstractmethod
    def onnx(self, writer: OnnxWriter, streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The same as ONNX nodes: streams are flat tensors of integers in stream order, float32, or
        double where the type has more than 24 bits; results are doubles (..., channels), one for
        each term of each output.
        """

    @property
    @abstractmethod
    def ranges(self) -> tuple[tuple[tuple[Range, ...], ...], ...]:
        """For each output, channel and term, the closed range of the accumulator."""

    def uniform(self) -> Kernel:
        """The same with one channel for all, if it has such a form: what follows is alike for all
        elements, so one finisher serves them.
        """
        return self

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return 0

    @abstractmethod
    def implementations(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Implementation]:
        """Every way to build it, in no order, with a finisher and a type for each output."""

    def loadable(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Sequence[Implementation]:
        """It with memories that can be written (K5), in no order; none if it has no such form.

        Apart from :meth:`implementations`, because nobody takes them for being cheap. Layers of
        equal descriptions may be loaded with each other's images.
        """
        del finishers, outs
        return ()

    def unrolled(
        self, finishers: Sequence[Finisher], outs: Sequence[IntType]
    ) -> Implementation | None:
        """It with its constants in logic, one result every cycle (K5); None if it has no such form.

        Apart from :meth:`implementations`, because finding it takes a while: :attr:`digits` tells
        beforehand what it will about come to.
        """
        del finishers, outs
        return None

    @property
    def digits(self) -> int:
        """Additions of the unrolled form before any are shared; 0 if it has none."""
        return 0

    def images(
        self, implementation: Implementation, finishers: Sequence[Finisher], name: str
    ) -> Mapping[str, str]:
        """Memory images of an implementation, file name to text (K3): those of its finishers."""
        return finish_images(finishers, implementation.finishing, name)
