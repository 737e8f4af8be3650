# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose a slice that can be built: selection knows single nodes, only fusing knows how they meet.

A node may be supported by itself and still not fit its neighbours (a factor a row behind a pool,
whose channels lie innermost; an unrounded result with two readers; a float tensor in a quantised
model that is compiled without data). Where a grid between the two helps, and midwire places grids,
there is one. Else, where midwire chooses the slice, such a node is marked with that reason and the
slice is chosen again without it; where the user does, it is an error.

That ends: every round takes at least one supported node away, or gives one more value a grid, and
there are finitely many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...hw.numeric import QType
from ..errors import CompilerBug, CutError
from ..ir.graph import Graph
from ..load.source import Source
from ..map.fuse import Obstacle, unmappable
from ..quantise.insert import missing_grids, quantise
from ..quantise.pooled import before_pools
from .selection import Names, Selection, select
from .support import NodeSupport, import_all

_ANY_BITS = 8


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
    CompilerBug
        If no supported node of the model is to blame for what cannot be built, so that choosing
        again would choose the same.
    """
    verdicts = tuple(import_all(source) if support is None else support)
    while True:
        try:
            selection = select(source, verdicts, from_, to, calibrated=calibrated)
        except CutError as error:
            error.support = verdicts
            raise
        # Between two ends that the user named, what lacks a grid is told with its tensors, later.
        both = from_ is not None and to is not None
        graph, found = settled(selection.graph, calibrated or both)
        selection = replace(selection, graph=graph)
        if found is None:
            return Plan(selection, verdicts)
        sources, reason = set(found.sources), found.reason
        if not any(v.supported and not sources.isdisjoint(v.sources) for v in verdicts):
            named = ", ".join(map(repr, found.sources)) or "without a source"
            raise CompilerBug(
                f"node {named} cannot be built and is no supported node of the model, so that no "
                f"slice is without it: {reason}"
            )
        verdicts = tuple(
            verdict
            if sources.isdisjoint(verdict.sources)
            else replace(verdict, supported=False, reason=reason)
            for verdict in verdicts
        )


def settled(graph: Graph, calibrated: bool) -> tuple[Graph, Obstacle | None]:
    """The graph with functions before their pools, as many values ``apart`` as help, and the first
    nodes that cannot be mapped even so. Any grids will do: no data is needed.
    """
    graph = before_pools(graph)
    own = bool(graph.given) or any(node.op.grid is not None for node in graph.nodes)
    while True:
        if graph.given and not calibrated and (lacking := _without_grid(graph)) is not None:
            return graph, lacking
        found = _obstacle(graph)
        if found is None or found.apart in {"", *graph.apart} or (own and not calibrated):
            return graph, found
        graph = replace(graph, apart=graph.apart | {found.apart})


def _obstacle(graph: Graph) -> Obstacle | None:
    """The first node that cannot be mapped with one grid for all values, or with one for each.

    Data may give both: scales that are powers of two are often the same. Tensors of one grid meet
    in any order (Concat), those of several have an axis innermost, and what follows fits either.
    """
    places = {name: place for place, name in enumerate(graph.values)}
    same = QType(_ANY_BITS, True, 1.0)

    def own(name: str) -> QType:
        return QType(_ANY_BITS, True, 1 + places[name] / (1 << 16))

    found = unmappable(quantise(graph, lambda name: same, _ANY_BITS))
    return found or unmappable(quantise(graph, own, _ANY_BITS))


def _without_grid(graph: Graph) -> Obstacle | None:
    """Who reads or makes the first tensor that only data gives a grid; or has weights that lose
    something by one, which only data measures.
    """
    for name in missing_grids(graph):
        readers = graph.consumers(name)
        node = readers[0] if readers else graph.producer(name)
        if node is not None:  # what passes through the slice is nobody's fault
            return Obstacle(
                node.sources,
                f"expected quantised tensors, found the float tensor {name!r}, which only "
                "--calibrate gives a grid",
            )
    for node in graph.nodes:
        if node.op.loses(_ANY_BITS):
            return Obstacle(
                node.sources,
                "expected quantised weights, found real ones, which only --calibrate gives a grid: "
                "it measures what that loses",
            )
    return None
