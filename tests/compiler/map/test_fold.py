# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Least hardware that keeps a rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.map.fold import fold, target_interval

NET = """
g (float[N, 4, 6, 6] x) => (float[N, 6] y)
<float[6, 4, 3, 3] w = {W}, float[6, 1, 3, 3] d = {D}, float[6, 6] m = {M}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Conv <pads = [1, 1, 1, 1], group = 6> (a, d)
  p = GlobalAveragePool (b)
  f = Flatten (p)
  y = MatMul (f, m) }
"""


@pytest.fixture
def graph(lower: Callable[..., Any]) -> QGraph:
    text = NET
    for name, size in (("{W}", 216), ("{D}", 54), ("{M}", 36)):
        text = text.replace(name, "{" + ", ".join(["0.5", "-1"] * (size // 2)) + "}")
    integers: QGraph = lower(text).integers
    return integers


@pytest.mark.parametrize("interval", [1, 36, 40, 100, 324, 1000, 7776, 10**6])
def test_every_node_keeps_the_interval_with_the_fewest_multipliers(
    graph: QGraph, interval: int
) -> None:
    chosen = fold(graph, interval, strict=False)
    assert set(chosen) == {node.name for node in graph.nodes}
    for node in graph.nodes:
        folding = chosen[node.name]
        options = node.core.foldings()
        assert folding in options
        fitting = [f for f in options if node.core.cycles(f) <= interval]
        if fitting:
            assert node.core.cycles(folding) <= interval
            # A lane out costs a requantiser, counted as two multipliers.
            cost = min(f.pe * f.simd + 2 * f.pe for f in fitting)
            if node.core.macs:
                assert folding.pe * folding.simd + 2 * folding.pe == cost
            else:
                assert folding.pe == min(f.pe for f in fitting)
        else:
            assert node.core.cycles(folding) == min(node.core.cycles(f) for f in options)


def test_foldings_are_all_divisors(graph: QGraph) -> None:
    conv, depthwise, pool, dense = graph.nodes
    assert {(f.pe, f.simd) for f in conv.core.foldings()} == {
        (pe, simd) for pe in (1, 2, 3, 6) for simd in (1, 2, 4)
    }
    for node in (depthwise, pool):
        assert {(f.pe, f.simd) for f in node.core.foldings()} == {(n, n) for n in (1, 2, 3, 6)}
    assert len(dense.core.foldings()) == 16


def test_multiply_accumulates(graph: QGraph) -> None:
    assert [node.core.macs for node in graph.nodes] == [36 * 9 * 24, 36 * 9 * 6, 0, 36]


def test_a_rate_that_no_folding_keeps(graph: QGraph) -> None:
    with pytest.raises(ModelError) as caught:
        fold(graph, 100, strict=True)
    assert str(caught.value) == (
        "node 'Conv_0': cannot keep the wanted rate; expected at most 100 cycles an inference; "
        "found 324 cycles at full parallelism. Ask for a rate of at most 0.308 times the wanted "
        "one."
    )
    assert fold(graph, 324, strict=True)


def test_the_interval_aimed_at(graph: QGraph) -> None:
    assert target_interval(graph, 1000.0, 250.0) == 250_000
    assert target_interval(graph, 3.0, 100.0) == 33_333_333
    assert target_interval(graph, 1e12, 250.0) == 1
    assert target_interval(graph, 1e-310, 250.0) == 10**15
    macs = 36 * 9 * 24 + 36 * 9 * 6 + 36
    assert target_interval(graph, None, 250.0) == macs // 64
