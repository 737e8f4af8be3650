# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame costs in the loop: that it is measured, not how much it is."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ..host.nodes.namespaces import connected


def test_every_load_goes_by_every_relay(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connected().close()  # skips where there can be none
    monkeypatch.syspath_prepend(str(root))
    relay = importlib.import_module("bench.relay.__main__")
    assert relay.main(["--count", "1000"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    for name in ("--wire", "kernel's bridge", "UDP"):
        found = [row.split(" | ") for row in rows if row.startswith(f"| {name} ")]
        assert [row[1] for row in found] == list(relay.LOADS)
        assert all(row[2] != "0.0%" for row in found)
