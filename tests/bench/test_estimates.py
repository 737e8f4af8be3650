# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that compares estimates with synthesis."""

from __future__ import annotations

import importlib
from pathlib import Path
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
    rows = [row("forest", "xc7", near, near), row("svm", "xc7", far, near)]
    first, second = estimates.page(rows).split("## Designs that ")[1:]
    assert (
        "of 1 rows: LUTs 0; " in first
        and "| svm | scores of a linear support vector machine, as probabilities | 400 / 300"
        in first
    )
    assert "of 1 rows: LUTs 1; " in second and "| forest |" in second


def test_a_row_says_how_far_the_estimate_is_off(estimates: Any) -> None:
    row = estimates.Row("forest", "xc7", counts(1100, 24, 950, 3, 0), counts(1000, 20, 1000, 3, 0))
    text = estimates.page([row])
    assert (
        "| 1100 / 1000, +10.0 % | 24 / 20, +4 | 950 / 1000, -5.0 % | 3, exact | 0, exact |" in text
    )
    assert "| **worst** | | +10.0 % | +4 | -5.0 % | exact | exact |" in text


def test_a_design_that_was_never_counted_is_not_synthesised_for_a_page_of_kept_counts(
    estimates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates.cache, "stored", lambda folder, key: None)
    monkeypatch.setattr(estimates, "synthesise", None)
    assert estimates.measure("svm", "xc7", kept=True) is None
