# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.emit.parts import check_names, cloud_model, edge_model, middle_model
from midwire.compiler.errors import ModelError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Source
from midwire.compiler.quantise.calibrate import load_samples
from midwire.compiler.select.cuts import find_cuts
from midwire.compiler.select.selection import Selection, select
from midwire.compiler.select.support import import_all
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]

FLOAT = """
g (float[N, 3, 4, 5] x) => (float[N, 12, 5] y)
<float[3, 1, 1] c = {0.5, -1.5, 2.5}, int64[3] t = {0, 12, 5}>
{ a = Add(x, c)
  b = Relu(a)
  m = MaxPool<kernel_shape = [1, 1]>(b)
  d = Reshape(m, t)
  y = Softmax<axis = 2>(d) }
"""

QDQ = """
g (float[N, 3, 4, 5] x) => (uint8[N, 3, 4, 5] y)
<float s = {0.03}, float r = {0.05}, int8 z = {-7}, uint8 u = {9}>
{ a = QuantizeLinear(x, s, z)
  b = DequantizeLinear(a, s, z)
  c = Relu(b)
  d = QuantizeLinear(c, r, z)
  e = DequantizeLinear(d, r, z)
  f = Sigmoid(e)
  y = QuantizeLinear(f, r, u) }
"""


def grid(bits: int, signed: bool, scale: float, zero_point: int = 0) -> QType:
    return QType(bits, signed, float(np.float32(scale)), zero_point)


def parts_of(path: Path, from_: str | None, to: str | None) -> tuple[Source, Selection]:
    source = load_model(path)
    return source, select(source, import_all(source), from_, to)


def spec(source: Source, name: str, qtype: QType, perm: tuple[int, ...] = ()) -> TensorSpec:
    value = source.values[name]
    layout = Layout(value.shape, perm) if perm else Layout.channels_last(value.shape)
    return TensorSpec(name, value.shape, value.dtype, qtype, layout, 1)


