# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A steering table as a file."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from midwire.host.control.steering_file import MOST_BYTES, read_table
from midwire.host.control.steering_table import NextHop, SteeringEntry
from midwire.host.control.steering_text import NEXT_HOP, Key
from midwire.hw.errors import DataError
from midwire.hw.formats.actions import Action

from ..conftest import make_bundle

KEYS = "tenant, model, cursor, action, next_hop, regions, must_encrypt, expires"
OWN = Key(7, bytes(range(8)), 3)


def write(folder: Path, text: str) -> Path:
    path = folder / "table.toml"
    path.write_text(text, "utf-8")
    return path


def problems(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_table(path, OWN)
    assert caught.value.where == str(path) and not caught.value.usage
    return caught.value.found


def test_every_key(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "some.mw")
    text = """
    [[entry]]
    tenant = 9
    model = "some.mw"
    cursor = 1
    action = "redirect"
    next_hop = "02:00:00:00:00:09,10.0.0.9,5220"
    regions = "0,4-7"
    must_encrypt = true
    expires = 0.5

    [[entry]]
    action = "execute"
    """
    hop = NextHop(0x020000000009, 5220, ipaddress.IPv4Address("10.0.0.9"))
    assert read_table(write(tmp_path, text), OWN) == [
        SteeringEntry(9, bundle.model_hash, 1, Action.REDIRECT, hop, 0xF1, True, 500_000),
        SteeringEntry(*OWN, Action.EXECUTE),
    ]


@pytest.mark.parametrize("page", ["docs/running.md", "host/control/steering_command.py"])
def test_the_file_in_the_documentation(page: str, tmp_path: Path) -> None:
    text = Path(__file__).resolve().parents[3].joinpath(page).read_text("utf-8")
    begin = text.index("[[entry]]")
    lines = text[begin : text.index("it stays", begin)].splitlines()
    (entry,) = read_table(write(tmp_path, "\n".join(line.strip() for line in lines)), OWN)
    assert (entry.tenant, entry.cursor, entry.action) == (7, 0, Action.FORWARD)
    assert (entry.regions, entry.must_encrypt, entry.lifetime_us) == (0xF1, False, 30_000_000)


def test_an_empty_file_is_an_empty_table(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, ""), OWN) == []


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """
    table = 1
    [[entry]]
    action = "drop"
    tenant = 65536
    cursor = true
    model = 7
    must_encrypt = 1
    [[entry]]
    expires = "soon"
    regions = "16"
    next = "x"
    next_hop = "10.0.0.9"
    """
    assert problems(write(tmp_path, text)).split("; ") == [
        "table is no [[entry]]",
        "entry 0: action: expected one of execute, forward, redirect",
        "found 'drop'",
        "entry 0: tenant: expected a number from 0 to 65535",
        "found 65536",
        "entry 0: cursor: expected a number from 0 to 255",
        "found True",
        "entry 0: model: expected a text",
        "found 7",
        "entry 0: must_encrypt: expected true or false",
        "found 1",
        "entry 1: action is missing",
        "entry 1: expires: expected seconds",
        "found 'soon'",
        "entry 1: regions: expected any, none, or regions from 0 to 15, as in 0,4-7",
        "found '16'",
        f"entry 1: next is none of {KEYS}",
        f"entry 1: next_hop: expected {NEXT_HOP}",
        "found '10.0.0.9'",
    ]


def test_a_bundle_that_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / "some.mw").mkdir()
    path = write(tmp_path, '[[entry]]\naction = "execute"\nmodel = "some.mw"')
    assert "entry 0: model: " in problems(path) and "not a bundle" in problems(path)


@pytest.mark.parametrize("text", ["entry = 1", "entry = [1]", "[entry]\na = 1"])
def test_entries_are_tables(text: str, tmp_path: Path) -> None:
    said = "entry is no list of tables: each begins with [[entry]]"
    assert problems(write(tmp_path, text)) == said


def test_more_than_there_are_places(tmp_path: Path) -> None:
    path = write(tmp_path, 17 * '[[entry]]\naction = "execute"\n')
    assert problems(path) == "there are 17 entries, and a NIC has 16 places"


@pytest.mark.parametrize("text", ["[[entry", "x" * (MOST_BYTES + 1)])
def test_a_file_that_is_no_toml(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read; expected a TOML file"):
        read_table(write(tmp_path, text), OWN)


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(DataError) as caught:
            read_table(path, OWN)
        assert caught.value.usage
