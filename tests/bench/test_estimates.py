# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that compares estimates with synthesis."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest


@pytest.fixture
def estimates(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which is no part of the package."""
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.estimates")


def counts(lut: int, lutram: int, ff: int, dsp: int, bram: int) -> dict[str, int]:
    return {"lut": lut, "lutram": lutram, "ff": ff, "dsp": dsp, "bram": bram}


def test_many_designs_made_the_model_and_others_judge_it(estimates: Any) -> None:
    assert len(estimates.DESIGNS) >= 20 and len(estimates.FRESH) >= 5
    assert not estimates.DESIGNS.keys() & estimates.FRESH.keys()


def test_every_design_is_a_model(estimates: Any, tmp_path: Path) -> None:
    for each in (*estimates.DESIGNS.values(), *estimates.FRESH.values()):
        model, samples = each.save(tmp_path)
        assert onnx.load(model).graph.node and np.load(samples)["in0"].shape[:2] == (32, 1)


def test_fresh_designs_stand_apart(estimates: Any) -> None:
    """And how many rows are near is said of each group."""
    near = counts(300, 0, 300, 0, 0)
    row, far = estimates.Row, counts(400, 0, 300, 0, 0)
    rows = [row("forest", "xc7", near, (near,)), row("packet_mlp", "xc7", far, (near,))]
    first, second = estimates.page(rows).split("## Designs that ")[1:]
    assert (
        "of 1 rows: LUTs 0; " in first
        and "| packet_mlp | 20 features of a flow, three classes | 400 / 300" in first
    )
    assert "of 1 rows: LUTs 1; " in second and "| forest |" in second


def test_a_row_says_how_far_the_estimate_is_off(estimates: Any) -> None:
    counted = counts(1000, 20, 1000, 3, 0)
    row = estimates.Row("forest", "xc7", counts(1100, 24, 950, 3, 0), (counted,))
    text = estimates.page([row])
    assert (
        "| 1100 / 1000, +10.0 % | 24 / 20, +4 | 950 / 1000, -5.0 % | 3, exact | 0, exact |" in text
    )
    assert "| **worst** | | +10.0 % | +4 | -5.0 % | exact | exact |" in text


def test_a_row_is_judged_by_the_median_over_names(estimates: Any) -> None:
    """And says how far names alone move the count, and what the design's own names give."""
    namings = tuple(counts(lut, 0, 400, 0, 0) for lut in (1000, 1060, 1070))
    row = estimates.Row("packet_mlp", "xc7", counts(1150, 0, 400, 0, 0), namings)
    text = estimates.page([row])
    assert "| 1150 / 1060 (1000 to 1070), +8.5 % | 0, exact | 400, exact |" in text
    assert "of 1 rows: LUTs 1; " in text and "LUTs on average: +8.5 %." in text
    assert (
        "own names alone, LUTs are within 10 % in 0 rows (beyond: packet_mlp on xc7 +15.0 %), "
        "on average +15.0 %." in text
    )


def test_a_row_beyond_a_tenth_is_named(estimates: Any) -> None:
    namings = tuple(counts(lut, 0, 400, 0, 0) for lut in (1000, 900, 950))
    row = estimates.Row("packet_mlp", "xc7", counts(1100, 0, 400, 0, 0), namings)
    text = estimates.page([row])
    assert (
        "LUTs beyond: packet_mlp on xc7 +15.8 %." in text
        and "LUTs are within 10 % in 1 rows," in text
    )


def test_only_fresh_designs_are_counted_under_other_names(
    estimates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of counts that are kept, an odd number is taken."""
    asked: list[int] = []

    def count(bundle: Any, family: str, naming: int, *, kept: bool) -> dict[str, int] | None:
        asked.append(naming)
        return counts(300 + naming, 0, 300, 0, 0) if naming < 4 or not kept else None

    monkeypatch.setattr(estimates, "counts", count)
    row = estimates.measure("packet_mlp", "xc7", kept=True)
    assert [each["lut"] for each in row.namings] == [300, 301, 302]
    assert "sets of names than 5: packet_mlp on xc7: 3.\n" in estimates.page([row])
    row = estimates.measure("packet_mlp", "xc7")
    assert "sets of names than" not in estimates.page([row])
    assert asked == [0, 1, 2, 3, 4] * 2 and row.counted["lut"] == 302
    monkeypatch.setitem(estimates.EVERY, "gemm", estimates.FRESH["packet_mlp"])
    row = estimates.measure("gemm", "xc7")
    assert asked[10:] == [0] and row.spread("lut") == (300, 300)


def test_counts_under_other_names_are_kept_apart(
    estimates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    monkeypatch.setattr(estimates.cache, "stored", lambda folder, key: keys.append(key))
    bundle = SimpleNamespace(slice_top="top", slice_verilog=[], manifest=SimpleNamespace(files=[]))
    for naming in (0, 1, 2):
        assert estimates.counts(bundle, "xc7", naming, kept=True) is None
    assert len(set(keys)) == 3


def test_a_design_that_was_never_counted_is_not_synthesised_for_a_page_of_kept_counts(
    estimates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates.cache, "stored", lambda folder, key: None)
    monkeypatch.setattr(estimates, "synthesise", None)
    assert estimates.measure("packet_mlp", "xc7", kept=True) is None
