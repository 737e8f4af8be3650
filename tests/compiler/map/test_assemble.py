# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Stages, forks and adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from midwire.compiler.ir.dataflow import Dataflow, print_dataflow, verify
from midwire.compiler.ir.graph import Graph, Node, Value
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.map.assemble import assemble
from midwire.compiler.map.fuse import fuse
from midwire.compiler.ops.add import Add
from midwire.compiler.ops.quantize import Quantize
from midwire.compiler.ops.relu import Relu
from midwire.hw.numeric import QType

Lower = Callable[..., Any]
Assemble = Callable[..., Dataflow]

RESIDUAL = """
g (float[N, 4, 3, 3] x) => (float[N, 4, 3, 3] y)
<float[6, 4, 1, 1] w = {W}, float[4, 6, 1, 1] v = {W}>
{ a = Conv (x, w)
  b = Conv (a, v)
  y = Add (b, x) }
""".replace("{W}", "{" + ", ".join(["1", "-0.5"] * 12) + "}")


@pytest.fixture
def assembled(with_lanes: Any) -> Assemble:
    """``assembled(integers, graph, (pe, simd), ...)``: a legal dataflow."""

    def run(integers: QGraph, graph: Graph, *lanes: tuple[int, int]) -> Dataflow:
        flow = assemble(integers, graph, with_lanes(integers, *lanes))
        assert verify(flow) == []
        return flow

    return run


def test_forks_and_adapters(lower: Lower, assembled: Assemble) -> None:
    """Lanes 4 -> 2 and 4 -> 1 behind a fork, 3 -> 2 by way of 6, 2 -> 1."""
    low = lower(RESIDUAL)
    flow = assembled(low.integers, low.rounded, (3, 4), (2, 2), (1, 1))
    assert print_dataflow(flow) == (
        "dataflow net\n"
        "  stage in0_fork cycles=9\n"
        "  stage n0_conv_0 pe=3 simd=4 cycles=18\n"
        "  stage in0_1_adapter cycles=36\n"
        "  stage n0_conv_0_adapter cycles=27\n"
        "  stage n1_conv_1 pe=2 simd=2 cycles=54\n"
        "  stage n1_conv_1_adapter cycles=36\n"
        "  stage n2_add_2 pe=1 simd=1 cycles=36\n"
        "  .0 -> in0_fork.0 x4 depth=0\n"
        "  in0_fork.0 -> n0_conv_0.0 x4 depth=0\n"
        "  in0_fork.1 -> in0_1_adapter.0 x4 depth=0\n"
        "  in0_1_adapter.0 -> n2_add_2.1 x1 depth=None\n"
        "  n0_conv_0.0 -> n0_conv_0_adapter.0 x3 depth=0\n"
        "  n0_conv_0_adapter.0 -> n1_conv_1.0 x2 depth=0\n"
        "  n1_conv_1.0 -> n1_conv_1_adapter.0 x2 depth=0\n"
        "  n1_conv_1_adapter.0 -> n2_add_2.0 x1 depth=None\n"
        "  n2_add_2.0 -> .0 x1 depth=0\n"
    )
    assert (flow.inputs[0].lanes, flow.outputs[0].lanes) == (4, 1)
    assert (flow.inputs[0].name, flow.inputs[0].shape) == ("x", (1, 4, 3, 3))


def test_no_adapter_where_lanes_agree(lower: Lower, assembled: Assemble) -> None:
    low = lower(RESIDUAL)
    flow = assembled(low.integers, low.rounded, (2, 4), (4, 2), (4, 4))
    assert [stage.name for stage in flow.stages] == [
        "in0_fork",
        "n0_conv_0",
        "n1_conv_1",
        "n2_add_2",
    ]


def test_both_inputs_of_a_sum_may_be_one_stream(lower: Lower, assembled: Assemble) -> None:
    text = (
        "g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, 2, 3, 4}> "
        "{ a = MatMul (x, w) y = Add (a, a) }"
    )
    low = lower(text)
    flow = assembled(low.integers, low.rounded, (2, 1), (2, 2))
    ends = [(channel.source, channel.sink) for channel in flow.channels]
    assert (("n0_matmul_0_fork", 0), ("n1_add_1", 0)) in ends
    assert (("n0_matmul_0_fork", 1), ("n1_add_1", 1)) in ends


def test_several_inputs_and_outputs(assembled: Assemble) -> None:
    """An output that is read inside too comes from a fork."""
    grid = QType(8, True, 0.5)
    nodes = (
        Node("sum", Add(), ("u", "v"), ("s:real",)),
        Node("sum:grid", Quantize(grid), ("s:real",), ("s",)),
        Node("act", Relu(), ("s",), ("r:real",)),
        Node("act:grid", Quantize(grid), ("r:real",), ("r",)),
    )
    values = {n: Value(n, (1, 4)) for n in ("u", "v", "s:real", "s", "r:real", "r")}
    graph = Graph("tiny", nodes, values, ("u", "v"), ("s", "r"), {"u": grid, "v": grid})
    integers = fuse(graph)
    flow = assembled(integers, graph, (2, 2), (4, 4))
    assert print_dataflow(flow) == (
        "dataflow tiny\n"
        "  stage n0_sum pe=2 simd=2 cycles=2\n"
        "  stage n0_sum_fork cycles=2\n"
        "  stage n0_sum_0_adapter cycles=2\n"
        "  stage n1_act pe=4 simd=4 cycles=1\n"
        "  .0 -> n0_sum.0 x2 depth=None\n"
        "  .1 -> n0_sum.1 x2 depth=None\n"
        "  n0_sum.0 -> n0_sum_fork.0 x2 depth=0\n"
        "  n0_sum_fork.0 -> n0_sum_0_adapter.0 x2 depth=0\n"
        "  n0_sum_0_adapter.0 -> n1_act.0 x4 depth=0\n"
        "  n0_sum_fork.1 -> .0 x2 depth=0\n"
        "  n1_act.0 -> .1 x4 depth=0\n"
    )
    assert [spec.lanes for spec in (*flow.inputs, *flow.outputs)] == [2, 2, 2, 4]


def test_names_become_identifiers(assembled: Assemble) -> None:
    grid = QType(8, True, 0.5)
    odd = "/model/block.1/(Ünder) score-relu;more;names_that_are_very_long_indeed"
    node = Node(odd, Relu(), ("x",), ("y",))
    graph = Graph(
        "g", (node,), {n: Value(n, (1, 4)) for n in "xy"}, ("x",), ("y",), dict.fromkeys("xy", grid)
    )
    flow = assembled(fuse(graph), graph, (1, 1))
    (stage,) = flow.stages
    assert stage.name == "n0_nder_score_relu"
    assert stage.name.isidentifier() and stage.name.isascii()
    assert stage.node == odd
