# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire up``: a whole topology from one TOML file, as docs/running.md describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.console import Console, JsonFlag, counters_text
from ..client.tally import summary_text
from ..plan.topology import read_topology
from .supervisor import Supervisor


def up(
    topology: Annotated[Path, typer.Argument(help="Topology file.", metavar="TOML")],
    as_json: JsonFlag = False,
) -> None:
    """Start cloud, NIC and edge processes from one TOML file.

    With an [edge] table, ends when the edge has had all its answers; without, at Ctrl-C. The file:

    \b
        bundle = "digits.mw"       # paths are relative to the file
        [cloud]                    # each table takes the options of its command
        listen = "127.0.0.1:0"     # port 0: any free one
        [nic]                      # leave it out, and the edge talks to the cloud
        [edge]                     # leave it out, and send with `midwire edge`
        inputs = "heldout.npz"
        decline = [17]
    """
    console = Console(as_json)
    described = read_topology(topology)
    nodes = described.nodes
    failed = ready = False
    running = Supervisor(
        described.bundles,
        console,
        nic_bundles=described.nic_bundles,
        cloud=nodes.get("cloud", ()),
        nic=nodes.get("nic"),
    )
    try:
        with running:
            ready = True
            console.event(
                {"event": "ready", "node": "up", "target": running.target, "nodes": running.nodes},
                f"up: send to {running.target}; Ctrl-C stops everything",
            )
            if "edge" in nodes:
                failed = _follow(running, nodes["edge"], console)
            else:
                for name, event in running.events():
                    _relay(name, event or {}, console)
    finally:
        if ready:
            words = running.last_words
            lines = [_line(name, event) for name, event in words.items() if name != "edge"]
            console.event({"event": "stopped", "nodes": words}, "\n".join(lines))
    if failed:
        raise typer.Exit(1)


def _follow(running: Supervisor, options: Sequence[str], console: Console) -> bool:
    failed = False
    with console.progress() as progress:
        task = progress.add_task("inferences", total=None, note="")
        for name, event in running.edge(options):
            if name != "edge":
                _relay(name, event, console)
                continue
            text = ""
            if event.get("event") == "ready":
                progress.update(task, total=event["requests"])
            elif event.get("event") in ("reply", "failure"):
                progress.update(task, advance=1)
            elif event.get("event") == "done":
                failed = event["failed"] > 0
                text = f"edge: {summary_text(event)}"
            console.event({"node": "edge", **event}, text)
    return failed


def _relay(name: str, event: Mapping[str, Any], console: Console) -> None:
    """Show the statistics that nodes were asked for."""
    console.event({"node": name, **event}, _line(name, event))


def _line(name: str, event: Mapping[str, Any]) -> str:
    counters = {**event, **event.get("counters", {}), **event.get("pipeline", {})}
    return f"{name}: {counters_text(counters)}"