def image(seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal((1, 3, 4, 5)).astype(np.float32)


# Edge


@pytest.mark.parametrize("bits", [2, 3, 7, 8, 9, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_edge_quantises_as_the_bundle_does(
    model_file: ModelFile, run_onnx: RunOnnx, bits: int, signed: bool
) -> None:
    source, _ = parts_of(model_file(FLOAT), "x", "d")
    rng = np.random.default_rng(bits)
    for zero_point in (0, 1):
        scale = rng.uniform(0.01, 3)
        border = spec(source, "x", grid(bits, signed, scale, zero_point))
        edge = edge_model(source, [border])
        # Ties, in float32, and what lies next to them; then values out of range.
        ties = (rng.integers(-(1 << bits), 1 << bits, 60) + 0.5).astype(np.float32)
        ties = ties * np.float32(scale)
        for x in (ties, np.nextafter(ties, 1e9), np.nextafter(ties, -1e9), ties * 1e6):
            x = x.reshape(source.values["x"].shape).astype(np.float32)
            wire = run_onnx(edge, {"x": x})["wire_in0"]
            expected = border.to_wire(x)
            assert wire.dtype == expected.dtype
            np.testing.assert_array_equal(wire, expected)


@pytest.mark.parametrize("opset", [7, 8, 10, 11, 13, 17, 21])
def test_edge_of_any_opset(model_file: ModelFile, run_onnx: RunOnnx, opset: int) -> None:
    source, _ = parts_of(model_file(FLOAT, opset), "b", "d")
    border = spec(source, "b", grid(8, True, 0.02, -3))
    edge = edge_model(source, [border])
    assert [output.name for output in edge.graph.output] == ["wire_in0"]
    assert "c" in {tensor.name for tensor in edge.graph.initializer}
    x = image()
    real = np.maximum(x + source.initialisers["c"], 0)
    np.testing.assert_array_equal(run_onnx(edge, {"x": x})["wire_in0"], border.to_wire(real))


IDS = """
g (int64[N, 4] x) => (float[N, 4, 2] y)
<float[3, 2] t = {1, 2, 3, 4, 5, 6}> { y = Gather(t, x) }
"""


@pytest.mark.parametrize("opset", [7, 10, 11, 13, 21])
def test_edge_bounds_integers_that_mean_themselves(
    model_file: ModelFile, run_onnx: RunOnnx, opset: int
) -> None:
    """N16, P2: they are not cut to their lowest bits."""
    source, _ = parts_of(model_file(IDS, opset), "x", "y")
    border = TensorSpec("x", (1, 4), "int64", grid(3, True, 1), Layout.raster((1, 4)), 1)
    edge = edge_model(source, [border])
    for values in ([-4, -1, 0, 3], [-(2**63), -5, 4, 2**63 - 1], [256, -256, 2**32, -(2**32)]):
        x = np.array([values], np.int64)
        wire = run_onnx(edge, {"x": x})["wire_in0"]
        np.testing.assert_array_equal(wire, border.to_wire(x))
        np.testing.assert_array_equal(wire, np.clip(x[0], -4, 3))


def test_edge_takes_the_integers_before_a_dequantiser(
    model_file: ModelFile, run_onnx: RunOnnx
) -> None:
    source, selection = parts_of(model_file(QDQ), "b", "e")
    qtype = selection.graph.qtypes["b"]
    edge = edge_model(source, [spec(source, "b", qtype)])
    assert "DequantizeLinear" not in {node.op_type for node in edge.graph.node}
    x = image()
    wire = run_onnx(edge, {"x": x})["wire_in0"]
    expected = np.rint(x / np.float32(0.03)).transpose(0, 2, 3, 1).ravel() - 7
    np.testing.assert_array_equal(wire, np.clip(expected, -128, 127))


def test_edge_keeps_a_dequantiser_of_another_grid(model_file: ModelFile) -> None:
    source, _ = parts_of(model_file(QDQ), "b", "e")
    edge = edge_model(source, [spec(source, "b", grid(4, True, 0.5, 0))])
    assert "DequantizeLinear" in {node.op_type for node in edge.graph.node}


def test_stream_order(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    source, _ = parts_of(model_file(FLOAT), "x", "d")
    for perm in ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0)):
        border = spec(source, "x", grid(8, True, 0.05, 0), perm)
        edge = edge_model(source, [border])
        moved = "Transpose" in {node.op_type for node in edge.graph.node}
        assert moved == (perm != (0, 1, 2, 3))
        wire = run_onnx(edge, {"x": image()})["wire_in0"]
        np.testing.assert_array_equal(wire, border.to_wire(image()))


# Cloud


@pytest.mark.parametrize("opset", [7, 9, 10, 13, 21])
@pytest.mark.parametrize("bits", [3, 8, 12])
@pytest.mark.parametrize("signed", [False, True])
def test_cloud_dequantises_as_the_bundle_does(
    model_file: ModelFile, run_onnx: RunOnnx, opset: int, bits: int, signed: bool
) -> None:
    # Softmax before opset 13 flattens all axes behind its own: put a plain operator there.
    text = FLOAT.replace("Softmax<axis = 2>(d)", "Neg(d)")
    source, _ = parts_of(model_file(text, opset), "x", "b")
    border = spec(source, "b", grid(bits, signed, 0.04, 2))
    cloud = cloud_model(source, [border])
    assert [value.name for value in cloud.graph.input] == ["wire_out0"]
    qtype = border.qtype
    integers = np.random.default_rng(2).integers(qtype.lo, qtype.hi + 1, border.elements)
    wire = integers.astype(qtype.wire_dtype)
    expected = -border.from_wire(wire).reshape(1, 12, 5)
    np.testing.assert_array_equal(run_onnx(cloud, {"wire_out0": wire})["y"], expected)


def test_cloud_that_is_empty(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    text = FLOAT.replace("Softmax<axis = 2>(d)", "Relu(d)")
    source, selection = parts_of(model_file(text, 8), None, None)
    assert selection.cloud == ()
    border = spec(source, "y", grid(8, True, 0.5, 1))
    cloud = cloud_model(source, [border])
    wire = np.arange(-30, 30, dtype=np.int8)
    y = run_onnx(cloud, {"wire_out0": wire})["y"]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, border.from_wire(wire))


def test_cloud_of_an_integer_output(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    text = QDQ.replace("QuantizeLinear(f, r, u)", "QuantizeLinear(e, r, u)")
    source, selection = parts_of(model_file(text), "d", "y")
    border = spec(source, "y", selection.graph.qtypes["y"])
    cloud = cloud_model(source, [border])
    wire = np.arange(60, dtype=np.uint8)
    y = run_onnx(cloud, {"wire_out0": wire})["y"]
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, wire.reshape(1, 4, 5, 3).transpose(0, 3, 1, 2))


def test_parts_hold_only_their_own_weights(model_file: ModelFile) -> None:
    source, _ = parts_of(model_file(FLOAT), "b", "m")
    edge = edge_model(source, [spec(source, "b", grid(8, True, 0.5))])
    cloud = cloud_model(source, [spec(source, "m", grid(8, True, 0.5))])
    assert "t" not in {tensor.name for tensor in edge.graph.initializer}
    assert "c" not in {tensor.name for tensor in cloud.graph.initializer}


def test_operators_of_other_domains_in_a_branch(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    """A part imports what its sub-graphs use, however deep, and no more."""
    text = """
    g (float[N, 2] x) => (float[N, 2] y)
    { a = Relu(x)
      m = ReduceMax<keepdims = 0>(a)
      t = Cast<to = 9>(m)
      y = If(t) <
        then_branch = g1 () => (float[1, 2] b) {
          b = If(t) <then_branch = g2 () => (float[1, 2] c) { c = com.microsoft.Gelu(a) },
                     else_branch = g3 () => (float[1, 2] d) { d = Neg(a) }> },
        else_branch = g4 () => (float[1, 2] e) { e = Identity(a) }> }
    """
    source = load_model(model_file(text, imports=', "com.microsoft" : 1'))
    border = spec(source, "a", grid(8, True, 0.5))
    edge, cloud = edge_model(source, [border]), cloud_model(source, [border])
    assert [entry.domain for entry in edge.opset_import] == [""]
    assert [entry.domain for entry in cloud.opset_import] == ["", "com.microsoft"]
    y = run_onnx(cloud, {"wire_out0": np.array([0, 2], np.int8)})["y"]
    np.testing.assert_allclose(y, [[0, 0.841345]], atol=1e-5)


def test_folded_shapes_become_constants(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    text = """
    g (float[N, 3, 4, 5] x) => (float[A, B] y)
    <int64 zero = {0}, int64[1] axes = {0}, int64[1] rest = {-1}>
    { r = Relu(x)
      shape = Shape(x)
      batch = Gather(shape, zero)
      first = Unsqueeze(batch, axes)
      target = Concat<axis = 0>(first, rest)
      s = Hardmax(r)
      y = Reshape(s, target) }
    """
    source, _ = parts_of(model_file(text), "x", "r")
    border = spec(source, "r", grid(8, False, 0.02))
    cloud = cloud_model(source, [border])
    assert {node.op_type for node in cloud.graph.node} >= {"Hardmax", "Reshape"}
    assert "Shape" not in {node.op_type for node in cloud.graph.node}
    wire = np.arange(60, dtype=np.uint8)
    y = run_onnx(cloud, {"wire_out0": wire})["y"]
    reals = border.from_wire(wire).reshape(source.values["r"].shape)
    first = reals.argmax(axis=-1)[..., None] == np.arange(reals.shape[-1])
    np.testing.assert_array_equal(y, first.reshape(1, 60))


def test_names_that_clash(model_file: ModelFile) -> None:
    text = FLOAT.replace("a = Add", "wire_in0 = Add").replace("Relu(a)", "Relu(wire_in0)")
    with pytest.raises(ModelError) as caught:
        check_names(load_model(model_file(text)))
    assert str(caught.value) == (
        "tensor 'wire_in0': the model uses a name that midwire needs for itself; expected no "
        "tensor called wire_in..., wire_out... or midwire/...; found 'wire_in0'. Rename the "
        "tensor in the model."
    )


@pytest.mark.parametrize("name", ["wire_out12", "midwire/0_Cast"])
def test_names_that_clash_inside(model_file: ModelFile, name: str) -> None:
    """A branch sees the names around it, and so may not have them either."""
    model = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 13]>
        g (float[1, 4] x, bool c) => (float[1, 4] y) {
            y = If (c) <
                then_branch = then () => (float[1, 4] p) { inner = Relu(x) p = Neg(inner) },
                else_branch = other () => (float[1, 4] q) { q = Relu(x) }
            >
        }
        """
    )
    branch = model.graph.node[0].attribute[0].g
    branch.node[0].output[0] = branch.node[1].input[0] = name
    with pytest.raises(ModelError, match=f"^tensor '{name}': the model uses a name that midwire "):
        check_names(load_model(model_file(model)))


def test_names_that_only_look_alike(model_file: ModelFile) -> None:
    text = FLOAT.replace("a = Add", "wire_input = Add").replace("Relu(a)", "Relu(wire_input)")
    check_names(load_model(model_file(text)))


# Whole models


def joined(
    source: Source, selection: Selection, run_onnx: RunOnnx, feed: dict[str, Array]
) -> dict[str, Array]:
    """Edge, then the slice as the model has it, then cloud."""
    grids = selection.graph.qtypes
    inputs = [spec(source, name, grids[name]) for name in selection.inputs]
    outputs = [spec(source, name, grids[name]) for name in selection.outputs]
    wires = run_onnx(edge_model(source, inputs), feed)
    real = {}
    for index, border in enumerate(inputs):
        wire = wires[f"wire_in{index}"]
        integers = border.layout.from_stream(wire, border.shape)
        real[border.name] = integers if border.is_integer else border.from_wire(wire)
    middle = run_onnx(middle_model(source, selection), real)
    sent = {f"wire_out{i}": border.to_wire(middle[border.name]) for i, border in enumerate(outputs)}
    return run_onnx(cloud_model(source, outputs), sent)


def test_toy_model_joined(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    source = load_model(model_file(QDQ))
    legal = [cut.tensors[0] for cut in find_cuts(source, import_all(source)).cuts if cut.legal]
    feed = {"x": image()}
    whole = run_onnx(source.model, feed)
    for i, from_ in enumerate(legal[:4]):
        for to in legal[i + 1 : 4]:
            _, selection = parts_of(source.path, from_, to)
            again = joined(source, selection, run_onnx, feed)
            np.testing.assert_array_equal(again["y"], whole["y"])


FORK = """
g (float[N, 3, 4, 5] x) => (float[N, 3, 4, 5] y, float[N, 3, 4, 5] e)
<float s = {0.03}, float r = {0.05}, int8 z = {-7}>
{ a = QuantizeLinear(x, s, z)
  b = DequantizeLinear(a, s, z)
  c = MaxPool<kernel_shape = [1, 1]>(b)
  d = QuantizeLinear(c, r, z)
  e = DequantizeLinear(d, r, z)
  f = Add(b, e)
  g0 = QuantizeLinear(f, r, z)
  h = DequantizeLinear(g0, r, z)
  y = Sigmoid(h) }
"""


@pytest.mark.parametrize(
    ("from_", "to"),
    [("x", "e,h"), ("a", "b,d"), ("b", "b,e"), ("b,d", "e,g0"), ("a", "b,c"), ("b,c", "h,e")],
)
def test_several_tensors_joined(
    model_file: ModelFile, run_onnx: RunOnnx, from_: str, to: str
) -> None:
    """Also one that passes through the slice, and one that is an output of the model as well."""
    source = load_model(model_file(FORK))
    support = import_all(source)
    selection = select(source, support, from_, to, calibrated=True)
    known = {"x": grid(8, True, 0.03, -7), "c": grid(8, True, 0.03, -7)}
    graph = replace(selection.graph, qtypes={**known, **selection.graph.qtypes})
    feed = {"x": image()}
    whole = run_onnx(source.model, feed)
    again = joined(source, replace(selection, graph=graph), run_onnx, feed)
    assert set(again) == {"y", "e"}
    for name, array in whole.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.models
@pytest.mark.parametrize(
    "name", ["resnet8_int8", "kws_dscnn_int8", "ad_autoencoder_int8", "vww_mobilenetv1_int8"]
)
def test_real_models_joined(models: Path, run_onnx: RunOnnx, name: str) -> None:
    path = models / name / "model.onnx"
    source = load_model(path)
    support = import_all(source)
    cuts = find_cuts(source, support)
    legal = [c.tensors[0] for c in cuts.cuts if c.legal and c.position < len(cuts.units) - 1]
    samples = load_samples(path.with_name("ref.npz"), source.inputs)
    third = len(legal) // 3
    for from_, to in ((None, None), (legal[1], legal[third]), (legal[third], legal[2 * third])):
        selection = select(source, support, from_, to)
        for index in range(2):
            feed = {key: array[index] for key, array in samples.items()}
            whole = run_onnx(source.model, feed)
            again = joined(source, selection, run_onnx, feed)
            assert set(again) == set(source.outputs)
            for output in source.outputs:
                assert again[output].dtype == whole[output].dtype
                np.testing.assert_array_equal(again[output], whole[output])
