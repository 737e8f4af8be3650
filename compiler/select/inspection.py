# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``midwire inspect`` finds: support of every node, slices to choose from, every cut."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...hw.formats.fragments import fragment_bytes
from ...hw.numeric import QType
from ..errors import CutError
from ..load.frontend import load_model
from ..load.shapes import Shapes
from ..load.source import Source
from .buildable import plan, settled
from .candidates import candidates
from .cuts import Cut, Cuts, find_cuts
from .indices import Indices
from .selection import Names, Selection, between
from .support import NodeSupport, estimate_macs, import_all

_FLOAT_BITS = 8
"""Width that a float tensor gets at a cut by default, for the bytes of a cut."""


@dataclass(frozen=True, eq=False)
class Inspected:
    """What :func:`inspect_model` gives, and the slice that it is about, if there is one."""

    facts: dict[str, Any]
    selection: Selection | None


def inspect_model(
    path: str | os.PathLike[str],
    from_: Names | None = None,
    to: Names | None = None,
    shapes: Shapes | None = None,
) -> dict[str, Any]:
    """Everything about a model that matters for cutting it, as JSON values.

    A model without a slice is a result, not an error: ``slice`` then has empty lists and a
    ``reason``; else ``largest`` says whether midwire chose one of its ends, or both. Names that do
    not name cuts are errors all the same. ``shapes`` are those of inputs with open dimensions.
    ``candidates`` are slices to choose from (:mod:`.candidates`), that one first. A cut's ``index``
    names it in ``--from`` and ``--to``; it is None where the model's own order of nodes does not go
    through a cut. ``calibrated`` is the larger slice that ``--calibrate`` would give a quantised
    model some of whose tensors have no range, else None.

    Raises
    ------
    ModelError
        If the model cannot be loaded.
    CutError
        If ``from_`` or ``to`` is given and cannot be used.
    """
    return inspected(path, from_, to, shapes).facts


def inspected(
    path: str | os.PathLike[str],
    from_: Names | None = None,
    to: Names | None = None,
    shapes: Shapes | None = None,
) -> Inspected:
    """As :func:`inspect_model`, for whoever has more to say about the slice."""
    source = load_model(path, shapes)
    support = imported = import_all(source)
    cuts = find_cuts(source, support)
    selection: Selection | None = None
    largest = from_ is None or to is None
    offered: list[dict[str, Any]] = []
    facts: dict[str, Any] = {"inputs": [], "outputs": [], "macs_share": 0.0}
    try:
        chosen = plan(source, from_, to, support=support)
        selection, support = chosen.selection, chosen.support
        taken = {source.in_file(n).name for n in source.nodes if n.name in selection.middle}
        facts = {**selection.slice, "nodes": len(taken), "largest": largest}
        cuts = find_cuts(source, support)
        offered = _candidates(cuts, selection, (from_ is not None, to is not None))
    except CutError as error:
        if from_ is not None or to is not None:
            raise
        facts["reason"] = error.paragraph()
        support = error.support
    nodes = _nodes(source, support, _parts(selection))
    calibrated = None
    if cuts.quantised and largest:
        calibrated = _calibrated(source, from_, to, imported, facts["macs_share"])
    found = {
        "model": source.name,
        "path": os.fspath(source.path),
        "sha256": source.sha256,
        "opset": source.opset,
        "batch": source.batch,
        "batch_obstacle": source.batch_obstacle,
        "quantised": cuts.quantised,
        "inputs": [_tensor(source, value.name) for value in source.inputs],
        "outputs": [_tensor(source, name) for name in source.outputs],
        "macs": cuts.macs,
        "supported": sum(node["supported"] for node in nodes),
        "nodes": nodes,
        "slice": facts,
        "calibrated": calibrated,
        "candidates": offered,
        "cuts": [_cut(cuts, cut) for cut in cuts.cuts],
        "set_cuts": [_set_cut(cuts, cut) for cut in cuts.in_order if len(cut.tensors) > 1],
    }
    return Inspected(found, selection)


def _calibrated(
    source: Source,
    from_: Names | None,
    to: Names | None,
    support: Sequence[NodeSupport],
    share: float,
) -> dict[str, Any] | None:
    """The slice where samples give a grid to what has none, if it has more work than a share of all
    multiply-accumulates.
    """
    try:
        found = plan(source, from_, to, calibrated=True, support=support).selection.slice
    except CutError:
        return None
    return dict(found) if found["macs_share"] > share else None


def _parts(selection: Selection | None) -> dict[str, str]:
    """The part that each node lies in."""
    if selection is None:
        return {}
    parts = dict.fromkeys(selection.edge, "edge")
    parts.update(dict.fromkeys(selection.middle, "slice"))
    parts.update(dict.fromkeys(selection.cloud, "cloud"))
    return parts


