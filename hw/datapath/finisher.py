# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The ports that all finishers have."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..finish.base import FinisherUnit
from .ranges import shape_for, shape_of
from .rom import Writer, words

_Unit = TypeVar("_Unit", bound=FinisherUnit)


class FinisherComponent(wiring.Component, Generic[_Unit]):
    """Accumulators of ``lanes`` channels to elements, every cycle; never stalls (rules F1 to F4).

    Parameters
    ----------
    unit : what to build
    file : name of its memory image, and with :func:`~midwire.hw.finish.base.numbered` of all of
        them, if it has several

    Members
    -------
    valid, final : In(1)
        Accumulators are there; they are the last ones of a tensor.
    acc0, acc1, ... : In(array of ``lanes``), one for each term
    o_valid, o_final : Out(1)
        ``valid`` and ``final`` of ``unit.latency`` cycles ago.
    y : Out(array of ``lanes`` elements)
    load : In(stream of words), weight_bank : In(1), if the unit is loadable
    """

    def __init__(self, unit: _Unit, file: str) -> None:
        self._unit = unit
        self._file = file
        accs = {
            f"acc{term}": In(data.ArrayLayout(shape_of(ends), unit.lanes))
            for term, ends in enumerate(unit.ranges)
        }
        super().__init__(
            {
                "valid": In(1),
                "final": In(1),
                **accs,
                "o_valid": Out(1),
                "o_final": Out(1),
                "y": Out(data.ArrayLayout(shape_for(unit.out), unit.lanes)),
                **written_by(unit),
            }
        )

    @property
    def writer(self) -> Writer | None:
        """What writes its memory, if anything does."""
        return Writer(self.load, self.weight_bank) if self._unit.writable else None


def written_by(unit: FinisherUnit) -> dict[str, Any]:
    """Members of whatever has a finisher inside that can be loaded: none if it cannot."""
    if unit.writable is None:
        return {}
    return {"load": In(words(unit.writable[0])), "weight_bank": In(1)}
