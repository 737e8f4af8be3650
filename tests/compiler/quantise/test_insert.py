# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Grids come to every tensor that integer hardware reads, and to no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.ir.graph import Graph, Node, Value, verify
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops.add import Add
from midwire.compiler.ops.conv import Conv, per_channel_grid
from midwire.compiler.ops.conv_transpose import ConvTranspose
from midwire.compiler.ops.quantize import Quantize
from midwire.compiler.ops.relu import Relu
from midwire.compiler.quantise.insert import grids_of, missing_grids, quantise, weighed
from midwire.compiler.select.buildable import plan
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

Array = np.ndarray[Any, Any]
Lower = Callable[..., Any]

NET = """
g (float[N, 2, 4, 4] x) => (float[N, 2] y)
<float[2, 2, 1, 1] w = {1, -1, 0.5, 0.25}, float[2, 2] m = {1, -2, 3, 4}, float[1] one = {1}>
{ a = Conv (x, w)
  b = Add (a, one)
  c = Relu (b)
  d = MaxPool <kernel_shape = [2, 2]> (c)
  e = Conv (d, w)
  f = Add (e, d)
  g1 = GlobalMaxPool (f)
  h = Flatten (g1)
  y = MatMul (h, m) }
"""


def test_what_needs_a_grid(lower: Lower) -> None:
    """Not: a and b, which go into the convolution; d, g1 and h, which lie on a grid already."""
    assert missing_grids(lower(NET).real) == ["x", "c", "e", "f", "y"]


def test_a_quantiser_that_is_called_like_a_node_of_the_model(lower: Lower) -> None:
    real = lower(NET).real
    nodes = [replace(n, name="Relu_2:grid") if n.name == "Conv_0" else n for n in real.nodes]
    graph = replace(real, nodes=tuple(nodes))
    rounded = quantise(graph, lambda name: QType(8, True, 1.0), 8)
    assert verify(rounded) == []
    assert [n.name for n in rounded.nodes][:4] == ["Relu_2:grid", "Add_1", "Relu_2", "Relu_2:grid*"]


def test_where_quantisers_go(lower: Lower) -> None:
    asked: list[str] = []

    def choose(name: str) -> QType:
        asked.append(name)
        return QType(8, True, 2.0 ** -len(asked))

    rounded = quantise(lower(NET).real, choose, 8)
    assert asked == ["x", "c", "e", "f", "y"]
    assert rounded.qtypes == {"x": QType(8, True, 0.5)}
    quantisers = [node for node in rounded.nodes if isinstance(node.op, Quantize)]
    assert [(n.name, n.inputs, n.output) for n in quantisers] == [
        ("Relu_2:grid", ("c:real",), "c"),
        ("Conv_4:grid", ("e:real",), "e"),
        ("Add_5:grid", ("f:real",), "f"),
        ("MatMul_8:grid", ("y:real",), "y"),
    ]
    producer = rounded.producer("c:real")
    assert producer is not None and producer.name == "Relu_2"
    assert rounded.values["c:real"].shape == (1, 2, 4, 4)
    grids = grids_of(rounded)
    assert grids["d"] == grids["c"] == QType(8, True, 0.25)
    assert grids["h"] == grids["g1"] == grids["f"]
    assert missing_grids(rounded) == []


def test_a_name_that_the_model_has_already(lower: Lower) -> None:
    """The unrounded c is called c:real, unless a tensor is."""
    low = lower(NET.replace(" e = Conv (d, w)", " cREAL = Conv (d, w) e = Relu(cREAL)"))
    named = {"cREAL": "c:real"}
    graph = low.real
    nodes = tuple(
        replace(
            node,
            inputs=tuple(named.get(name, name) for name in node.inputs),
            outputs=tuple(named.get(name, name) for name in node.outputs),
        )
        for node in graph.nodes
    )
    values = {named.get(name, name): value for name, value in graph.values.items()}
    renamed = replace(graph, nodes=nodes, values=values)
    rounded = quantise(renamed, lambda name: QType(8, True, 0.5), 8)
    assert verify(rounded) == []
    assert {name for name in rounded.values if ":" in name} == {
        "c:real",
        "c:real*",
        "e:real",
        "f:real",
        "y:real",
    }


def conv_of(graph: Graph) -> Conv:
    return next(node.op for node in graph.nodes if isinstance(node.op, Conv))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_get_a_symmetric_grid_a_channel(bits: int) -> None:
    values = np.array([[1.0, -0.37], [0.5, 0.21]], np.float32).reshape(2, 2, 1, 1)
    weight = per_channel_grid(values, bits)
    assert weight.scale is not None and weight.zero_point is not None
    assert not weight.zero_point.any()
    top = 2 ** (bits - 1) - 1
    wanted = [float(np.float32(peak / top)) for peak in (1.0, 0.5)]
    assert weight.scale.ravel().tolist() == wanted
    assert np.abs(weight.values).reshape(2, -1).max(axis=1).tolist() == [top, top]


