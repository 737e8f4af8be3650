# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cheapest hardware that keeps a rate."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.ir.quant import QGraph, QNode
from midwire.compiler.map.implement import implement, offers, pace, target_interval
from midwire.compiler.map.price import price
from midwire.compiler.map.targets import TARGETS, Target
from midwire.compiler.pipeline import Options
from midwire.hw.kernels.base import Implementation

XCUP = TARGETS["xcup"]

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


def folded(graph: QGraph, node: QNode) -> list[Implementation]:
    return offers(graph, node, XCUP, 1, "folded")


@pytest.mark.parametrize("interval", [1, 36, 40, 100, 324, 1000, 7776, 10**6])
@pytest.mark.parametrize("target", TARGETS.values(), ids=str)
def test_every_node_keeps_the_interval_at_the_least_price(
    graph: QGraph, interval: int, target: Target
) -> None:
    chosen = implement(graph, target, interval, strict=False, strategy="folded")
    assert set(chosen) == {node.name for node in graph.nodes}
    options = {node.name: folded(graph, node) for node in graph.nodes}
    # Nobody need be faster than the slowest, whatever was wanted.
    interval = max(interval, *(min(map(pace, each)) for each in options.values()))
    for name, offered in options.items():
        built = chosen[name]
        assert built in offered
        assert pace(built) <= interval
        fitting = [each for each in offered if pace(each) <= interval]
        least = min(price(each.cost, target).scalar for each in fitting)
        assert price(built.cost, target).scalar == least
        # Nothing that does the same with fewer multipliers and fewer lanes was left out.
        for other in fitting:
            if all(
                theirs <= ours
                for theirs, ours in zip(other.parallelism, built.parallelism, strict=True)
            ):
                assert other.parallelism == built.parallelism


def test_lanes_on_offer(graph: QGraph) -> None:
    """Channels of 4 and 6: for each number of beats, the fewest lanes; a row of taps or all of them
    where no channel is left to take.
    """
    conv, depthwise, pool, dense = graph.nodes
    assert {each.parallelism for each in folded(graph, conv)} == {
        (pe, simd) for pe in (1, 2, 3, 6) for simd in (1, 2, 4, 4 * 3, 4 * 9)
    }
    lanes = {(n, n) for n in (1, 2, 3, 6)}
    assert {each.parallelism for each in folded(graph, depthwise)} == lanes | {(6, 18), (6, 54)}
    assert {each.parallelism for each in folded(graph, pool)} == lanes
    assert len(folded(graph, dense)) == 16


def test_taps_in_parallel_up_to_a_pixel_a_cycle(graph: QGraph) -> None:
    """36 pixels of 3 x 3 taps: one tap a cycle takes 324 cycles at best."""
    taken = {}
    for interval in (324, 108, 36):
        chosen = list(implement(graph, XCUP, interval, strict=False, strategy="folded").values())
        assert all(pace(each) <= interval for each in chosen[:2])
        taken[interval] = [each.parallelism[1] for each in chosen[:2]]
    assert taken[36] == [4 * 9, 6 * 9]
    assert taken[108][1] == 6 * 3
    assert taken[324][1] <= 6


def test_lanes_need_not_divide(lower: Callable[..., Any]) -> None:
    """18 inputs in 5 beats of 4; 7 outputs in 2 beats of 4, but not where that is too slow."""
    ones = ", ".join(["0.5", "-1"] * 63)
    text = (
        f"g (float[N, 18] x) => (float[N, 7] y) <float[18, 7] w = {{{ones}}}> "
        "{ y = MatMul (x, w) }"
    )
    graph = lower(text).integers
    (node,) = graph.nodes
    lanes = {each.parallelism for each in folded(graph, node)}
    assert {pe for pe, _ in lanes} == {1, 2, 3, 4, 7}
    assert {simd for _, simd in lanes} == {1, 2, 3, 4, 5, 6, 9, 18}
    for interval in (126, 72, 36, 18, 9, 7, 2, 1):
        (built,) = implement(graph, XCUP, interval, strict=True, strategy="folded").values()
        assert pace(built) <= interval
    (built,) = implement(graph, XCUP, 36, strict=True, strategy="folded").values()
    assert built.parallelism == (1, 4)
    assert built.inputs[0].padded and not built.outputs[0].padded
    # Beats of 4 pass an adapter one element at a time: too slow for less than 7 cycles.
    (built,) = implement(graph, XCUP, 6, strict=True, strategy="folded").values()
    assert built.parallelism[0] == 7


