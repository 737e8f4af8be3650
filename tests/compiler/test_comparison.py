# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a slice costs at different rates, as inspect says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.compiler.comparison import compare_rates
from midwire.compiler.ir.graph import Graph
from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Source
from midwire.compiler.select.inspection import inspected
from midwire.host import cli

NET = """
g (float[N, 4, 6, 6] x) => (float[N, 4, 6, 6] y)
<float[4, 4, 3, 3] w = {W}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  y = Relu (a) }
""".replace("{W}", "{" + ", ".join(["0.5", "-1"] * 72) + "}")


@pytest.fixture
def model(model_file: Callable[..., Path]) -> Path:
    return model_file(NET)


def slice_of(model: Path) -> Graph:
    selection = inspected(model).selection
    assert selection is not None
    return selection.graph


def test_points_get_slower_and_cheaper(model: Path) -> None:
    found = compare_rates(slice_of(model), part="ecp5-25f")
    points = found["points"]
    assert (found["target"], found["device"], found["assumed"]) == ("ecp5", "ecp5-25f", True)
    assert points[0]["interval"] == 36  # a pixel a cycle
    assert [point["per_second"] * point["interval"] for point in points] == pytest.approx(
        [100e6] * len(points)
    )
    # 144 multipliers are too many for this part; one is not.
    assert not points[0]["fits"] and points[-1]["fits"]


def test_inspect_shows_them(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["inspect", str(model), "--pareto"]
    assert cli.main([*words, "--part", "ecp5-25f", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["pareto"]
    assert found == compare_rates(slice_of(model), part="ecp5-25f")
    assert cli.main([*words, "--part", "ecp5-25f"]) == 0
    out = capsys.readouterr().out
    assert "Rates (compile --rate)" in out and " 36 " in out
    assert "Grids of 8 bits stand for those that calibration will give" in " ".join(out.split())
    assert cli.main([*words, "--part", "ecp6"]) == 2
    assert "unknown part" in capsys.readouterr().err
    assert cli.main(["inspect", str(model)]) == 0
    assert "Rates" not in capsys.readouterr().out


def test_the_model_is_loaded_once(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded: list[Path] = []

    def counting(path: Path, *rest: Any) -> Source:
        loaded.append(path)
        return load_model(path, *rest)

    monkeypatch.setattr("midwire.compiler.select.inspection.load_model", counting)
    assert cli.main(["inspect", str(model), "--pareto"]) == 0
    assert loaded == [model] and "Rates" in capsys.readouterr().out
