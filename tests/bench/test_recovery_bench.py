# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What loss leaves of the rate: that it is measured, not how much it is."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def recovery(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which is no part of the package."""
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.recovery")


def test_every_answer_is_right_and_the_share_is_printed(
    recovery: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--requests", "20", "--rounds", "2", "--lose", "5", "--swap", "20", "--json"]
    assert recovery.main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    for kind in ("clean", "disorder"):
        assert facts[kind]["requests"] == facts[kind]["counters"]["replied"] == 40
        assert facts[kind]["wrong"] == facts[kind]["failed"] == 0
    assert facts["disorder"]["counters"]["fragments_resent"] > 0
    rounds = [facts[kind]["per_second_by_round"] for kind in ("clean", "disorder")]
    shares = [after / before for before, after in zip(*rounds, strict=True)]
    assert facts["share_of_clean_rate"] == pytest.approx(sum(shares) / 2)  # the median of two
    assert facts["disorder"]["asked"] >= facts["clean"]["asked"]
    for kind in ("clean", "disorder"):
        assert facts[kind]["cloud"]["by_cloud"] >= 40
