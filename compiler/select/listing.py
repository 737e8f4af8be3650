# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``midwire inspect`` found, as tables for people.

Long names are shortened, because ``@N`` names a cut as well and is what one copies; where a cut has
no such number, its names are whole. In an encoding without lines, tables are drawn in ASCII.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...hw.console import visible

_SETS = 8
"""Cuts of several tensors that people are shown."""

_LETTERS = 44
"""Of a name that is shortened."""


def render(report: Mapping[str, Any], width: int | None = None, encoding: str = "utf-8") -> str:
    """The report for people: what is not supported first, then slices, layers and cuts.

    ``width`` is that of the terminal by default, 100 where there is none. What ``encoding`` does
    not have is drawn, or written as an escape, in what it has.
    """
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, errors="backslashreplace", newline="\n")
    columns = width or shutil.get_terminal_size((100, 24)).columns
    Console(file=stream, width=columns).print(_tables(report))
    stream.flush()
    text = raw.getvalue().decode(encoding)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _short(name: str) -> str:
    """A name, the middle of a long one left out; nothing of it is a command to the terminal."""
    name = visible(name)
    if len(name) <= _LETTERS:
        return escape(name)
    kept = (_LETTERS - 3) // 2
    return escape(f"{name[:kept]}...{name[-kept:]}")