def test_loadable_where_it_is_asked_for(graph: QGraph) -> None:
    """Nodes without weights take another; "auto" takes none, however cheap."""
    for strategy in ("auto", "folded"):
        chosen = implement(graph, XCUP, 1000, strict=True, strategy=strategy)
        assert "loadable" not in {built.strategy for built in chosen.values()}
    asked = implement(graph, XCUP, 1000, strict=True, strategy="loadable")
    plain = implement(graph, XCUP, 1000, strict=True, strategy="folded")
    strategies = [asked[node.name].strategy for node in graph.nodes]
    assert strategies == ["loadable", "loadable", "folded", "loadable"]
    for node in graph.nodes:
        assert pace(asked[node.name]) <= 1000
        if asked[node.name].side_ports:
            assert not asked[node.name].cost.roms and plain[node.name].cost.roms
            cheaper, dearer = plain[node.name].cost, asked[node.name].cost
            assert price(cheaper, XCUP).scalar < price(dearer, XCUP).scalar


def test_a_strategy_that_there_is_not() -> None:
    with pytest.raises(ModelError) as caught:
        Options(strategy="streamed")
    assert str(caught.value) == (
        "--strategy: unknown strategy; expected one of auto, folded, unrolled, loadable; found "
        "'streamed'. Leave it out, and each layer takes whichever is cheaper."
    )


def test_multiply_accumulates(graph: QGraph) -> None:
    assert [node.kernel.macs for node in graph.nodes] == [36 * 9 * 24, 36 * 9 * 6, 0, 36]


def test_a_rate_that_nothing_keeps(graph: QGraph) -> None:
    with pytest.raises(ModelError) as caught:
        implement(graph, XCUP, 10, strict=True, strategy="folded")
    assert str(caught.value) == (
        "node 'Conv_0': cannot keep the wanted rate; expected at most 10 cycles an inference; "
        "found 36 cycles at full parallelism. Ask for a rate of at most 0.277 times the wanted "
        "one."
    )
    assert implement(graph, XCUP, 36, strict=True, strategy="folded")


def test_the_interval_aimed_at(graph: QGraph) -> None:
    assert target_interval(graph, 1000.0, 250.0) == 250_000
    assert target_interval(graph, 3.0, 100.0) == 33_333_333
    assert target_interval(graph, 250e6, 250.0) == 1
    assert target_interval(graph, 1e-310, 250.0) == 10**15
    macs = 36 * 9 * 24 + 36 * 9 * 6 + 36
    assert target_interval(graph, None, 250.0) == macs // 64


@pytest.mark.parametrize(
    ("macs", "interval"), [(0, 1), (64_000, 1000), (10**7, 50_000), (10**9, 10**9 // 1024)]
)
def test_the_default_by_the_size_of_a_network(macs: int, interval: int) -> None:
    kernel = SimpleNamespace(macs=macs)
    graph = cast(QGraph, SimpleNamespace(nodes=[SimpleNamespace(kernel=kernel)]))
    assert target_interval(graph, None, 250.0) == interval


def test_a_rate_beyond_the_clock(graph: QGraph) -> None:
    for rate, found in ((1e12, "1e+12"), (float("inf"), "inf"), (251e6, "2.51e+08")):
        with pytest.raises(ModelError) as caught:
            target_interval(graph, rate, 250.0)
        assert str(caught.value) == (
            "--rate: cannot keep the wanted rate; expected at most 250000000 inferences a second, "
            f"one a cycle at 250 MHz; found {found}. Ask for a lower rate."
        )
