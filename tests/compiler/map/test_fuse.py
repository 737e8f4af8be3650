# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators become integer nodes: what goes into a requantiser, and what cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.ir.graph import Graph, Node, Value
from midwire.compiler.ir.quant import print_qgraph, verify
from midwire.compiler.map.fuse import fuse, wanted_layouts
from midwire.compiler.ops.add import Add
from midwire.compiler.ops.product import Product
from midwire.compiler.ops.relu import Relu
from midwire.compiler.ops.reshape import Reshape
from midwire.compiler.ops.transpose import Transpose
from midwire.hw.finish.direct import Direct
from midwire.hw.formats.tensor import Layout
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import Affine, QType

Lower = Callable[..., Any]

NET = """
g (float[N, 4, 5, 2] x) => (float[N, 12] y)
<float[2, 2, 1, 1] w = {1, -0.93, 0.5, 0.21}, float[2, 1, 1] b = {1, -2}, float six = {6},
 float zero = {0}, float[20, 12] m = {MATRIX}>
{ t = Transpose <perm = [0, 3, 1, 2]> (x)
  a = Conv <strides = [2, 1]> (t, w)
  c = Add (a, b)
  d = Clip (c, zero, six)
  e = Flatten (d)
  y = MatMul (e, m) }
""".replace("MATRIX", ", ".join(("1", "0.99")[n // 12 % 2] for n in range(240)))

TEXT = """\
qgraph net(x: i8[1x4x5x2])
  d: u3[1x2x2x5] = conv(x) acc i16 thresholds
  y: i8[1x12] = conv(d) acc u15 multiply_shift
  return y
"""


def test_text(lower: Lower) -> None:
    graph = lower(NET, {"d": QType(3, False, 1.0)}).integers
    assert print_qgraph(graph) == TEXT
    first, second = (node.kernel for node in graph.nodes)
    assert isinstance(first, ConvKernel) and isinstance(second, ConvKernel)
    assert (first.geometry, first.channels) == (Geometry((4, 5), stride=(2, 1)), 2)
    assert (second.geometry, second.channels) == (Geometry((1, 1)), 20)
    for kernel in (first, second):
        assert (kernel.depthwise, kernel.pad_value) == (False, 0)


def test_views_become_layouts(lower: Lower) -> None:
    """The model's NHWC input is streamed as it lies; the matrix follows the stream."""
    graph = lower(NET, {"d": QType(3, False, 1.0)}).integers
    assert graph.tensors["x"].layout.same_order(Layout.raster((1, 4, 5, 2)))
    assert graph.tensors["d"].layout.same_order(Layout((2, 2, 5), (1, 2, 0)))
    assert [node.sources for node in graph.nodes] == [
        ("Conv_1", "Add_2", "Clip_3"),
        ("MatMul_5",),
    ]


def test_bias_and_bounds_go_into_the_finisher(lower: Lower) -> None:
    """At every accumulator: the weights' and the input's scales, the bias, Clip, and rounding."""
    out = QType(3, False, 1.0)
    conv = lower(NET, {"d": out}).integers.nodes[0]
    (finisher,) = conv.finishers
    assert finisher.span == (0, 6)
    for channel, (peak, bias) in enumerate(((1.0, 1), (0.5, -2))):
        scale = Fraction(float(np.float32(peak / 127))) / 16
        function = Affine((scale,), Fraction(bias)).clamped(Fraction(0), Fraction(6))
        ((low, high),) = conv.kernel.ranges[0][channel]
        accs = np.arange(low, high + 1)
        got = finisher.apply(np.repeat(accs[:, None], 2, axis=1))[:, channel]
        assert got.tolist() == [function.exact([int(acc)], out) for acc in accs]


def test_a_lone_activation_gets_hardware_of_its_own(lower: Lower) -> None:
    text = (
        "g (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> "
        "{ a = Relu (x) y = MatMul (a, w) }"
    )
    graph = lower(text).integers
    assert [node.kernel.name for node in graph.nodes] == ["eltwise", "conv"]


def test_slopes_that_are_the_models_own_are_never_rounded(lower: Lower) -> None:
    """A mean of 3 to twice the step, on a wide grid: every third odd sum is a tie."""
    grid = QType(12, True, 2.0**-3)
    text = """
    g (float[N, 1, 1, 6] x) => (float[N, 1, 1, 2] y)
    { y = AveragePool <kernel_shape = [1, 3], strides = [1, 3]> (x) }
    """
    (node,) = lower(text, {"y": grid}).integers.nodes
    (((low, high),),) = node.kernel.ranges[0]
    accs = np.arange(low, high + 1)
    function = Affine((Fraction(1, 48),), Fraction(0))
    found = node.finishers[0].apply(accs[:, None])[:, 0]
    assert found.tolist() == [function.exact([int(acc)], grid) for acc in accs]


def test_channels_that_are_alike_are_one(lower: Lower) -> None:
    """A kernel that does the same to all of its channels has one finisher for them."""
    text = "g (float[N, 4, 2, 2] x) => (float[N, 4, 2, 2] y) { y = Relu (x) }"
    (relu,) = lower(text).integers.nodes
    assert [len(ranges) for ranges in relu.kernel.ranges] == [1]
    assert [finisher.channels for finisher in relu.finishers] == [1]


def test_what_is_done_alike_is_done_once_for_each_kind(
    lower: Lower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 30 positions of a padded row, some are pads, and all others the tensor's own."""
    seen: list[int] = []
    absorb = Relu.absorb

    def counted(self: Relu, functions: Any, shape: Any, axis: int) -> Any:
        seen.append(len(functions))
        return absorb(self, functions, shape, axis)

    monkeypatch.setattr(Relu, "absorb", counted)
    text = """
    g (float[N, 1, 1, 20] x) => (float[N, 1, 1, 30] y)
    <int64[8] p = {0, 0, 0, 4, 0, 0, 0, 6}, float v = {1.5}>
    { z = Pad (x, p, v)  y = Relu (z) }
    """
    lower(text, {"y": GRID})
    assert set(seen) == {1} and len(seen) % 2 == 0 and len(seen) < 10


GRID = QType(8, True, 0.5)


def graph_of(*nodes: Node, shape: tuple[int, ...] = (1, 2, 3), outputs: str = "y") -> Graph:
    names = {"x", *(name for node in nodes for name in (*node.inputs, node.output))}
    values = {name: Value(name, shape) for name in sorted(names)}
    grids = {"x": GRID, **dict.fromkeys(outputs, GRID)}
    return Graph("tiny", nodes, values, ("x",), tuple(outputs), grids)


def test_a_slice_of_views_is_copied() -> None:
    """An output must not be an input's wire: there has to be something to build."""
    graph = fuse(graph_of(Node("only", Reshape(), ("x",), ("y",))))
    assert [(node.name, node.outputs) for node in graph.nodes] == [("y:copy", ("y:copy",))]
    assert (graph.outputs, graph.results[0].name) == (("y:copy",), "y")
    node = graph.nodes[0]
    assert isinstance(node.finishers[0], Direct)
    x = np.arange(-3, 3)[None]
    np.testing.assert_array_equal(node.run([x])[0], x)


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
        "node 'first' (Add()): cannot be mapped to integer hardware; expected its unrounded result "
        "to have one reader; found 2. Cut the slice before or after it with --from and --to."
    )


def test_a_core_needs_a_grid_before_it() -> None:
    graph = graph_of(
        Node("first", Add(), ("x", "x"), ("a",)), Node("second", Add(), ("a", "a"), ("y",))
    )
    with pytest.raises(ModelError, match=r"node 'first' \(Add\(\)\): cannot be mapped"):
        fuse(graph)


def test_sums_that_are_too_wide_are_refused() -> None:
    graph = graph_of(Node("square", Product(), ("x", "x"), ("y",)))
    with pytest.raises(ModelError) as caught:
        fuse(replace(graph, qtypes={**graph.qtypes, "x": QType(32, True, 0.5)}))
    assert str(caught.value) == (
        "node 'square' (Product()): cannot be mapped to integer hardware; expected exact sums "
        "and an exact finisher; found that sums of 1 terms lie between -4611686016279904256 and "
        "4611686018427387904, but must stay below 2**53; use fewer bits, or sum over less. Cut the "
        "slice before or after it with --from and --to."
    )


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
    x = np.arange(9) - 4
    (found,) = Reference(integers.inputs, integers.outputs, integers.nodes).run([x[None]]).values()
    (result,) = integers.results
    image = x.reshape(1, 3, 3)
    np.testing.assert_array_equal(
        result.layout.from_stream(found[0], result.shape), image + image.transpose(0, 2, 1)
    )


def test_a_buffer_whose_name_the_model_has_already() -> None:
    """It is not taken for the buffer."""
    nodes = (
        Node("turn", Transpose((0, 2, 1)), ("x",), ("a",)),
        Node("other", Relu(), ("x",), ("x:3x3 as 10",)),
        Node("sum", Add(), ("a", "x"), ("y",)),
        Node("again", Add(), ("a", "x:3x3 as 10"), ("z",)),
    )
    graph = graph_of(*nodes, shape=(1, 3, 3), outputs="yz")
    grids = {**graph.qtypes, "x:3x3 as 10": GRID}
    integers = fuse(replace(graph, qtypes=grids))
    assert verify(integers) == []
    assert [node.name for node in integers.nodes] == [
        "other",
        "x:3x3 as 10*",
        "sum",
        "x:3x3 as 10:3x3 as 10",
        "again",
    ]
    x = np.arange(9) - 4
    found = Reference(integers.inputs, integers.outputs, integers.nodes).run([x[None]])
    image = x.reshape(1, 3, 3)
    for result, other in zip(integers.results, (image, np.maximum(image, 0)), strict=True):
        np.testing.assert_array_equal(
            result.layout.from_stream(found[result.name][0], result.shape),
            image.transpose(0, 2, 1) + other,
        )


def test_a_buffer_that_is_called_like_a_node_of_the_model() -> None:
    nodes = (
        Node("turn", Transpose((0, 2, 1)), ("x",), ("a",)),
        Node("x:3x3 as 10", Add(), ("a", "x"), ("y",)),
    )
    integers = fuse(graph_of(*nodes, shape=(1, 3, 3)))
    assert verify(integers) == []
    assert [node.name for node in integers.nodes] == ["x:3x3 as 10*", "x:3x3 as 10"]


def test_a_copy_that_is_called_like_a_node_of_the_model() -> None:
    nodes = (
        Node("view", Reshape(), ("x",), ("y",)),
        Node("y:copy", Relu(), ("x",), ("z",)),
    )
    integers = fuse(graph_of(*nodes, outputs="yz"))
    assert verify(integers) == []
    assert [node.name for node in integers.nodes] == ["y:copy", "y:copy*"]


def test_scalars(lower: Lower) -> None:
    """No axis is innermost, and there is one element all the same."""
    low = lower("g (float x, float z) => (float y) { a = Relu (x) b = Mul (a, z) y = Add (b, x) }")
    assert verify(low.integers) == []
    x, z = np.array([[-7], [3], [40]]), np.array([[5], [-9], [24]])
    reference = Reference(low.integers.inputs, low.integers.outputs, low.integers.nodes)
    (found,) = reference.run([x, z]).values()
    product = np.rint(np.maximum(x, 0) * z / 16)
    np.testing.assert_array_equal(found, product + x)


def test_the_layout_of_an_input_is_what_its_reader_wants() -> None:
    image = graph_of(Node("only", Relu(), ("x",), ("y",)), shape=(1, 2, 3, 4))
    assert wanted_layouts(image)["x"].same_order(Layout((2, 3, 4), (1, 2, 0)))
    turned = Node("turn", Transpose((0, 3, 1, 2)), ("x",), ("a",))
    values = {**image.values, "a": Value("a", (1, 4, 2, 3)), "y": Value("y", (1, 4, 2, 3))}
    nodes = (turned, Node("only", Relu(), ("a",), ("y",)))
    graph = replace(image, nodes=nodes, values=values)
    assert wanted_layouts(graph)["x"].same_order(Layout.raster((1, 2, 3, 4)))


def test_the_layout_of_an_input_far_from_what_wants_it() -> None:
    """Deeper than Python's stack: what takes any order hands on what is wanted behind it."""
    count = 2000
    nodes = [Node(f"n{k}", Relu(), (f"v{k}" if k else "x",), (f"v{k + 1}",)) for k in range(count)]
    turn = Node("turn", Transpose((0, 2, 1)), (f"v{count}",), ("y",))
    graph = graph_of(*nodes, turn, shape=(1, 3, 3))
    assert wanted_layouts(graph)["x"].same_order(Layout.raster((9,)))
