# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose the slice: what the user names, or the supported units between two cuts with most work.

Views at both ends belong to it, so a slice of a quantised model ends at a DequantizeLinear's output
rather than at the integers before it; where the model itself ends at integers, so does the slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import CutError, NoSliceError
from ..ir.graph import Graph, Node, Value, unused
from ..load.source import Source
from .cuts import Cut, Cuts, find_cuts
from .largest import largest_slice
from .named import listed, named_cut
from .support import NodeSupport

Names = str | Sequence[str]
"""Tensors of a cut: names separated by commas, a sequence of those, or both."""


@dataclass(frozen=True, eq=False)
class Selection:
    """A model in three parts.

    Attributes
    ----------
    graph : the slice
    macs_share : the slice's multiply-accumulates over the model's; 0 for a model that has none
    edge, middle, cloud : names of the live nodes of each part, in order; constants are not listed
    """

    graph: Graph
    macs_share: float
    edge: tuple[str, ...]
    middle: tuple[str, ...]
    cloud: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors of the first cut."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors of the second cut."""
        return self.graph.outputs

    @property
    def slice(self) -> dict[str, Any]:
        """The facts for JSON."""
        return {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "macs_share": self.macs_share,
        }


def select(
    source: Source,
    support: Sequence[NodeSupport],
    from_: Names | None = None,
    to: Names | None = None,
    *,
    calibrated: bool = False,
) -> Selection:
    """The slice between two cuts, or the largest one.

    Parameters
    ----------
    from_, to : the tensors to cut at; None leaves that end to midwire
    calibrated : whether calibration data can give a grid to a float tensor of a quantised model

    Raises
    ------
    CutError
        If the names do not name cuts in order, if a node between them is not supported, or if there
        is no slice worth the name.
    """
    cuts = find_cuts(source, support)
    given = [
        None if names is None else named_cut(cuts, option, names, calibrated=calibrated)
        for option, names in (("--from", from_), ("--to", to))
    ]
    start, end = given
    if start is not None and end is not None:
        _check_order(cuts, start, end)
        _check_supported(cuts, start, end)
        return between(cuts, start, end)
    return between(cuts, *_largest(cuts, start, end, calibrated))


def _ends(start: Cut | None, end: Cut | None) -> str:
    """The options that name these cuts."""
    given = (("--from", start), ("--to", end))
    return " ".join(
        f"{option} {', '.join(repr(name) for name in cut.tensors)}"
        for option, cut in given
        if cut is not None
    )


def _check_order(cuts: Cuts, start: Cut, end: Cut) -> None:
    where = _ends(start, end)
    if end.before == start.before:
        raise CutError(
            "nothing lies between --from and --to",
            where=where,
            expected="two different cuts",
            found="the same one twice",
            remedy="midwire inspect lists the cuts",
        )
    if end.before < start.before:
        raise CutError(
            "--to stands before --from",
            where=where,
            expected="tensors that are computed from the first ones",
            found="the reverse order",
            remedy="Exchange the two names",
        )
    if not start.before < end.before:
        only = start.before - end.before
        astray = [name for name in start.tensors if cuts.makers.get(name) in only]
        raise CutError(
            "--from and --to lie beside each other",
            where=where,
            expected="a second cut that has all of the first one before it",
            found=f"nodes that only the first one needs, for {listed([repr(n) for n in astray])}",
            remedy="Add to --to what is computed from those tensors, or cut earlier",
        )


def _check_supported(cuts: Cuts, start: Cut, end: Cut) -> None:
    inside = [cuts.units[index] for index in sorted(end.before - start.before)]
    bad = [verdict for verdict in inside if not verdict.supported]
    if bad:
        raise NoSliceError(
            f"{len(bad)} of {len(inside)} nodes between --from and --to are not supported",
            where=_ends(start, end),
            expected="supported nodes only",
            found=_reasons(bad),
            remedy="Choose a smaller slice; midwire inspect shows the largest supported one",
        )


