# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""No finisher: the accumulators are the integers of the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..numeric import IntArray, IntType
from ..timing.cost import Cost
from .base import Finisher, FinisherUnit, OnnxWriter, Range


@dataclass(frozen=True, eq=False)
class Direct(Finisher):
    """Accumulators from ``low`` to ``high``, taken as they are, one term."""

    count: int
    low: int
    high: int

    kind = "direct"

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.count

    @property
    def terms(self) -> int:
        """One."""
        return 1

    @property
    def span(self) -> Range:
        """That of the accumulators."""
        return self.low, self.high

    def apply(self, *accs: IntArray) -> IntArray:
        """The accumulators."""
        (acc,) = accs
        return acc

    def onnx(self, writer: OnnxWriter, terms: Sequence[str]) -> str:
        """The term itself."""
        del writer
        (term,) = terms
        return term

    def take(self, channels: Sequence[int]) -> Direct:
        """As many channels."""
        return Direct(len(channels), self.low, self.high)

    def unit(self, lanes: int, ranges: Sequence[Range], out: IntType) -> DirectUnit:
        """Wires; raises ValueError if an accumulator does not fit in ``out``."""
        ((low, high),) = ranges
        if low < out.lo or high > out.hi:
            raise ValueError(f"accumulators from {low} to {high} do not fit in {out}")
        return DirectUnit(lanes, out, ((low, high),))

    def loadable(self, lanes: int, ranges: Sequence[Range], out: IntType) -> DirectUnit | None:
        """Wires, if every accumulator fits in ``out``."""
        ((low, high),) = ranges
        return self.unit(lanes, ranges, out) if out.lo <= low and high <= out.hi else None

    def images(self, unit: FinisherUnit, file: str) -> dict[str, str]:
        """No memory."""
        del unit, file
        return {}


@dataclass(frozen=True)
class DirectUnit(FinisherUnit):
    """Wires."""

    lanes: int
    out: IntType
    ranges: tuple[Range, ...]

    @property
    def latency(self) -> int:
        """None."""
        return 0

    @property
    def cost(self) -> Cost:
        """Nothing."""
        return Cost()

    def component(self, file: str) -> Any:
        """See :class:`~midwire.hw.datapath.passed.Passed`."""
        from ..datapath.passed import Passed

        return Passed(self, file)
