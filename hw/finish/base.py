# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What every finisher offers.

Rules, cited by tests as F1 to F5:

F1. :meth:`Finisher.apply`, its ONNX form and its hardware give the same integers for every
    accumulator in the range that it was made for.
F2. A :class:`FinisherUnit` is data: hashable, made without Amaranth, equal for equal hardware. All
    that distinguishes two units but is not in them (values of memories) is in memory images.
F3. The hardware takes accumulators of ``lanes`` channels in every cycle and never stalls. The
    channels of a tensor come in turn, ``lanes`` at a time; results come ``latency`` cycles later.
F4. Latency, cost and hardware are the unit's own: nobody else knows how long its pipeline is.
F5. A loadable unit depends on types and ranges only, not on parameters: all of them are in one
    memory that can be written, so the same hardware finishes any layer of its kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from ..numeric import IntArray, IntType
from ..timing.cost import Cost

Range = tuple[int, int]
"""Smallest and largest integer, both included."""

MAX_EXACT_DOUBLE = 1 << 53
"""``slice.onnx`` computes accumulators and results in double: integers are exact up to here."""


class OnnxWriter(Protocol):
    """Appends nodes of standard ONNX operators (opset 17) to a model under construction.

    Tensors are names. The writer is the compiler's, so that ``hw`` loads no ONNX.
    """

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node of one output; gives the output's name."""

    def several(self, count: int, kind: str, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Append a node of so many outputs; gives their names."""

    def constant(self, value: Any, dtype: Any) -> str:
        """Add an initialiser of a numpy type; gives its name."""

    def cast(self, value: str, dtype: Any) -> str:
        """Append a Cast to a numpy type."""

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Append a Reshape to a fixed shape (-1 as in ONNX)."""

    def scan(
        self,
        body: Callable[[OnnxWriter, Sequence[str], Sequence[str]], Sequence[str]],
        states: Sequence[str],
        inputs: Sequence[str],
    ) -> tuple[str, Sequence[str]]:
        """Append a Scan over matrices of doubles: ``body`` appends the nodes that make new states
        of states and one matrix of each input; gives the first state behind every one, and all
        states behind the last.
        """


class FinisherUnit(ABC):
    """The hardware of a finisher for some lanes, as data: a frozen, hashable dataclass (F2).

    Attributes
    ----------
    lanes : channels that come at a time
    out : type of the results
    ranges : for each term, the closed range of its accumulator
    """

    lanes: int
    out: IntType
    ranges: tuple[Range, ...]

    @property
    def writable(self) -> tuple[int, int] | None:
        """Bits and words of the memory of a loadable unit (F5); None if there is none."""
        return None

    @property
    def widened(self) -> FinisherUnit:
        """The same hardware, described by what is not peculiar to these numbers, if there is such
        a description: what is equal is elaborated once.
        """
        return self

    @property
    @abstractmethod
    def latency(self) -> int:
        """Cycles from accumulators to results; 0 if combinational."""

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What it takes, for the choice between implementations."""

    @abstractmethod
    def component(self, file: str) -> Any:
        """The Amaranth component; ``file`` names its memory image, and with :func:`numbered` all
        of them, if it has several.

        Members: ``valid``, ``final``: In(1); ``acc0, acc1, ...``: In(array of ``lanes``), the
        narrowest shapes of ``ranges``; ``o_valid``, ``o_final``: Out(1); ``y``: Out(array of
        ``lanes`` elements of ``out``). If :attr:`writable`: ``load``: In(stream of its words),
        and ``weight_bank``: In(1), as in :class:`~midwire.hw.datapath.rom.Ram`.
        """


class Finisher(ABC):
    """Parameters of a finisher for all channels of an output: a frozen dataclass of integer arrays.

    Attributes
    ----------
    kind : its name in a bundle's program
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of channels."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """Number of accumulators of a channel."""

    @property
    @abstractmethod
    def span(self) -> Range:
        """Smallest and largest result over all channels."""

    @abstractmethod
    def apply(self, *accs: IntArray) -> IntArray:
        """Results for accumulators, one int64 array a term, whose last axis is the channel axis."""

    @abstractmethod
    def onnx(self, writer: OnnxWriter, terms: Sequence[str]) -> str:
        """The same in ONNX: terms are doubles (..., channels) of exact integers, and so is the
        result.
        """

    @abstractmethod
    def take(self, channels: Sequence[int]) -> Finisher:
        """The finisher of these channels, in this order (some may come twice, or not at all)."""

    @abstractmethod
    def unit(self, lanes: int, ranges: Sequence[Range], out: IntType) -> FinisherUnit:
        """Its hardware for ``lanes`` channels at a time; ``channels`` is a multiple of them."""

    def loadable(self, lanes: int, ranges: Sequence[Range], out: IntType) -> FinisherUnit | None:
        """As :meth:`unit`, for any layer with accumulators in these ranges (F5); None if this kind
        has no such hardware, or these parameters do not fit in its words.
        """
        del lanes, ranges, out
        return None

    @abstractmethod
    def images(self, unit: FinisherUnit, file: str) -> dict[str, str]:
        """Memory images of a unit of this finisher, file name to text; ``file`` as in
        :meth:`FinisherUnit.component`.
        """


class FinishError(ValueError):
    """No finisher of a kind is exact, or within its limits; says why."""


def numbered(file: str, *numbers: int) -> str:
    """The name of one of several memory images: ``a.hex`` becomes ``a_0_1.hex``."""
    stem, dot, ending = file.rpartition(".")
    tail = "".join(f"_{number}" for number in numbers)
    return f"{stem}{tail}.{ending}" if dot else f"{file}{tail}"


def folds_of(channels: int, lanes: int) -> int:
    """Beats until the channels come round again.

    Raises ValueError if the channels are not a multiple of ``lanes``.
    """
    if lanes < 1 or channels % lanes:
        raise ValueError(
            f"{channels} channels are not a multiple of {lanes} lanes; choose lanes that divide "
            "them"
        )
    return channels // lanes