def _largest(cuts: Cuts, start: Cut | None, end: Cut | None, calibrated: bool) -> tuple[Cut, Cut]:
    """The best pair of cuts, one end of which may be given."""
    found = largest_slice(cuts, start, end, calibrated=calibrated)
    if found is not None and (cuts.macs_between(*found) or not cuts.macs):
        return found
    bad = [unit for unit in cuts.units if not unit.supported]
    raise NoSliceError(
        "no slice with multiply-accumulates can be compiled",
        where=f"{cuts.source.name} {_ends(start, end)}".rstrip(),
        expected="supported nodes with work to do between two cuts",
        found=_reasons(bad) if bad else _idle(cuts, start, end),
        remedy="midwire inspect lists every node and every cut",
    )


def _idle(cuts: Cuts, start: Cut | None, end: Cut | None) -> str:
    """Why no pair of cuts has work between them, where every node is supported."""
    given = start or end
    if given is None:
        count = sum(cut.legal for cut in cuts.in_order)
        return f"{count} usable cut{'' if count == 1 else 's'}"
    place = "before" if start is None else "behind"
    those = "that tensor" if len(given.tensors) == 1 else "those tensors"
    return f"no multiply-accumulates {place} {those}"


def between(cuts: Cuts, start: Cut, end: Cut) -> Selection:
    """The model in three parts, at two cuts."""
    source = cuts.source
    parts: dict[str, list[NodeSupport]] = {"edge": [], "middle": [], "cloud": []}
    for index, unit in enumerate(cuts.units):
        part = "edge" if index in start.before else "middle" if index in end.before else "cloud"
        parts[part].append(unit)
    nodes = _nodes(parts["middle"])
    inner: dict[str, Value] = {}
    for unit in parts["middle"]:
        inner.update(unit.inner)
    tensors = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    tensors.update(start.tensors, end.tensors)
    borders = (*start.tensors, *end.tensors)
    graph = Graph(
        source.name,
        nodes,
        {name: inner.get(name) or source.values[name] for name in sorted(tensors)},
        start.tensors,
        end.tensors,
        {name: cuts.grids[name] for name in borders if name in cuts.grids},
    )
    share = sum(unit.macs for unit in parts["middle"]) / cuts.macs if cuts.macs else 0.0
    place = {node.name: index for index, node in enumerate(source.nodes)}
    names = {
        part: tuple(sorted((n for unit in units for n in unit.sources), key=place.__getitem__))
        for part, units in parts.items()
    }
    return Selection(
        graph=graph,
        macs_share=share,
        **names,
    )


def _nodes(units: Sequence[NodeSupport]) -> tuple[Node, ...]:
    """The nodes of units. The model's keep their names, which those that one became may clash
    with.
    """
    taken = {unit.name for unit in units}
    nodes: list[Node] = []
    for unit in units:
        for node in unit.nodes:
            name = node.name if node.name == unit.name else unused(node.name, taken)
            taken.add(name)
            nodes.append(replace(node, name=name))
    return tuple(nodes)


def _reasons(verdicts: Sequence[NodeSupport]) -> str:
    """Root causes, each with the nodes that have it, and how many nodes only follow from those.

    Without the list of what is supported, which stands once in what ``midwire inspect`` prints.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if not verdict.follows:
            names.setdefault((verdict.label, verdict.brief), []).append(repr(verdict.name))
    roots = [f"{label} {_few(same)}: {reason}" for (label, reason), same in names.items()]
    behind = sum(bool(verdict.follows) for verdict in verdicts)
    follow = "follows" if behind == 1 else "follow"
    those = "that" if len(roots) == 1 else "those"
    more = f"; {behind} more that only {follow} from {those}" if behind else ""
    return listed(roots, "; ") + more


def _few(names: Sequence[str]) -> str:
    """The first of several nodes with one and the same reason."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
