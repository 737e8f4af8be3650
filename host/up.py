# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire up``: a whole topology from one TOML file.

::

    bundle = "digits.bundle"  # paths are relative to this file

    [cloud]  # every table takes the options of its command, as in --help
    listen = "127.0.0.1:0"  # 0: any free port; the others are told which

    [nic]  # leave it out, and the edge talks to the cloud
    listen = "127.0.0.1:0"

    [edge]  # leave it out, and the others run until Ctrl-C
    inputs = "heldout.npz"
    decline = [17]
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..hw.console import Console, JsonFlag
from ..hw.errors import DataError
from .topology import Topology

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
            remedy="`midwire up --help` shows where its form is described",
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

    With an [edge] table, ends when the edge has had all its answers; without, at Ctrl-C.
    """
    console = Console(as_json)
    bundle, nodes = read_topology(topology)
    failed = False
    with Topology(bundle, console, cloud=nodes.get("cloud", ()), nic=nodes.get("nic")) as running:
        console.event(
            {"event": "ready", "node": "up", "target": running.target, "nodes": running.nodes},
            f"up: send to {running.target}; Ctrl-C stops everything",
        )
        if "edge" in nodes:
            failed = _follow(running, nodes["edge"], console)
        else:
            while True:
                running.check()
                time.sleep(WATCH_SECONDS)
    console.event({"event": "stopped", "nodes": running.last_words})
    if failed:
        raise typer.Exit(1)


def _follow(running: Topology, options: Sequence[str], console: Console) -> bool:
    failed = False
    for event in running.edge(options):
        text = ""
        if event.get("event") == "done":
            failed = event["failed"] > 0
            by = event["executed_by"]
            text = (
                f"up: {event['replies']} replies ({by['nic']} slices executed in the NIC, "
                f"{by['cloud']} in the cloud), {event['failed']} errors"
            )
        console.event({"node": "edge", **event}, text)
    return failed
