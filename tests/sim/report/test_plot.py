# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Points are where their figures say, and nothing leaves the drawing."""

from __future__ import annotations

import re

import pytest

from midwire.sim.report.histograms import BINS, Histogram
from midwire.sim.report.plot import BARS_HEIGHT, HEIGHT, WIDTH, front, histogram

SPOTS = [(36.0, 3.0), (360.0, 0.3), (100_000.0, 0.03)]


def circles(text: str) -> list[tuple[float, float]]:
    found = re.findall(r'<circle [^>]*cx="([\d.]+)" cy="([\d.]+)"', text)
    return [(float(x), float(y)) for x, y in found]


def test_a_decade_is_as_long_as_another() -> None:
    (first, second, third) = circles(front(SPOTS, None, "front"))
    decade = second[0] - first[0]
    assert decade == pytest.approx(second[1] - first[1], rel=10)
    assert third[1] - second[1] == pytest.approx(second[1] - first[1], abs=0.2)
    assert third[0] - second[0] == pytest.approx(decade * 2.4437, abs=0.5)


@pytest.mark.parametrize("own", [(36.0, 2.0), (10.0**9, 10.0**-6), (400.0, 1000.0)])
def test_everything_is_inside(own: tuple[float, float]) -> None:
    text = front(SPOTS, own, "front")
    places = circles(text)
    assert len(places) == 4 and "this bundle" in text
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places)


def test_equal_costs_have_an_axis() -> None:
    assert len(circles(front([(1.0, 1.0), (1.0, 1.0)], None, "front"))) == 2


def test_the_highest_bar_fills_its_row() -> None:
    counts = (1, *([0] * (BINS - 3)), 16, 4)
    text = histogram(Histogram(counts, 1.5, 0.0, 0.1, 2.0, 4), "errors")
    heights = re.findall(r'<rect [^>]*height="([\d.]+)"', text)
    assert [float(height) for height in heights] == [BARS_HEIGHT / 4, BARS_HEIGHT, BARS_HEIGHT / 2]
