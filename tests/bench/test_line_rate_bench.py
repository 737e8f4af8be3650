# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``docs/line-rate.md`` says: that nothing was lost or kept waiting on any link."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which is no part of the package."""
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.line_rate")


def test_the_page_has_every_link_and_no_loss(bench: Any, root: Path) -> None:
    text = (root / "docs" / "line-rate.md").read_text(encoding="utf-8")
    assert text.startswith(bench.HEAD)
    assert bench.LATENCY in text and bench.FEWER in text
    rows = text[len(bench.HEAD) : text.index(bench.LATENCY)].splitlines()
    for link in bench.LINKS:
        traffics = bench.traffics(link, random.Random(1), 1)
        for traffic in traffics:
            (row,) = (row for row in rows if row.startswith(f"| {link} | {traffic} | "))
            number, lost, waited, executed, *others = map(int, row.split("|")[-7:-1])
            assert number > 0 and executed > 0 and sum(others) > 0
            assert (lost, waited) == (0, 0)
    assert len(rows) == 3 * len(bench.LINKS)


def test_nobody_who_is_not_ours_waits_for_more_than_12_cycles(bench: Any, root: Path) -> None:
    text = (root / "docs" / "line-rate.md").read_text(encoding="utf-8")
    rows = text[text.index(bench.LATENCY) : text.index(bench.FEWER)].splitlines()
    waited = {row.split("|")[1].strip(): row.split("|")[2].split()[-1] for row in rows[-4:]}
    assert list(waited) == ["64 bits", "128 bits", "256 bits", "512 bits"]
    assert all(int(cycles) <= 12 for cycles in waited.values())


def test_links_carry_what_they_say(bench: Any) -> None:
    slow, *_, fast, narrow = bench.LINKS
    assert (slow.rate, fast.rate, narrow.rate) == (800, 3879, 5000)
    assert narrow.bus_share(64) == narrow.bus_share(76) == fast.bus_share(65) == 1
    assert narrow.bus_share(65) == pytest.approx(0.89)
    assert narrow.bus_share(75) == pytest.approx(0.99)
