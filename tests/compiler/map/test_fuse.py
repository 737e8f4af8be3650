# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators become integer nodes: what goes into a requantiser, and what cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.ir.graph import Graph, Node, Value
from midwire.compiler.ir.quant import print_qgraph, verify
from midwire.compiler.map.fuse import fuse, input_layout
from midwire.compiler.ops.add import Add
from midwire.compiler.ops.relu import Relu
from midwire.compiler.ops.reshape import Reshape
from midwire.compiler.ops.transpose import Transpose
from midwire.hw.formats.tensor import Layout
from midwire.hw.numeric import QType

Lower = Callable[..., Any]

NET = """
g (float[N, 4, 5, 2] x) => (float[N, 12] y)
<float[2, 2, 1, 1] w = {1, -1, 0.5, 0.25}, float[2, 1, 1] b = {1, -2}, float six = {6},
 float zero = {0}, float[20, 12] m = {MATRIX}>
{ t = Transpose <perm = [0, 3, 1, 2]> (x)
  a = Conv <strides = [2, 1]> (t, w)
  c = Add (a, b)
  d = Clip (c, zero, six)
  e = Flatten (d)
  y = MatMul (e, m) }
""".replace("MATRIX", ", ".join("1" for _ in range(240)))

TEXT = """\
qgraph net(x: i8[1x4x5x2])
  d: u3[1x2x2x5] = conv[depthwise=False, dilations=[1, 1], image=[4, 5, 2], kernel=[1, 1], \
pad_value=0, pads=[0, 0, 0, 0], strides=[2, 1]](x) acc i16 >> SHIFT
  y: i8[1x12] = conv[depthwise=False, dilations=[1, 1], image=[1, 1, 20], kernel=[1, 1], \
pad_value=0, pads=[0, 0, 0, 0], strides=[1, 1]](d) acc u15 >> SHIFT
  return y
"""


def test_text(lower: Lower) -> None:
    graph = lower(NET, {"d": QType(3, False, 1.0)}).integers
    text = print_qgraph(graph)
    for node in graph.nodes:
        text = text.replace(f">> {node.requantiser.shift}\n", ">> SHIFT\n")
    assert text == TEXT


def test_views_become_layouts(lower: Lower) -> None:
    """The model's NHWC input is streamed as it lies; the matrix follows the stream."""
    graph = lower(NET, {"d": QType(3, False, 1.0)}).integers
    assert graph.tensors["x"].layout.same_order(Layout.raster((1, 4, 5, 2)))
    assert graph.tensors["d"].layout.same_order(Layout((2, 2, 5), (1, 2, 0)))
    assert [node.sources for node in graph.nodes] == [
        ("Conv_1", "Add_2", "Clip_3"),
        ("MatMul_5",),
    ]


def test_bias_and_bounds_go_into_the_requantiser(lower: Lower) -> None:
    conv = lower(NET, {"d": QType(3, False, 1.0)}).integers.nodes[0]
    assert conv.requantiser.lo.tolist() == [0, 0]
    assert conv.requantiser.hi.tolist() == [6, 6]
    # The core's own function has neither; rule N3 of the whole is proven elsewhere.
    assert [f.offset for f in conv.core.functions] == [Fraction(0), Fraction(0)]


def test_a_lone_activation_gets_hardware_of_its_own(lower: Lower) -> None:
    text = (
        "g (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> "
        "{ a = Relu (x) y = MatMul (a, w) }"
    )
    graph = lower(text).integers
    assert [node.core.kernel for node in graph.nodes] == ["scale", "conv"]


GRID = QType(8, True, 0.5)


def graph_of(*nodes: Node, shape: tuple[int, ...] = (1, 2, 3), outputs: str = "y") -> Graph:
    names = {"x", *(name for node in nodes for name in (*node.inputs, node.output))}
    values = {name: Value(name, shape) for name in sorted(names)}
    grids = {"x": GRID, **dict.fromkeys(outputs, GRID)}
    return Graph("tiny", nodes, values, ("x",), tuple(outputs), grids)


def test_a_slice_of_views_is_copied() -> None:
    """An output must not be an input's wire: there has to be something to build."""
    graph = fuse(graph_of(Node("only", Reshape(), ("x",), ("y",))))
    assert [(node.name, node.output) for node in graph.nodes] == [("y:copy", "y:copy")]
    assert (graph.outputs, graph.results[0].name) == (("y:copy",), "y")
    node = graph.nodes[0]
    assert (node.requantiser.shift, node.requantiser.multiplier.tolist()[0]) == (0, [1])


def test_two_outputs_may_be_one_stream() -> None:
    graph = fuse(
        graph_of(
            Node("first", Relu(), ("x",), ("y",)),
            Node("second", Reshape(), ("y",), ("z",)),
            outputs="yz",
        )
    )
    assert graph.outputs == ("y", "y")
    assert [result.name for result in graph.results] == ["y", "z"]


def test_an_unrounded_result_has_one_reader() -> None:
    graph = graph_of(
        Node("first", Add(), ("x", "x"), ("a",)),
        Node("left", Relu(), ("a",), ("y",)),
        Node("right", Relu(), ("a",), ("z",)),
        outputs="yz",
    )
    with pytest.raises(ModelError) as caught:
        fuse(graph)
    assert str(caught.value) == (
        "node 'first' (Add()): cannot be mapped to integer hardware: expected its unrounded result "
        "to have one reader, found 2. Cut the slice before or after it with --from and --to."
    )


def test_a_core_needs_a_grid_before_it() -> None:
    graph = graph_of(
        Node("first", Add(), ("x", "x"), ("a",)), Node("second", Add(), ("a", "a"), ("y",))
    )
    with pytest.raises(ModelError, match=r"node 'first' \(Add\(\)\): cannot be mapped"):
        fuse(graph)


def test_orders_that_do_not_meet_take_a_buffer() -> None:
    """A sum of a tensor and its own transpose stores one of them."""
    nodes = (
        Node("turn", Transpose((0, 2, 1)), ("x",), ("a",)),
        Node("sum", Add(), ("a", "x"), ("y",)),
    )
    integers = fuse(graph_of(*nodes, shape=(1, 3, 3)))
    assert verify(integers) == []
    buffer, total = integers.nodes
    assert [node.kernel.name for node in integers.nodes] == ["reorder", "eltwise"]
    assert total.inputs == ("x", *buffer.outputs)
    before, after = (integers.tensors[name].layout for name in total.inputs)
    assert after.same_order(Layout((3, 3), (1, 0))) and before.same_order(Layout.raster((9,)))


def test_the_layout_of_an_input_is_what_its_reader_wants() -> None:
    image = graph_of(Node("only", Relu(), ("x",), ("y",)), shape=(1, 2, 3, 4))
    assert input_layout(image, "x").same_order(Layout((2, 3, 4), (1, 2, 0)))
    turned = Node("turn", Transpose((0, 3, 1, 2)), ("x",), ("a",))
    values = {**image.values, "a": Value("a", (1, 4, 2, 3)), "y": Value("y", (1, 4, 2, 3))}
    nodes = (turned, Node("only", Relu(), ("a",), ("y",)))
    graph = replace(image, nodes=nodes, values=values)
    assert input_layout(graph, "x").same_order(Layout.raster((1, 2, 3, 4)))
