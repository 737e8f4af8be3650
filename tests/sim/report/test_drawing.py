# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Lines that pass by layers do not run over each other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from midwire.sim.report.drawing import draw, lanes_of
from midwire.sim.report.facts import Link, ReportFacts

SEED = 11


def test_lanes_are_shared_only_by_edges_that_do_not_overlap() -> None:
    rng = np.random.default_rng(SEED)
    starts = rng.integers(0, 30, 60)
    edges = [Link(str(k), int(s), int(s + rng.integers(1, 12))) for k, s in enumerate(starts)]
    lanes = lanes_of(edges)
    assert set(lanes) == {edge for edge in edges if edge.sink - edge.source > 1}
    for a, b in combinations(lanes, 2):
        assert lanes[a] != lanes[b] or a.sink <= b.source or b.sink <= a.source
    rows = np.arange(45)
    deepest = max(sum(e.source <= row < e.sink for e in lanes) for row in rows)
    assert max(lanes.values()) + 1 == deepest


def test_parts_cuts_and_depths_are_marked(facts: Callable[..., ReportFacts]) -> None:
    svg = draw(facts())
    for text in ("Edge part", "Cloud part", "cut: into the NIC", "cut: out of the NIC", "FIFO 37"):
        assert text in svg
    assert svg.count('class="box layer"') == 4
    assert svg.count('class="line"') == 6
