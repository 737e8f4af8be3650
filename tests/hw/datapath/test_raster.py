# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Steps of addresses through images; tests/hw/datapath/test_window.py has the rest in RTL."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from midwire.hw.datapath.raster import advances, axis_name, end_name, part_name


@pytest.mark.parametrize("rank", [2, 3, 5])
def test_advances_lead_from_place_to_place(rank: int) -> None:
    rng = np.random.default_rng(rank)
    counts = [int(n) for n in rng.integers(1, 4, rank)]
    distances = [int(n) for n in rng.integers(1, 50, rank)]
    steps = advances(distances, counts)
    places = list(np.ndindex(*counts))
    at = 0
    for before, after in pairwise(places):
        axis = next(k for k in range(rank) if before[k] != after[k])
        at += steps[axis]
        assert at == sum(n * by for n, by in zip(after, distances, strict=True))


def test_names() -> None:
    """Those of two and three axes are words; any number has some that differ."""
    assert [axis_name(3, axis) for axis in range(3)] == ["z", "y", "x"]
    assert [part_name(2, axis) for axis in range(2)] == ["row", "column"]
    assert [end_name(3, axis) for axis in range(3)] == ["image_end", "plane_end", "row_end"]
    for name in (axis_name, part_name, end_name):
        assert len({name(6, axis) for axis in range(6)}) == 6
