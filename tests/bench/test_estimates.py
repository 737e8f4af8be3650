# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that compares estimates with synthesis."""

from __future__ import annotations

from bench.designs import DESIGNS
from bench.estimates import Row, page


def counts(lut: int, lutram: int, ff: int, dsp: int, bram: int) -> dict[str, int]:
    return {"lut": lut, "lutram": lutram, "ff": ff, "dsp": dsp, "bram": bram}


def test_ten_designs() -> None:
    assert len(DESIGNS) == 10


def test_a_row_says_how_far_the_estimate_is_off() -> None:
    row = Row("forest", "xc7", counts(1100, 24, 950, 3, 0), counts(1000, 20, 1000, 3, 0))
    text = page([row])
    assert (
        "| 1100 / 1000, +10.0 % | 24 / 20, +4 | 950 / 1000, -5.0 % | 3, exact | 0, exact |" in text
    )
    assert "| **worst** | | +10.0 % | +4 | -5.0 % | exact | exact |" in text
