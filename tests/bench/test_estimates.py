# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that compares estimates with synthesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from bench.designs import DESIGNS
from bench.estimates import Row, page
from bench.fresh import FRESH


def counts(lut: int, lutram: int, ff: int, dsp: int, bram: int) -> dict[str, int]:
    return {"lut": lut, "lutram": lutram, "ff": ff, "dsp": dsp, "bram": bram}


def test_ten_designs_or_more_of_each_kind() -> None:
    assert len(DESIGNS) >= 10 and len(FRESH) >= 10
    assert not DESIGNS.keys() & FRESH.keys()


def test_every_design_is_a_model(tmp_path: Path) -> None:
    for each in (*DESIGNS.values(), *FRESH.values()):
        model, samples = each.save(tmp_path)
        assert onnx.load(model).graph.node and np.load(samples)["in0"].shape[:2] == (32, 1)


def test_fresh_designs_stand_apart() -> None:
    """And how many rows are near is said of each group."""
    near = counts(300, 0, 300, 0, 0)
    rows = [Row("forest", "xc7", near, near), Row("gru", "xc7", counts(400, 0, 300, 0, 0), near)]
    first, second = page(rows).split("## Designs that ")[1:]
    assert "of 1 rows: LUTs 0; " in first and "| gru | a recurrent layer | 400 / 300" in first
    assert "of 1 rows: LUTs 1; " in second and "| forest |" in second


def test_a_row_says_how_far_the_estimate_is_off() -> None:
    row = Row("forest", "xc7", counts(1100, 24, 950, 3, 0), counts(1000, 20, 1000, 3, 0))
    text = page([row])
    assert (
        "| 1100 / 1000, +10.0 % | 24 / 20, +4 | 950 / 1000, -5.0 % | 3, exact | 0, exact |" in text
    )
    assert "| **worst** | | +10.0 % | +4 | -5.0 % | exact | exact |" in text
