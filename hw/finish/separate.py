# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finishers as modules of their own.

A layer's finisher depends on scales, and scales on all layers before it; the rest of its hardware
on shapes and types, and on the zero point where it pads. Where they are elaborated apart, a change
of scales elaborates finishers and little else, and layers of equal shapes are elaborated once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..numeric import IntType
from ..timing.cost import Cost
from .base import FinisherUnit, Range


@dataclass(frozen=True)
class SeparateUnit(FinisherUnit):
    """What a layer must know of a finisher that is a module of its own.

    Attributes
    ----------
    ranges : all that the shapes of the accumulators hold
    cycles : the finisher's latency
    word : its :attr:`writable` memory
    """

    lanes: int
    out: IntType
    ranges: tuple[Range, ...]
    cycles: int
    word: tuple[int, int] | None

    @classmethod
    def of(cls, unit: FinisherUnit) -> SeparateUnit:
        """In place of ``unit``."""
        held = [IntType.holding(*ends) for ends in unit.ranges]
        ranges = tuple((kind.lo, kind.hi) for kind in held)
        return cls(unit.lanes, unit.out, ranges, unit.latency, unit.writable)

    @property
    def latency(self) -> int:
        """The finisher's."""
        return self.cycles

    @property
    def writable(self) -> tuple[int, int] | None:
        """The finisher's."""
        return self.word

    @property
    def cost(self) -> Cost:
        """Nothing: the finisher is looked at by itself."""
        return Cost()

    def component(self, file: str) -> Any:
        """An instance of the module that is called as the finisher's memory image."""
        from ..datapath.separate import Separate

        return Separate(self, file)


@dataclass(frozen=True)
class FinisherModule:
    """A finisher to elaborate by itself."""

    unit: FinisherUnit

    @property
    def effort(self) -> float:
        """About how long that takes, in the unit of implementations."""
        return 0.3 + 0.05 * self.unit.lanes

    @property
    def in_slice(self) -> bool:
        """It is a part of one."""
        return True

    def component(self, name: str) -> Any:
        """The finisher; ``name`` is that of its memory image without the ending."""
        return self.unit.component(f"{name}.hex")


def separated(description: Any) -> tuple[Any, dict[int, FinisherModule]]:
    """A description with finishers that are modules of their own, and those, by the output.

    A finisher without registers stays: what is before it and behind it is simplified with it.
    """
    outputs = count()
    found: dict[int, FinisherModule] = {}

    def outside(unit: FinisherUnit) -> FinisherUnit:
        output = next(outputs)
        if not unit.latency:
            return unit
        found[output] = FinisherModule(unit.widened)
        return SeparateUnit.of(unit)

    changed: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(description)):
        value = getattr(description, name)
        if isinstance(value, FinisherUnit):
            changed[name] = outside(value)
        elif isinstance(value, tuple) and any(isinstance(one, FinisherUnit) for one in value):
            changed[name] = tuple(map(outside, value))
    return (dataclasses.replace(description, **changed) if found else description), found