def _nodes(
    source: Source, support: Sequence[NodeSupport], parts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Each node of the file, with the verdict of the operator that it became part of.

    The multiply-accumulates of a spelled-out operator stand at the node that has most of them. A
    node that loading wrote out in several has those of all, and is supported if all of those are.
    ``follows`` is the node whose refusal leads to this one; it is empty for a root cause.
    """
    found: dict[str, dict[str, Any]] = {}
    by_name = {node.name: node for node in source.nodes}
    for verdict in support:
        heaviest = max(reversed(verdict.sources), key=lambda n: estimate_macs(source, by_name[n]))
        for name in verdict.sources:
            written = source.in_file(by_name[name])
            before = found.get(written.name)
            found[written.name] = {
                "name": written.name,
                "op": written.kind,
                "becomes": verdict.label if verdict.in_file > 1 else verdict.part_of,
                "supported": verdict.supported and (before is None or before["supported"]),
                "reason": (before["reason"] if before else "") or verdict.reason,
                "follows": (before["follows"] if before else "")
                or (source.in_file(by_name[verdict.follows]).name if verdict.follows else ""),
                "constant": verdict.constant and (before is None or before["constant"]),
                "macs": (before["macs"] if before else 0)
                + (verdict.macs if name == heaviest else 0),
                "part": parts.get(name, ""),
            }
    return [found[name] for name in dict.fromkeys(source.in_file(n).name for n in source.nodes)]


def _candidates(cuts: Cuts, selection: Selection, given: tuple[bool, bool]) -> list[dict[str, Any]]:
    """Slices to choose from, and what each leaves at the edge and in the cloud."""
    start, end = (cuts.cut(cuts.before(side)) for side in (selection.inputs, selection.outputs))

    def size(cut: Cut) -> int:
        return sum(_wire_bytes(cuts, name) for name in cut.tensors)

    def buildable(first: Cut, second: Cut) -> bool:
        return settled(between(cuts, first, second).graph, False)[1] is None

    return [
        {
            "why": found.why,
            "from": _index(cuts, found.start),
            "to": _index(cuts, found.end),
            "inputs": list(found.start.tensors),
            "outputs": list(found.end.tensors),
            "bytes_in": size(found.start),
            "bytes_out": size(found.end),
            **_work(cuts, "macs", found.end.before - found.start.before),
            **_work(cuts, "edge_macs", found.start.before),
            **_work(cuts, "cloud_macs", Indices.below(len(cuts.units)) - found.end.before),
        }
        for found in candidates(cuts, (start, end), given, size, buildable)
    ]


def _work(cuts: Cuts, key: str, indices: Indices) -> dict[str, Any]:
    """Multiply-accumulates of units, and their share of the model's."""
    macs = cuts.macs_of(indices)
    return {key: macs, f"{key}_share": macs / cuts.macs if cuts.macs else 0.0}


def _index(cuts: Cuts, cut: Cut) -> str | None:
    """What names a cut in ``--from`` and ``--to``."""
    known = any(other.before == cut.before for other in cuts.in_order)
    return f"@{cut.position}" if known else None


def _place(cuts: Cuts, cut: Cut) -> dict[str, Any]:
    """Where a cut is, and what it costs."""
    sizes = [_wire_bytes(cuts, name) for name in cut.tensors]
    return {
        "index": f"@{cut.position}",
        "position": cut.position,
        "of": len(cuts.units),
        "usable": cut.legal,
        "bytes": sum(sizes),
        "datagrams": sum(-(-size // fragment_bytes()) for size in sizes),
        **_work(cuts, "macs_before", cut.before),
    }


def _tensor(source: Source, name: str) -> dict[str, Any]:
    value = source.values.get(name)
    return {
        "name": name,
        "shape": None if value is None else list(value.shape),
        "dtype": None if value is None else value.dtype,
    }


def _wire_bytes(cuts: Cuts, name: str) -> int:
    """Bytes of one tensor on the wire; a float tensor takes its default width."""
    value = cuts.source.values.get(name)
    width = cuts.grids.get(name) or QType(_FLOAT_BITS, True, 1.0)
    return 0 if value is None else math.prod(value.shape) * width.container_bytes


def _cut(cuts: Cuts, cut: Cut) -> dict[str, Any]:
    """A cut of one tensor."""
    (name,) = cut.tensors
    grid = cuts.grids.get(name)
    return {
        **_tensor(cuts.source, name),
        **_place(cuts, cut),
        "grid": None
        if grid is None
        else {
            "bits": grid.bits,
            "signed": grid.signed,
            "scale": grid.scale,
            "zero_point": grid.zero_point,
        },
    }


def _set_cut(cuts: Cuts, cut: Cut) -> dict[str, Any]:
    """A cut of several tensors."""
    return {"names": list(cut.tensors), **_place(cuts, cut)}
