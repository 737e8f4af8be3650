# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import numpy as np
import pytest

from midwire.hw.sqnr import SignalAndNoise, Sqnr


@pytest.mark.parametrize(
    ("want", "got", "sqnr", "text", "level"),
    [
        ([3.0, 4.0], [3.0, 3.5], Sqnr(20.0), "20.0 dB", 20.0),
        ([3.0, 4.0], [3.0, 4.0], Sqnr(None), "bit-equal", math.inf),
        ([0.0, 0.0], [0.0, 0.0], Sqnr(None), "bit-equal", math.inf),
        ([0.0, 0.0], [0.0, 0.5], Sqnr(None, silent=True), "noise and no signal", -math.inf),
    ],
)
def test_each_kind_of_ratio(
    want: list[float], got: list[float], sqnr: Sqnr, text: str, level: float
) -> None:
    """A number where there is one, and which of two reasons where there is none."""
    powers = SignalAndNoise()
    for one, other in zip(want, got, strict=True):
        powers.add(np.array(one), np.array(other))
    assert powers.sqnr == sqnr
    assert (powers.sqnr.text, powers.sqnr.level) == (text, level)
