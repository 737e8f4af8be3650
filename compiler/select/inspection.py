# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``midwire inspect`` says: support of every node, the largest slice, every cut."""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...hw.numeric import QType
from ..errors import CutError
from ..load.frontend import load_model
from ..load.shapes import Shapes
from ..load.source import Source
from .buildable import plan
from .cuts import Cut, Cuts, find_cuts
from .selection import Names, Selection
from .support import NodeSupport, estimate_macs, import_all

_SETS = 8
"""Cuts of several tensors that people are shown."""

_FLOAT_BITS = 8
"""Width that a float tensor gets at a cut by default, for the bytes of a cut."""


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

    Raises
    ------
    ModelError
        If the model cannot be loaded.
    CutError
        If ``from_`` or ``to`` is given and cannot be used.
    """
    source = load_model(path, shapes)
    support = import_all(source)
    cuts = find_cuts(source, support)
    selection: Selection | None = None
    largest = from_ is None or to is None
    facts: dict[str, Any] = {"inputs": [], "outputs": [], "macs_share": 0.0}
    try:
        chosen = plan(source, from_, to, support=support)
        selection, support = chosen.selection, chosen.support
        taken = {source.in_file(n).name for n in source.nodes if n.name in selection.middle}
        facts = {**selection.slice, "nodes": len(taken), "largest": largest}
    except CutError as error:
        if from_ is not None or to is not None:
            raise
        facts["reason"] = error.paragraph()
    nodes = _nodes(source, support, _parts(selection))
    return {
        "model": source.name,
        "path": os.fspath(source.path),
        "sha256": source.sha256,
        "opset": source.opset,
        "batch": source.batch,
        "quantised": cuts.quantised,
        "inputs": [_tensor(source, value.name) for value in source.inputs],
        "outputs": [_tensor(source, name) for name in source.outputs],
        "macs": cuts.macs,
        "supported": sum(node["supported"] for node in nodes),
        "nodes": nodes,
        "slice": facts,
        "cuts": [_cut(cuts, cut) for cut in cuts.cuts],
        "set_cuts": [_set_cut(cuts, cut) for cut in cuts.in_order if len(cut.tensors) > 1],
    }


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
    node that loading wrote out in several is supported if all of those are.
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
                "constant": verdict.constant and (before is None or before["constant"]),
                "macs": verdict.macs if name == heaviest else before["macs"] if before else 0,
                "part": parts.get(name, ""),
            }
    return [found[name] for name in dict.fromkeys(source.in_file(n).name for n in source.nodes)]


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
        "position": cut.position,
        "of": len(cuts.units),
        "usable": cut.legal,
        "bytes": _wire_bytes(cuts, name),
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
    return {
        "names": list(cut.tensors),
        "position": cut.position,
        "of": len(cuts.units),
        "usable": cut.legal,
        "bytes": sum(_wire_bytes(cuts, name) for name in cut.tensors),
    }


def render(report: Mapping[str, Any], width: int | None = None) -> str:
    """The report for people: what is not supported first, then the slice and the cuts.

    ``width`` is that of the terminal by default, 100 where there is none.
    """
    stream = io.StringIO()
    columns = width or shutil.get_terminal_size((100, 24)).columns
    Console(file=stream, width=columns).print(_tables(report))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _tables(report: Mapping[str, Any]) -> RenderableType:
    nodes: Sequence[Mapping[str, Any]] = report["nodes"]
    bad = [node for node in nodes if not node["supported"]]
    parts: list[RenderableType] = [_summary(report, len(bad))]
    if bad:
        parts.append(_unsupported(bad))
    parts.append(_slice(report))
    if report["cuts"]:
        parts.append(_cut_table(report))
    if any(cut["usable"] for cut in report["set_cuts"]):
        parts.append(_set_table(report))
    return Group(*parts)


def _summary(report: Mapping[str, Any], bad: int) -> Text:
    kind = "quantised" if report["quantised"] else "float"
    if report["batch"] > 1:
        kind = f"batch {report['batch']}, each sample an inference; {kind}"
    return Text(
        f"{report['model']}: {kind}, opset {report['opset']}, {len(report['nodes'])} nodes "
        f"({bad} not supported), {report['macs']:,} multiply-accumulates"
    )


def _unsupported(bad: Sequence[Mapping[str, Any]]) -> Table:
    """One line a reason: a model may have the same node fifty times."""
    table = Table(title="Not supported", title_justify="left", caption_justify="left")
    table.add_column("operator")
    table.add_column("nodes", overflow="fold")
    table.add_column("reason", overflow="fold")
    grouped: dict[tuple[str, str], list[str]] = {}
    for node in bad:
        kind = node["becomes"] or node["op"]
        grouped.setdefault((kind, node["reason"]), []).append(node["name"])
    for (kind, reason), names in grouped.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        brief, _, supported = reason.partition(" (supported: ")
        if supported:
            table.caption = f"Supported operators: {supported.rstrip(')')}"
        table.add_row(escape(kind), escape(", ".join(names[:3]) + more), escape(brief))
    return table


def _slice(report: Mapping[str, Any]) -> RenderableType:
    facts = report["slice"]
    if not facts["inputs"]:
        return Text("No slice: no supported nodes with multiply-accumulates lie between two cuts.")
    title = "Largest slice" if facts["largest"] else "Slice"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("from", escape(", ".join(facts["inputs"])))
    table.add_row("to", escape(", ".join(facts["outputs"])))
    table.add_row("nodes", str(facts["nodes"]))
    table.add_row("share of multiply-accumulates", f"{100 * facts['macs_share']:.1f} %")
    return table


def _cut_table(report: Mapping[str, Any]) -> Table:
    """Usable cuts; those that the slice lies between alone are marked."""
    table = Table(title="Tensors to cut at (--from, --to)", title_justify="left")
    table.add_column("")
    table.add_column("tensor", overflow="fold")  # names are there to be copied
    table.add_column("shape")
    table.add_column("type")
    table.add_column("bytes", justify="right")
    marks: dict[str, str] = {}
    for mark, names in (("to", report["slice"]["outputs"]), ("from", report["slice"]["inputs"])):
        if len(names) == 1:
            marks[names[0]] = mark
    for cut in report["cuts"]:
        if cut["usable"]:
            table.add_row(
                marks.get(cut["name"], ""),
                escape(cut["name"]),
                "x".join(str(size) for size in cut["shape"]),
                cut["dtype"],
                f"{cut['bytes']:,}",
            )
    return table


def _set_table(report: Mapping[str, Any]) -> Table:
    """Usable cuts of several tensors: those with the fewest bytes, in order."""
    usable = [cut for cut in report["set_cuts"] if cut["usable"]]
    shown = sorted(usable, key=lambda cut: (len(cut["names"]), cut["bytes"]))[:_SETS]
    shown.sort(key=lambda cut: int(cut["position"]))
    table = Table(
        title="Sets of tensors to cut at",
        title_justify="left",
        caption_justify="left",
    )
    if len(usable) > len(shown):
        table.caption = f"and {len(usable) - len(shown)} more; --json lists all of them"
    table.add_column("--from or --to", overflow="fold", min_width=16)
    table.add_column("bytes", justify="right")
    for cut in shown:
        table.add_row(escape(",".join(cut["names"])), f"{cut['bytes']:,}")
    return table
