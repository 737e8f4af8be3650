# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules G1 to G4: the text form, and all violations at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from midwire.compiler.ir.graph import Graph, Node, Value, print_graph, verify
from midwire.compiler.ops.add import Add
from midwire.compiler.ops.quantize import Quantize
from midwire.compiler.ops.relu import Relu
from midwire.hw.numeric import QType

GRID = QType(4, False, 0.5, 3)

VALUES = {name: Value(name, (1, 2, 3)) for name in ("x", "a", "b", "y")}

GRAPH = Graph(
    "tiny",
    (
        Node("first", Relu(), ("x",), ("a",)),
        Node("second", Quantize(GRID), ("a",), ("b",)),
        Node("third", Add(), ("b", "x"), ("y",)),
    ),
    VALUES,
    ("x",),
    ("y",),
    {"x": GRID},
)

TEXT = """\
graph tiny(x: float32[1x2x3])
  a: float32[1x2x3] = Relu()(x)
  b: float32[1x2x3] = Quantize(qtype=QType(bits=4, signed=False, scale=0.5, zero_point=3))(a)
  y: float32[1x2x3] = Add()(b, x)
  return y
"""


def test_text_form() -> None:
    assert print_graph(GRAPH) == TEXT


def test_text_form_of_an_imported_model(lower: Callable[..., Any]) -> None:
    text = "g (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> "
    assert print_graph(lower(text + "{ a = MatMul(x, w) y = Relu(a) }").real) == (
        "graph net(x: float32[1x3])\n"
        "  a: float32[1x2] = MatMul(weight=(2, 3))(x)\n"
        "  y: float32[1x2] = Relu()(a)\n"
        "  return y\n"
    )


def test_neighbours() -> None:
    assert GRAPH.producer("x") is None
    assert GRAPH.producer("y") is GRAPH.nodes[2]
    assert [node.name for node in GRAPH.consumers("x")] == ["first", "third"]
    assert list(GRAPH) == list(GRAPH.nodes)


def test_a_legal_graph_has_no_violations() -> None:
    assert verify(GRAPH) == []


def test_all_violations_are_reported_together() -> None:
    broken = replace(
        GRAPH,
        nodes=(
            Node("early", Relu(), ("y",), ("b",)),
            Node("twice", Relu(), ("x",), ("b",)),
            Node("lonely", Add(), ("x",), ("nowhere",)),
        ),
        values={**VALUES, "b": Value("b", (1, 0))},
        outputs=("y", "b"),
    )
    assert verify(broken) == [
        "G1: node 'early' reads 'y' before it is defined",
        "G1: 'b' is defined twice, the second time by 'twice'",
        "G3: node 'lonely' has 1 inputs, Add takes 2",
        "G2: 'b' has the shape (1, 0)",
        "G2: 'nowhere' has no shape",
        "G4: output 'y' is not defined",
    ]


def test_nodes_have_different_names() -> None:
    a, b, *rest = GRAPH.nodes
    twice = replace(GRAPH, nodes=(a, replace(b, name=a.name), *rest))
    assert verify(twice) == [f"G1: {a.name!r} names 2 nodes"]
