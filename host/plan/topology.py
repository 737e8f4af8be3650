# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Topology files: which nodes there are, with which options, as docs/running.md describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...hw.errors import DataError
from ...hw.formats.csr import MAX_CORES
from ..toml_file import load_toml


class ListOf(NamedTuple):
    """A list of values; the option is given once for each."""

    of: type
    name: str


OPTIONS: Mapping[str, Mapping[str, type | tuple[type, ...] | ListOf]] = {
    "cloud": {"listen": str, "slots": int, "timeout": (int, float), "threads": int},
    "nic": {
        "listen": str,
        "tenant": int,
        "stats": (int, float),
        "datapath": str,
        "instances": int,
        "control": Path,
        "peer": ListOf(str, "texts"),
    },
    "edge": {
        "inputs": Path,
        "output": Path,
        "random": int,
        "seed": int,
        "count": int,
        "decline": ListOf(int, "numbers"),
        "deadline": (int, float),
        "retries": int,
        "window": int,
        "tenant": int,
        "bind": str,
        "mtu": int,
    },
}
"""Keys of each table and what they hold; they become the options of the commands."""


@dataclass(frozen=True)
class Topology:
    """What a topology file says.

    Attributes
    ----------
    bundles : the cloud serves them all; the edge runs the first
    nodes : options of each node that is there, as words of its command
    nic_bundles : whose slices the NIC executes, side by side; the cloud serves each
    """

    bundles: tuple[Path, ...]
    nodes: Mapping[str, list[str]]
    nic_bundles: tuple[Path, ...]


def read_topology(path: Path) -> Topology:
    """Read a topology file.

    Raises
    ------
    DataError
        If the file is not such a file; names everything that is wrong with it.
    """
    data = load_toml(path, "`midwire up --help` shows one")
    problems: list[str] = []
    bundles = _bundles(data)
    if not bundles:
        problems.append('bundle = "FOLDER" is missing')
    for name in data:
        if name not in OPTIONS:
            problems.append(f"[{name}] is none of {', '.join(OPTIONS)}")
    nic_bundles = _bundles_of_nic(data.get("nic"), bundles, problems)
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
    found, of_nic = (
        tuple(path.parent / item for item in items) for items in (bundles, nic_bundles)
    )
    return Topology(found, nodes, of_nic)


def _bundles(table: dict[str, Any]) -> list[str]:
    """Take those that a table names out of it; none where that is no list of texts."""
    bundle = table.pop("bundle", None)
    found = bundle if isinstance(bundle, list) else [bundle]
    return found if all(isinstance(item, str) for item in found) else []


def _bundles_of_nic(table: object, bundles: list[str], problems: list[str]) -> list[str]:
    """Take what the table of the NIC names; all of the cloud's where it names nothing."""
    found = bundles
    if isinstance(table, dict) and "bundle" in table:
        found = _bundles(table)
        if not found or not set(found) <= set(bundles):
            problems.append("[nic] bundle is not one of the cloud's, or several of them")
    if table is not None and len(found) > MAX_CORES:
        problems.append(f"[nic] has {len(found)} bundles: `bundle` names {MAX_CORES} at most")
    return found


def _options(
    name: str,
    table: Mapping[str, Any],
    known: Mapping[str, type | tuple[type, ...] | ListOf],
    folder: Path,
    problems: list[str],
) -> list[str]:
    words: list[str] = []
    for key, value in table.items():
        kind = known.get(key)
        if kind is None:
            problems.append(f"[{name}] {key} is none of {', '.join(known)}")
        elif isinstance(kind, ListOf):
            if isinstance(value, list) and all(type(item) is kind.of for item in value):
                words += [word for item in value for word in (f"--{key}", str(item))]
            else:
                problems.append(f"[{name}] {key} = {value!r} is not a list of {kind.name}")
        elif isinstance(value, bool) or not isinstance(value, str if kind is Path else kind):
            problems.append(f"[{name}] {key} = {value!r} is of the wrong type")
        else:
            words += [f"--{key}", str(folder / str(value)) if kind is Path else str(value)]
    return words