def test_weights_that_are_few_multiples_of_a_number_are_exact(lower: Lower) -> None:
    weight = conv_of(lower(NET, bits=8).rounded).weight
    assert weight.values.reshape(2, 2).tolist() == [[1, -1], [2, 1]]
    units = np.array([[np.float32(0.3) / 3], [0.7]], np.float32)
    values = units * np.array([[3, 0, -1, 2], [1, -1, 0, 1]], np.float32)
    for bits in (4, 8):
        grid = per_channel_grid(values, bits)
        assert grid.values.tolist() == [[3, 0, -1, 2], [1, -1, 0, 1]]
        assert grid.scale is not None
        np.testing.assert_array_equal(grid.values.astype(np.float32) * grid.scale, values)
    # Two bits hold multiples up to 1. Wide grids need scales of few bits.
    assert per_channel_grid(values, 2).values.tolist()[1] == [1, -1, 0, 1]
    assert np.abs(per_channel_grid(values, 12).values).max() > 7
    assert per_channel_grid(np.sign(values), 12).values.tolist() == [[1, 0, -1, 1], [1, -1, 0, 1]]


BINARY = """
g (float[N, 2, 4, 4] x) => (float[N, 2, 2, 2] y)
<float[2, 2, 3, 3] w = {1, -1, 1, 1, -1, 1, -1, -1, 1, 1, 1, -1, -1, -1, 1, -1, 1, 1,
                        -1, 1, 1, -1, 1, -1, 1, 1, 1, -1, -1, 1, 1, 1, -1, -1, -1, 1},
 float[2] scale = {0.7, -0.3}, float[2] shift = {0.11, -0.2}, float[2] mean = {0.3, 0.1},
 float[2] var = {0.8, 1.2}>
{ a = Sign (x)
  b = Conv (a, w)
  c = BatchNormalization (b, scale, shift, mean, var)
  y = Sign (c) }
"""


def test_a_sign_behind_a_sum_is_a_step_of_the_sum(lower: Lower) -> None:
    """Its grid is known, whatever was seen, and the sum needs none: nothing is lost there."""
    rounded = lower(BINARY).rounded
    grids = grids_of(rounded)
    assert [name for name in "abcy" if name in grids] == ["a", "y"]
    assert grids["a"] == grids["y"] == QType(2, True, 1.0)
    assert set(conv_of(rounded).weight.values.ravel().tolist()) == {-1, 1}


def test_weights_of_zero_and_of_one_sign() -> None:
    values = np.array([[0.0, 0.0], [-1.0, -0.37], [3.0, 0.99]], np.float32)
    grid = per_channel_grid(values, 8)
    assert grid.scale is not None
    assert grid.values.tolist() == [[0, 0], [-127, -47], [127, 42]]
    assert grid.scale[0] == 1.0
    error = [abs(Fraction(float(v)) - q) for v, q in zip(values.ravel(), grid.exact(), strict=True)]
    steps = np.repeat(grid.scale.ravel(), 2)
    assert all(e <= Fraction(float(s)) / 2 for e, s in zip(error, steps, strict=True))


QDQ = """
g (float[N, 2] x) => (float[N, 2] y)
<float s = {0.5}, float r = {0.25}, uint8 z = {3}, int8[2, 2] k = {1, 2, 3, 4}, int8 zero = {0}>
{ q = QuantizeLinear (x, s, z)
  a = DequantizeLinear (q, s, z)
  w = DequantizeLinear (k, r, zero)
  b = MatMul (a, w)
  c = QuantizeLinear (b, r, z)
  d = DequantizeLinear (c, r, z)
  y = Relu (d) }
"""


def test_grids_of_a_quantised_model_are_its_own(lower: Lower) -> None:
    low = lower(QDQ)
    first, second = QType(8, False, 0.5, 3), QType(8, False, 0.25, 3)
    grids = grids_of(low.real)
    assert (grids["q"], grids["a"], grids["c"], grids["d"]) == (first, first, second, second)
    assert "b" not in grids
    assert {name: t.qtype for name, t in low.integers.tensors.items()} == {"q": first, "c": second}


SHARED = """
g (float[N, 2] x) => (float[N, 2] y)
<float s = {0.5}, float r = {0.25}, uint8 z = {3}, int8[2, 2] i = {1, 2, 3, 4}, int8 o = {0}>
{ p = QuantizeLinear (x, s, z)
  q = DequantizeLinear (p, s, z)
  k = DequantizeLinear (i, r, o)
  a = MatMul (q, k)
  b = Relu (a)
  c = QuantizeLinear (b, s, z)
  d = DequantizeLinear (c, s, z)
  e = QuantizeLinear (b, SCALE, z)
  f = DequantizeLinear (e, SCALE, z)
  g1 = Add (d, f)
  h = QuantizeLinear (g1, s, z)
  y = DequantizeLinear (h, s, z) }
"""


