# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose a slice that can be built: selection knows single nodes, only fusing knows how they meet.

A node may be supported by itself and still not fit its neighbours (a stream in the wrong order, an
unrounded result with two readers). Where midwire chooses the slice, such a node is marked with that
reason and the slice is chosen again without it; where the user does, it is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...hw.numeric import QType
from ..ir.graph import Graph
from ..load.source import Source
from ..map.fuse import unmappable
from ..quantise.insert import quantise
from .selection import Names, Selection, select
from .support import NodeSupport, import_all

_ANY_GRID = QType(8, True, 1.0)


@dataclass(frozen=True, eq=False)
class Plan:
    """The slice, and the verdict on every node of the model."""

    selection: Selection
    support: tuple[NodeSupport, ...]


def plan(
    source: Source,
    from_: Names | None = None,
    to: Names | None = None,
    *,
    calibrated: bool = False,
    support: Sequence[NodeSupport] | None = None,
) -> Plan:
    """The largest slice that can be built, or the one between the tensors that are named.

    Raises
    ------
    CutError
        As :func:`~.selection.select`.
    """
    verdicts = tuple(import_all(source) if support is None else support)
    while True:
        selection = select(source, verdicts, from_, to, calibrated=calibrated)
        if from_ is not None and to is not None:
            return Plan(selection, verdicts)
        found = _first_obstacle(selection.graph)
        if found is None:
            return Plan(selection, verdicts)
        sources, reason = set(found[0]), found[1]
        verdicts = tuple(
            verdict
            if sources.isdisjoint(verdict.sources)
            else replace(verdict, supported=False, reason=reason)
            for verdict in verdicts
        )


def _first_obstacle(graph: Graph) -> tuple[tuple[str, ...], str] | None:
    """ONNX nodes that cannot be mapped, and why. Any grid will do for that: no data is needed."""
    return unmappable(quantise(graph, lambda name: _ANY_GRID, _ANY_GRID.bits))
