# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire up``: a whole topology from one TOML file, as docs/running.md describes it."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.console import Console, JsonFlag, counters_text
from ...hw.errors import DataError
from ..client.tally import summary_text
from ..plan.topology import Topology

WATCH_SECONDS = 0.5

OPTIONS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "cloud": {"listen": str, "slots": int, "timeout": (int, float), "threads": int},
    "nic": {"listen": str, "tenant": int, "stats": (int, float)},
    "edge": {
        "inputs": Path,
        "output": Path,
        "random": int,
        "seed": int,
        "count": int,
        "decline": list,
        "deadline": (int, float),
        "retries": int,
        "window": int,
        "tenant": int,
        "bind": str,
        "mtu": int,
    },
}
"""Keys of each table and what they hold; they become the options of the commands."""


def read_topology(path: Path) -> tuple[Path, dict[str, list[str]]]:
    """Read a topology file: the bundle, and the options of each node that it names.

    Raises
    ------
    DataError
        If the file is not such a file; names everything that is wrong with it.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            "cannot be read",
            where=str(path),
            expected="a TOML file",
            found=str(error),
            remedy="`midwire up --help` shows one",
        ) from error
    problems: list[str] = []
    bundle = data.pop("bundle", None)
    if not isinstance(bundle, str):
        problems.append('bundle = "FOLDER" is missing')
    for name in data:
        if name not in OPTIONS:
            problems.append(f"[{name}] is none of {', '.join(OPTIONS)}")
    nodes: dict[str, list[str]] = {}
    for name, known in OPTIONS.items():
        table = data.get(name)
        if table is None:
            continue
        if not isinstance(table, dict):
            problems.append(f"{name} is not a table")
            continue
        nodes[name] = _options(name, table, known, path.parent, problems)
    if problems:
        raise DataError(
            f"{len(problems)} problem(s)",
            where=str(path),
            expected="a bundle, and the tables cloud, nic and edge",
            found="; ".join(problems),
            remedy="Correct the file",
        )
    return path.parent / str(bundle), nodes


def _options(
    name: str,
    table: Mapping[str, Any],
    known: Mapping[str, type | tuple[type, ...]],
    folder: Path,
    problems: list[str],
) -> list[str]:
    words: list[str] = []
    for key, value in table.items():
        kind = known.get(key)
        if kind is None:
            problems.append(f"[{name}] {key} is none of {', '.join(known)}")
        elif kind is list:
            if isinstance(value, list) and all(type(item) is int for item in value):
                words += [word for item in value for word in (f"--{key}", str(item))]
            else:
                problems.append(f"[{name}] {key} = {value!r} is not a list of numbers")
        elif isinstance(value, bool) or not isinstance(value, str if kind is Path else kind):
            problems.append(f"[{name}] {key} = {value!r} is of the wrong type")
        else:
            words += [f"--{key}", str(folder / str(value)) if kind is Path else str(value)]
    return words


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
    bundle, nodes = read_topology(topology)
    failed = ready = False
    running = Topology(bundle, console, cloud=nodes.get("cloud", ()), nic=nodes.get("nic"))
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
                while True:
                    _relay(running, console)
                    running.check()
                    time.sleep(WATCH_SECONDS)
    finally:
        if ready:
            words = running.last_words
            lines = [_line(name, event) for name, event in words.items() if name != "edge"]
            console.event({"event": "stopped", "nodes": words}, "\n".join(lines))
    if failed:
        raise typer.Exit(1)


def _follow(running: Topology, options: Sequence[str], console: Console) -> bool:
    failed = False
    with console.progress() as progress:
        task = progress.add_task("inferences", total=None, note="")
        for event in running.edge(options):
            _relay(running, console)
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


def _relay(running: Topology, console: Console) -> None:
    """Show the statistics that nodes were asked for."""
    for name, event in running.events():
        console.event({"node": name, **event}, _line(name, event))


def _line(name: str, event: Mapping[str, Any]) -> str:
    counters = {**event, **event.get("counters", {}), **event.get("pipeline", {})}
    return f"{name}: {counters_text(counters)}"
