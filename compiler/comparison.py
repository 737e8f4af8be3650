# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire inspect --pareto``: what a slice costs at different rates, before it is compiled."""

from __future__ import annotations

from typing import Any

from ..hw.numeric import QType
from .ir.graph import Graph
from .map.budget import excess
from .map.catalogue import aimed_at
from .map.front import Front
from .map.fuse import fuse
from .quantise.insert import missing_grids, quantise

_ASSUMED = QType(8, True, 2.0**-4)
"""Grid of what is not quantised yet: widths decide what hardware costs, and scales hardly."""


def compare_rates(
    graph: Graph, target: str | None = None, part: str | None = None
) -> dict[str, Any]:
    """The Pareto front of a slice (:mod:`.map.front`), as JSON.

    ``fits`` of a point says whether its layers fit the device: the part that is named, or a typical
    one. ``assumed`` says whether grids of 8 bits stood for those that calibration would give.

    Raises
    ------
    ModelError
        If no finisher is exact on assumed grids.
    OptionError
        If there is no such target or part.
    """
    aim = aimed_at(target, part)
    missing = missing_grids(graph)
    integers = fuse(quantise(graph, lambda name: _ASSUMED, _ASSUMED.bits), aim)
    return {
        "target": aim.name,
        "clock_mhz": aim.clock_mhz,
        "device": aim.device.name,
        "assumed": bool(missing),
        "points": [
            {
                **point.as_json(),
                "per_second": aim.clock_mhz * 1e6 / point.interval,
                "fits": not excess(point.resources, aim.device),
            }
            for point in Front(integers, aim).points()
        ],
    }
