# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A whole steering table as a TOML file, as docs/running.md describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...hw.errors import BundleError, DataError
from ...hw.formats.actions import ENTRIES
from ..toml_file import load_toml
from .steering_table import SteeringEntry
from .steering_text import ActionName, Key, lifetime_of, model_of, next_hop_of, regions_of

MOST_BYTES = 1 << 16
"""Of a file; a full table takes some 4 KiB."""


def _number(bits: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not 0 <= value < 1 << bits:
            raise ValueError(f"expected a number from 0 to {(1 << bits) - 1}; found {value!r}")
        return value

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text; found {value!r}")
    return value


def _action(value: Any) -> Any:
    names = [name.value for name in ActionName]
    if value not in names:
        raise ValueError(f"expected one of {', '.join(names)}; found {value!r}")
    return ActionName(value).action


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false; found {value!r}")
    return value


def _lifetime(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected seconds; found {value!r}")
    return lifetime_of(value)


_Reader = tuple[str, Callable[[Any], Any]]
"""The attribute of an entry, and what makes its value of that in the file."""


def _readers(folder: Path) -> dict[str, _Reader]:
    return {
        "tenant": ("tenant", _number(16)),
        "model": ("model_hash", lambda value: model_of(_text(value), folder)),
        "cursor": ("cursor", _number(8)),
        "action": ("action", _action),
        "next_hop": ("hop", lambda value: next_hop_of(_text(value))),
        "regions": ("regions", lambda value: regions_of(_text(value))),
        "must_encrypt": ("must_encrypt", _bool),
        "expires": ("lifetime_us", _lifetime),
    }


def read_table(path: Path, own: Key) -> list[SteeringEntry]:
    """Read the entries of a table, in their order; of the key, what a file leaves out is ``own``.

    Raises
    ------
    DataError
        If the file is no such file; names everything that is wrong with it.
    """
    data = load_toml(path, "docs/running.md shows one", MOST_BYTES)
    tables = data.pop("entry", [])
    problems = [f"{name} is no [[entry]]" for name in data]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append("entry is no list of tables: each begins with [[entry]]")
        tables = []
    if len(tables) > ENTRIES:
        problems.append(f"there are {len(tables)} entries, and a NIC has {ENTRIES} places")
    readers = _readers(path.parent)
    found = []
    for number, table in enumerate(tables):
        values, wrong = _values(table, readers)
        problems += [f"entry {number}: {problem}" for problem in wrong]
        if not wrong:
            found.append(SteeringEntry(**{**own._asdict(), **values}))
    if problems:
        raise DataError(
            f"{len(problems)} problem(s)",
            where=str(path),
            expected="the entries of a steering table, each in a table [[entry]]",
            found="; ".join(problems),
            remedy="Correct the file; nothing was changed",
        )
    return found


def _values(
    table: Mapping[str, Any], readers: Mapping[str, _Reader]
) -> tuple[dict[str, Any], list[str]]:
    """Attributes of an entry, and what is wrong with its table."""
    values: dict[str, Any] = {}
    wrong = [] if "action" in table else ["action is missing"]
    for name, value in table.items():
        if name not in readers:
            wrong.append(f"{name} is none of {', '.join(readers)}")
            continue
        attribute, read = readers[name]
        try:
            values[attribute] = read(value)
        except (ValueError, BundleError) as error:
            wrong.append(f"{name}: {str(error).rstrip('.')}")
    return values, wrong
