# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of a slice. Rules F1 to F3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.map import front as module
from midwire.compiler.map.front import MOST_POINTS, Front
from midwire.compiler.map.implement import implement, offers, pace
from midwire.compiler.map.price import price
from midwire.compiler.map.targets import TARGETS, Target

XCUP = TARGETS["xcup"]

NET = """
g (float[N, 4, 6, 6] x) => (float[N, 6] y)
<float[6, 4, 3, 3] w = {W}, float[6, 6] m = {M}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  p = GlobalAveragePool (a)
  f = Flatten (p)
  y = MatMul (f, m) }
"""


@pytest.fixture
def graph(lower: Callable[..., Any]) -> QGraph:
    text = NET
    for name, size in (("{W}", 216), ("{M}", 36)):
        text = text.replace(name, "{" + ", ".join(["0.5", "-1"] * (size // 2)) + "}")
    integers: QGraph = lower(text).integers
    return integers


@pytest.mark.parametrize("target", TARGETS.values(), ids=str)
def test_a_point_is_what_a_compile_chooses(graph: QGraph, target: Target) -> None:
    """Rule F1, at the points, between them, and far beyond."""
    front = Front(graph, target, "folded")
    for interval in (*front.intervals, *(n + 1 for n in front.intervals), 10**9):
        built = implement(graph, target, interval, strict=True, strategy="folded")
        costs = [price(each.cost, target) for each in built.values()]
        point = front.at(interval)
        assert point.scalar == pytest.approx(sum(cost.scalar for cost in costs))
        assert point.resources["dsp"] == sum(cost.dsp for cost in costs)
        assert all(pace(each) <= interval for each in point.built.values())


def test_no_point_is_slower_and_dearer(graph: QGraph) -> None:
    """Rule F2, against all choices of this network."""
    front = Front(graph, XCUP, "folded")
    points = [(point.interval, point.scalar) for point in front.points()]
    assert points == sorted(points)
    assert [cost for _, cost in points] == sorted({cost for _, cost in points}, reverse=True)
    assert 2 < len(points) <= MOST_POINTS + 2
    every = {node.name: offers(graph, node, XCUP, 1, "folded") for node in graph.nodes}
    least = max(min(map(pace, each)) for each in every.values())
    cheapest = sum(min(price(built.cost, XCUP).scalar for built in each) for each in every.values())
    assert points[0][0] == front.least == least
    assert points[-1][1] == pytest.approx(cheapest)
    # One cycle less than the last point costs more: it is no slower than it has to be.
    assert front.at(points[-1][0] - 1).scalar > points[-1][1]


@pytest.mark.parametrize(("most", "strategy"), [(0, "folded"), (10_000, "unrolled")])
def test_unrolled_forms_are_searched_for_where_that_is_short(
    lower: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, most: int, strategy: str
) -> None:
    """Rule F3, where a vector every cycle is wanted."""
    weights = ", ".join(["0.5", "-1", "3"] * 12)
    text = f"g (float[N, 6] x) => (float[N, 6] y) <float[6, 6] w = {{{weights}}}> "
    graph = lower(text + "{ y = MatMul (x, w) }").integers
    monkeypatch.setattr(module, "MOST_DIGITS", most)
    (built,) = Front(graph, XCUP).at(1).built.values()
    assert (built.strategy, pace(built)) == (strategy, 1)


def test_an_interval_that_no_layer_keeps(graph: QGraph) -> None:
    front = Front(graph, XCUP, "folded")
    front.check(front.least)
    with pytest.raises(ModelError, match="cannot keep the wanted rate; expected at most 1 cycles"):
        front.check(1)