def test_readers_that_round_alike_share_a_grid(lower: Lower) -> None:
    low = lower(SHARED.replace("SCALE", "s"))
    assert grids_of(low.real)["b"] == QType(8, False, 0.5, 3)
    assert missing_grids(low.real) == []
    assert [node.kernel.name for node in low.integers.nodes] == ["conv", "eltwise"]


def test_readers_that_round_differently_do_not(lower: Lower) -> None:
    assert missing_grids(lower(SHARED.replace("SCALE", "r")).real) == ["b"]


BEFORE_A_POOL = """
g (uint8[N, 1, 4, 4] x) => (uint8[N, 8] y)
<float s = {0.5}, uint8 z = {3}, int8[2, 1, 1, 1] k = {1, -2}, int8 o = {0}, int64[2] t = {1, 8}>
{ a = DequantizeLinear (x, s, z)
  w = DequantizeLinear (k, s, o)
  b = Conv (a, w)
  c = Relu (b)
  d = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
  e = Reshape (d, t)
  y = QuantizeLinear (e, s, z) }
"""


def test_what_keeps_a_grid_may_stand_before_the_quantiser(lower: Lower) -> None:
    """The old static quantiser pools before it rounds; rounding before the pool is the same."""
    low = lower(BEFORE_A_POOL)
    assert missing_grids(low.real) == []
    grids = grids_of(low.real)
    assert "b" not in grids
    assert grids["c"] == grids["d"] == grids["e"] == QType(8, False, 0.5, 3)


def test_an_output_before_the_quantiser_is_not_rounded(lower: Lower) -> None:
    text = BEFORE_A_POOL.replace("(uint8[N, 8] y)", "(uint8[N, 8] y, float[N, 2, 4, 4] c)")
    assert "c" not in grids_of(lower(text).real)


def test_a_node_of_several_outputs_gets_a_grid_at_each() -> None:
    values = {name: Value(name, (1, 2)) for name in "xyz"}
    graph = Graph("two", (Node("split", Relu(), ("x",), ("y", "z")),), values, ("x",), ("y", "z"))
    rounded = quantise(graph, lambda name: QType(8, True, 2.0 ** -"xyz".index(name)), 8)
    assert [(node.name, node.inputs, node.outputs) for node in rounded.nodes] == [
        ("split", ("x",), ("y:real", "z:real")),
        ("split:grid", ("y:real",), ("y",)),
        ("split:grid1", ("z:real",), ("z",)),
    ]
    assert grids_of(rounded)["z"] == QType(8, True, 0.25)
    assert verify(rounded) == []


@pytest.mark.parametrize(("own", "missing"), [(False, ["x", "a", "y"]), (True, ["y"])])
def test_a_grid_before_a_function_that_needs_a_table(own: bool, missing: list[str]) -> None:
    """But not in a model that has grids of its own, and none there."""

    class Wave(Relu):
        @property
        def needs_table(self) -> bool:
            """Bends."""
            return True

    values = {name: Value(name, (1, 2)) for name in "xaby"}
    nodes = (
        Node("first", Add(), ("x", "x"), ("a",)),
        Node("bend", Wave(), ("a",), ("b",)),
        Node("last", Relu(), ("b",), ("y",)),
    )
    qtypes = {"x": QType(8, True, 0.5)} if own else {}
    graph = Graph("wave", nodes, values, ("x",), ("y",), qtypes)
    assert missing_grids(graph) == missing
    assert missing_grids(quantise(graph, lambda name: QType(8, True, 0.25), 8)) == []


@pytest.mark.parametrize("low", [-1.25, 0.0, 0.3], ids=["below", "at zero", "between"])
def test_rounding_before_a_clamp(lower: Lower, run_onnx: Any, low: float) -> None:
    """The quantiser's grid goes back through what clamps, and through views before that: no data is
    needed, and the bits are those of rounding behind it. Scales are such that float32 is exact.
    """
    text = f"""
    g (int8[1, 4, 2, 2] x) => (int8[1, 1, 4, 4] y)
    <float s = {{0.5}}, float t = {{0.25}}, float one = {{1}}, int8 off = {{-3}}, int8 zero = {{0}},
     int8[4, 4, 1, 1] w = {{{", ".join(str(k % 7 - 3) for k in range(16))}}},
     float low = {{{low}}}, float high = {{9.75}}>
    {{ xr = DequantizeLinear (x, s, off)
       wr = DequantizeLinear (w, t, zero)
       a = Conv (xr, wr)
       b = DepthToSpace <blocksize = 2> (a)
       c = Relu (b)
       d = Clip (c, low, high)
       y = QuantizeLinear (d, one, off) }}
    """
    found = lower(text)
    assert missing_grids(found.real) == []
    assert grids_of(found.real)["a"] == QType(8, True, 1.0, -3)
    graph = found.integers
    reference = Reference(graph.inputs, graph.outputs, graph.nodes)
    rng = np.random.default_rng(11)
    (tensor,), (out,) = (graph.tensors[name] for name in graph.inputs), graph.results
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 13]>\n' + text)
    for _ in range(20):
        x = rng.integers(-40, 41, tensor.shape).astype(np.int8)
        (got,) = reference.run_wire([tensor.layout.to_stream(x).reshape(1, -1)])
        want = run_onnx(model, {"x": x})["y"]
        np.testing.assert_array_equal(out.layout.from_stream(got[0], out.shape), want)