def _shorts(names: Sequence[str]) -> str:
    """The first few names."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(_short(name) for name in names[:3]) + more


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _tables(report: Mapping[str, Any]) -> RenderableType:
    nodes: Sequence[Mapping[str, Any]] = report["nodes"]
    bad = [node for node in nodes if not node["supported"]]
    parts: list[RenderableType] = [_summary(report, len(bad))]
    if bad:
        parts.append(_unsupported(bad))
    parts.append(_slices(report))
    if any(node["macs"] for node in nodes):
        parts.append(_layers(report))
    if "pareto" in report:
        parts.append(_rates(report["pareto"]))
    if report["cuts"]:
        parts.append(_cut_table(report))
    if any(cut["usable"] for cut in report["set_cuts"]):
        parts.append(_set_table(report))
    return Group(*parts)


def _summary(report: Mapping[str, Any], bad: int) -> Text:
    kind = "quantised" if report["quantised"] else "float"
    if report["batch"] > 1:
        kind = f"batch {report['batch']}, each sample an inference; {kind}"
    name = visible(report["model"])
    whole = report["batch_obstacle"]
    return Text(
        f"{name}: {kind}, opset {report['opset']}, {len(report['nodes'])} nodes "
        f"({bad} not supported), {report['macs']:,} multiply-accumulates"
        + (f"\nAn inference takes the whole batch: {visible(whole)}." if whole else "")
    )


def _unsupported(bad: Sequence[Mapping[str, Any]]) -> Table:
    """Root causes, a line for each reason (a model may have the same node fifty times); then what
    only follows from them.
    """
    table = Table(title="Not supported", title_justify="left", caption_justify="left")
    table.add_column("operator")
    table.add_column("nodes", overflow="fold")
    table.add_column("reason", overflow="fold")
    grouped: dict[tuple[str, str], list[str]] = {}
    behind: dict[str, list[str]] = {}
    for node in bad:
        if node["follows"]:
            behind.setdefault(node["follows"], []).append(node["name"])
        else:
            kind = node["becomes"] or node["op"]
            grouped.setdefault((kind, node["reason"]), []).append(node["name"])
    for (kind, reason), names in grouped.items():
        brief, _, supported = reason.partition(" (supported: ")
        if supported:
            table.caption = f"Supported operators: {supported.rstrip(')')}"
        table.add_row(escape(visible(kind)), _shorts(names), escape(visible(brief)))
    for root, names in behind.items():
        table.add_row("", _shorts(names), f"only because of {_short(root)}")
    return table


def _slices(report: Mapping[str, Any]) -> RenderableType:
    """Slices to choose from, and what each leaves to others."""
    further = _with_calibration(report)
    if not report["candidates"]:
        none = "No slice: no supported nodes with multiply-accumulates lie between two cuts."
        return Text(none + further)
    title = "Largest slice, and others" if report["slice"]["largest"] else "Slice"
    table = Table(title=title, title_justify="left", caption_justify="left", show_lines=True)
    caption = "In percent of the multiply-accumulates; bytes as they are on the wire."
    table.caption = escape(caption + further)
    for column in ("--from", "--to"):
        table.add_column(column, overflow="fold")
    for column in ("slice", "edge", "cloud", "bytes in", "out"):
        table.add_column(column, justify="right")
    table.add_column("what for")
    for found in report["candidates"]:
        table.add_row(
            _end(found["from"], found["inputs"]),
            _end(found["to"], found["outputs"]),
            *(_percent(found[f"{key}_share"]) for key in ("macs", "edge_macs", "cloud_macs")),
            f"{found['bytes_in']:,}",
            f"{found['bytes_out']:,}",
            found["why"],
        )
    return table


def _with_calibration(report: Mapping[str, Any]) -> str:
    """What a quantised model leaves outside only for want of a range, on a line of its own."""
    larger = report["calibrated"]
    if larger is None:
        return ""
    start, end = (visible(",".join(larger[side])) for side in ("inputs", "outputs"))
    return (
        "\nFloat tensors of this quantised model keep work outside, for nothing gives their range. "
        f"midwire compile --calibrate SAMPLES does: {_percent(larger['macs_share'])} of the "
        f"multiply-accumulates are in the slice then, from {start} to {end}."
    )


def _end(index: str | None, names: Sequence[str]) -> str:
    """A cut as one gives it to an option, then what it is."""
    return escape(visible(",".join(names))) if index is None else f"{index}\n{_shorts(names)}"


def _layers(report: Mapping[str, Any]) -> Table:
    """The nodes with work to do, in order."""
    table = Table(title="Layers", title_justify="left")
    table.add_column("node", overflow="fold")
    table.add_column("operator")
    table.add_column("multiply-accumulates", justify="right")
    table.add_column("share", justify="right")
    table.add_column("where")
    total = max(1, report["macs"])
    for node in report["nodes"]:
        if node["macs"]:
            table.add_row(
                _short(node["name"]),
                escape(visible(node["op"])),
                f"{node['macs']:,}",
                _percent(node["macs"] / total),
                (node["part"] or "unused") if node["supported"] else "not supported",
            )
    return table


_KINDS = {"lut": "LUT", "lutram": "LUT memory", "ff": "FF", "dsp": "DSP", "bram": "BRAM 18k"}


def _rates(front: Mapping[str, Any]) -> Table:
    """What the slice costs at different rates."""
    table = Table(title="Rates (compile --rate)", title_justify="left", caption_justify="left")
    table.caption = (
        f"Estimated for layers alone, at {front['clock_mhz']:g} MHz; lane adapters and FIFOs come "
        "on top."
    )
    if front["assumed"]:
        table.caption += " Grids of 8 bits stand for those that calibration will give."
    for column in ("cycles", "a second", *_KINDS.values(), f"fits {front['device']}"):
        table.add_column(column, justify="right")
    for point in front["points"]:
        rate = point["per_second"]
        table.add_row(
            f"{point['interval']:,}",
            f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}",
            *(f"{point[kind]:,}" for kind in _KINDS),
            "yes" if point["fits"] else "no",
        )
    return table


def _cut_table(report: Mapping[str, Any]) -> Table:
    """Usable cuts; those that the slice lies between alone are marked."""
    table = Table(title="Tensors to cut at (--from, --to)", title_justify="left")
    table.add_column("cut", no_wrap=True)
    table.add_column("")
    table.add_column("tensor", overflow="fold")
    table.add_column("shape")
    table.add_column("type")
    _add_costs(table)
    marks: dict[str, str] = {}
    for mark, names in (("to", report["slice"]["outputs"]), ("from", report["slice"]["inputs"])):
        if len(names) == 1:
            marks[names[0]] = mark
    for cut in report["cuts"]:
        if cut["usable"]:
            shape = "x".join(str(size) for size in cut["shape"])
            mark, name = marks.get(cut["name"], ""), _short(cut["name"])
            table.add_row(cut["index"], mark, name, shape, cut["dtype"], *_costs(cut))
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
    table.add_column("cut", no_wrap=True)
    table.add_column("tensors", overflow="fold", min_width=16)
    _add_costs(table)
    for cut in shown:
        names = ",".join(_short(name) for name in cut["names"])
        table.add_row(cut["index"], names, *_costs(cut))
    return table


def _add_costs(table: Table) -> None:
    for column in ("bytes", "packets", "work before"):
        table.add_column(column, justify="right")


def _costs(cut: Mapping[str, Any]) -> tuple[str, str, str]:
    """Bytes on the wire, datagrams, and the share of the work that is done before the cut."""
    return f"{cut['bytes']:,}", f"{cut['datagrams']:,}", _percent(cut["macs_before_share"])
