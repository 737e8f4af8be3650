# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire inspect --pareto``: what a slice costs at different rates, before it is compiled."""

from __future__ import annotations

import os
from typing import Any

from ..hw.numeric import QType
from .load.frontend import load_model
from .load.shapes import Shapes
from .map.budget import excess
from .map.catalogue import aimed_at
from .map.front import Front
from .map.fuse import fuse
from .quantise.insert import missing_grids, quantise
from .select.buildable import plan
from .select.selection import Names

_ASSUMED = QType(8, True, 2.0**-4)
"""Grid of what is not quantised yet: widths decide what hardware costs, and scales hardly."""


def compare_rates(
    path: str | os.PathLike[str],
    from_: Names | None = None,
    to: Names | None = None,
    shapes: Shapes | None = None,
    target: str | None = None,
    part: str | None = None,
) -> dict[str, Any]:
    """The Pareto front of the slice that ``from_`` and ``to`` leave (:mod:`.map.front`), as JSON.

    ``fits`` of a point says whether its layers fit the device: the part that is named, or a typical
    one. ``assumed`` says whether grids of 8 bits stood for those that calibration would give.

    Raises
    ------
    ModelError
        If the model cannot be loaded, or no finisher is exact on assumed grids.
    CutError
        If the model has no such slice.
    OptionError
        If there is no such target or part.
    """
    aim = aimed_at(target, part)
    graph = plan(load_model(path, shapes), from_, to).selection.graph
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