BIASED = """
g (float[N, 4, 3, 3] x) => (float[N, 5] y)
{ a = Conv (x, w, c)
  b = Conv <group = 4> (a, v)
  t = ConvTranspose <group = 2, strides = [2, 1], pads = [1, 0, 0, 1]> (b, u, e)
  p = Flatten (t)
  y = Gemm <alpha = 0.5, beta = 2.0> (p, m, d) }
"""


def test_biases_make_up_for_rounded_weights(model_file: Callable[..., Any]) -> None:
    """On inputs of the given mean, every layer's mean is that of the real one again."""
    rng = np.random.default_rng(11)
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 13]>' + BIASED)
    shapes = {"w": (4, 4, 1, 1), "c": (4,), "v": (4, 1, 1, 3), "m": (72, 5), "d": (5,)}
    shapes |= {"u": (4, 3, 3, 3), "e": (6,)}
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    real = plan(load_model(model_file(model)), calibrated=True).selection.graph
    x = rng.uniform(0, 1, (1, 4, 3, 3))
    means = {
        "x": x,
        "a": rng.uniform(-1, 0, (1, 4, 3, 3)),
        "b": rng.uniform(-1, 1, (1, 4, 3, 1)),
        "p": rng.uniform(0, 2, (1, 72)),
    }
    assert weighed(real) == list(means)
    grid = QType(8, True, 0.125)
    plain, corrected = (
        [node.op for node in quantise(real, lambda name: grid, 3, given) if node.op.is_core]
        for given in (None, means)
    )
    wanted = [node.op for node in real if node.op.is_core]

    def mean_of(op: Any, mean: Array) -> Array:
        """Of the result's channels, by the definition of the operator."""
        bias = 0 if op.bias is None else op.bias.real
        if isinstance(op, Conv) and op.group > 1:  # one pixel a row, whose taps are the columns
            return (op.weight.real[:, 0, 0] * mean.mean(axis=(0, 2))).sum(axis=1) + bias
        if isinstance(op, Conv):
            return op.weight.real[:, :, 0, 0] @ mean.mean(axis=(0, 2, 3)) + bias
        if isinstance(op, ConvTranspose):  # strides 2 and 1, of whose result a row and a column go
            whole = np.zeros((6, 7, 3))
            for o, c, y, k, column in np.ndindex(6, 2, 3, 3, 3):
                weight = op.weight.real[o, c, k, column]
                whole[o, 2 * y + k, column] += weight * mean[0, 2 * (o // 3) + c, y, 0]
            return whole[:, 1:, :2].mean(axis=(1, 2)) + bias
        return float(op.alpha) * (op.weight.real @ mean[0]) + float(op.beta) * bias

    for before, after, own, mean in zip(plain, corrected, wanted, means.values(), strict=True):
        expected = mean_of(own, mean)
        assert np.abs(mean_of(before, mean) - expected).max() > 1e-3
        np.testing.assert_allclose(mean_of(after, mean), expected, atol=1e-5)


def test_what_needs_a_grid_has_one_before_what_could_be_absorbed(lower: Lower) -> None:
    """A maximum of tensors on other grids is one of integers on its own, and a Relu behind it is
    hardware of its own; a quantiser behind the Relu says what grid that is.
    """
    net = "g (float[1, 4] x, float[1, 4] z) => (float[1, 4] y) <%s> { a = Max (x, z) %s }"
    assert missing_grids(lower(net % ("float s = {1}", "y = Relu (a)")).real) == [
        "x",
        "z",
        "a",
        "y",
    ]
    quantised = (
        "b = Relu (a) c = QuantizeLinear (b, s, k) d = DequantizeLinear (c, s, k) y = Relu(d)"
    )
    grids = grids_of(lower(net % ("float s = {0.5}, int8 k = {3}", quantised)).real)
    assert grids["a"] == QType(8, True, 0.5, 3)
