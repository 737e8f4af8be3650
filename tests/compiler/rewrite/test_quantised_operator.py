# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators of integers (QOperator format): what each becomes, and every integer by exact
arithmetic on what the operator's specification says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from midwire.compiler.emit.slice_onnx import slice_model
from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.qoperator import FORMS
from midwire.compiler.map.fuse import fuse
from midwire.compiler.quantise.insert import missing_grids, quantise
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.buildable import plan
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType
from midwire.hw.session import open_session

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]

SEED = 20261126
IMPORTS = ', "com.microsoft" : 1'

CONV = """
g (uint8[N, 2, 4, 4] x) => (uint8[N, 2, 4, 4] y)
<float s = {0.5}, uint8 z = {113}, int8[2, 2, 1, 1] w = {1, -2, 3, -128},
 float[2] t = {0.25, 0.0375}, int8[2] v = {0, 0}, int32[2] b = {100, -7}>
{ y = QLinearConv (x, s, z, w, t, v, s, z, b) }
"""

GEMM = """
g (int8[N, 3] x) => (int8[N, 2] y)
<float s = {0.5}, int8 z = {-3}, int8[2, 3] w = {1, 2, -128, 127, 5, 6},
 float[2] t = {0.25, 0.0375}, int8[2] v = {0, 1}, int32[2] b = {100, -7}>
{ y = com.microsoft.QGemm <alpha = 0.3, transB = 1> (x, s, z, w, t, v, b, s, z) }
"""

TEXTS = {
    "conv": """\
Conv, another way to write it
  - y = QLinearConv(x, 0.5, 113, w, t, v, 0.5, 113, b)
  + QLinearConv_0::x0 = DequantizeLinear(x, 0.5, 113)
  + QLinearConv_0::x1 = DequantizeLinear<axis = 0>(w, 1, v)
  + QLinearConv_0::bias = DequantizeLinear(b, 0.5)
  + QLinearConv_0::real = Conv(QLinearConv_0::x0, QLinearConv_0::x1, QLinearConv_0::bias)
  + QLinearConv_0::scales = Reshape(t, QLinearConv_0::channels)
  + QLinearConv_0::steps = Mul(QLinearConv_0::real, QLinearConv_0::scales)
  + y = QuantizeLinear(QLinearConv_0::steps, 0.5, 113)
""",
    "gemm": """\
Gemm, another way to write it
  - y = QGemm<alpha = 0.30000001192092896, transB = 1>(x, 0.5, -3, w, t, v, b, 0.5, -3)
  + QGemm_0::x0 = DequantizeLinear(x, 0.5, -3)
  + QGemm_0::x1 = DequantizeLinear<axis = 0>(w, 1, v)
  + QGemm_0::bias = DequantizeLinear(b, 0.5)
  + QGemm_0::real = Gemm<transB = 1>(QGemm_0::x0, QGemm_0::x1, QGemm_0::bias)
  + QGemm_0::steps = Mul(QGemm_0::real, t)
  + QGemm_0::scaled = Mul(QGemm_0::steps, 0.3)
  + y = QuantizeLinear(QGemm_0::scaled, 0.5, -3)
""",
}


@pytest.mark.parametrize(("text", "printed"), [(CONV, TEXTS["conv"]), (GEMM, TEXTS["gemm"])])
def test_text_form(model_file: ModelFile, text: str, printed: str) -> None:
    assert print_rewritten(rewrite(load_model(model_file(text, imports=IMPORTS)))) == printed


@dataclass(frozen=True)
class Grid:
    """A grid that no power of two is near."""

    scale: float
    zero: int
    dtype: str = "uint8"

    @property
    def step(self) -> Fraction:
        return Fraction(float(np.float32(self.scale)))

    def real(self, q: Array) -> Array:
        return (q.astype(object) - self.zero) * self.step

    def rounded(self, real: Array) -> Array:
        info = np.iinfo(self.dtype)
        q = [round(v / self.step) + self.zero for v in real.ravel()]
        return np.clip(np.array(q, object), info.min, info.max).astype(int).reshape(real.shape)


X, Z, Y = Grid(0.037, 119), Grid(0.0213, 7), Grid(0.0513, 101)
SIGNED = Grid(0.0613, -5, "int8")
UNIT = Grid(1 / 256, 0)

RNG = np.random.default_rng(SEED)
KERNEL = RNG.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8)
MATRIX = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
STEPS = RNG.uniform(0.001, 0.02, 6).astype(np.float32)
BIAS = RNG.integers(-3000, 3000, 6).astype(np.int32)
ALPHA = float(np.float32(0.3))

IMAGE, ROW = (1, 2, 4, 5), (1, 6)


def whole(model: bytes) -> Any:
    """ONNX Runtime, told not to saturate the sum of two products of uint8 by int8 to 16 bits, which
    it does where the CPU has AVX2 and no VNNI.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options)


def fractions(values: Any) -> Array:
    array = np.asarray(values)
    return np.array([Fraction(v.item()) for v in array.ravel()], object).reshape(array.shape)


def conv(x: Array, kernel: Array) -> Array:
    """Zeros around, 3 x 3."""
    wide = np.full((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2), Fraction(0))
    wide[:, :, 1:-1, 1:-1] = x
    return np.array(
        [
            [
                [
                    [(wide[n, :, i : i + 3, j : j + 3] * k).sum() for j in range(x.shape[3])]
                    for i in range(x.shape[2])
                ]
                for k in kernel
            ]
            for n in range(len(x))
        ]
    )


def windows(x: Array) -> Array:
    """Means of 2 x 2."""
    parts = [
        x[:, :, i : x.shape[2] - 1 + i, j : x.shape[3] - 1 + j] for i in (0, 1) for j in (0, 1)
    ]
    return np.sum(parts, axis=0) / Fraction(4)


def leaky(x: Array) -> Array:
    return x * np.where(x < 0, np.array(Fraction(ALPHA), object), np.array(Fraction(1), object))


def sigmoid(x: Array) -> Array:
    return fractions([1 / (1 + math.exp(-float(v))) for v in x.ravel()]).reshape(x.shape)


def conv_of(count: int, bias: bool) -> Callable[[Sequence[Array]], Array]:
    """QLinearConv with so many scales."""

    def run(x: Sequence[Array]) -> Array:
        steps = fractions(np.resize(STEPS[:count], 3)).reshape(3, 1, 1)
        sums = conv(X.real(x[0]), fractions(KERNEL))
        return (sums + (fractions(BIAS[:3]).reshape(3, 1, 1) * X.step if bias else 0)) * steps

    return run


def gemm(x: Sequence[Array]) -> Array:
    total = X.real(x[0]) @ fractions(MATRIX) + fractions(BIAS[:5]) * X.step
    return total * fractions(STEPS[:5]) * Fraction(ALPHA)


Given = Grid | Array | np.generic | None
"""An input: a grid stands for scale and zero point, an array for a constant, None for an x."""


@dataclass(frozen=True)
class One:
    """A node of one operator: its inputs, its exact result on reals, and its result's grid."""

    inputs: Sequence[Given]
    exact: Callable[[Sequence[Array]], Array]
    result: Grid = Y
    shapes: Sequence[tuple[int, ...]] = (IMAGE,)
    grids: Sequence[Grid] = (X,)
    options: Any = None


NO_ZEROS = np.zeros(3, np.int8)
M = "com.microsoft."
CASES = {
    "QLinearConv, a scale a channel, with a bias": One(
        [None, X, KERNEL, STEPS[:3], NO_ZEROS, Y, BIAS[:3]],
        conv_of(3, True),
        options={"pads": [1, 1, 1, 1]},
    ),
    "QLinearConv, one scale": One(
        [None, X, KERNEL, STEPS[:1], NO_ZEROS[:1], Y],
        conv_of(1, False),
        options={"pads": [1, 1, 1, 1]},
    ),
    "QLinearMatMul": One(
        [None, X, MATRIX, STEPS[0], NO_ZEROS[0], Y],
        lambda x: X.real(x[0]) @ fractions(MATRIX) * fractions(STEPS[0]),
        shapes=[ROW],
    ),
    M + "QGemm": One(
        [None, X, MATRIX, STEPS[:5], np.zeros(5, np.int8), BIAS[:5], Y],
        gemm,
        shapes=[ROW],
        options={"alpha": ALPHA},
    ),
    M + "QLinearAdd": One(
        [None, X, None, Z, Y],
        lambda x: X.real(x[0]) + Z.real(x[1]),
        shapes=[IMAGE, IMAGE],
        grids=[X, Z],
    ),
    M + "QLinearMul": One(
        [None, X, None, Z, Y],
        lambda x: X.real(x[0]) * Z.real(x[1]),
        shapes=[IMAGE, IMAGE],
        grids=[X, Z],
    ),
    M + "QLinearAdd, a constant": One(
        [None, X, np.uint8(200), Z, Y], lambda x: X.real(x[0]) + Z.real(np.array(200))
    ),
    M + "QLinearLeakyRelu": One(
        [None, SIGNED, SIGNED],
        lambda x: leaky(SIGNED.real(x[0])),
        result=SIGNED,
        grids=[SIGNED],
        options={"alpha": ALPHA},
    ),
    M + "QLinearSigmoid": One([None, X, UNIT], lambda x: sigmoid(X.real(x[0])), result=UNIT),
    M + "QLinearGlobalAveragePool": One(
        [None, X, Y],
        lambda x: X.real(x[0]).sum(axis=(2, 3), keepdims=True) / Fraction(20),
        options={"channels_last": 0},
    ),
    M + "QLinearAveragePool": One(
        [None, X, Y], lambda x: windows(X.real(x[0])), options={"kernel_shape": [2, 2]}
    ),
    M + "QLinearConcat": One(
        [Y, None, X, None, Z],
        lambda x: np.concatenate([X.real(x[0]), Z.real(x[1])], axis=1),
        shapes=[IMAGE, IMAGE],
        grids=[X, Z],
        options={"axis": 1},
    ),
}


def model_of(kind: str, case: One) -> onnx.ModelProto:
    """The one node, as ONNX Runtime's quantiser writes it."""
    names: list[str] = []
    constants: dict[str, Array] = {}
    inputs = iter(f"x{index}" for index in range(len(case.shapes)))
    for index, given in enumerate(case.inputs):
        if given is None:
            names.append(next(inputs))
            continue
        arrays = [given]
        if isinstance(given, Grid):
            arrays = [np.float32(given.scale), np.array(given.zero, given.dtype)]
        for part, array in enumerate(arrays):
            names.append(f"c{index}_{part}")
            constants[names[-1]] = np.asarray(array)
    domain, _, operator = kind.rpartition(".")
    node = helper.make_node(operator, names, ["y"], "n", domain=domain, **(case.options or {}))
    elem = {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(f"x{i}", elem[grid.dtype], list(shape))
            for i, (shape, grid) in enumerate(zip(case.shapes, case.grids, strict=True))
        ],
        [helper.make_tensor_value_info("y", elem[case.result.dtype], [None] * len(case.shapes[0]))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("title", CASES)
def test_every_integer(model_file: ModelFile, title: str) -> None:
    """Reference and slice.onnx against rational arithmetic; ONNX Runtime, in float32, within 1."""
    case, rng = CASES[title], np.random.default_rng(SEED)
    model = model_of(title.partition(",")[0], case)
    graph = plan(load_model(model_file(model))).selection.graph
    assert missing_grids(graph) == []
    integers = fuse(quantise(graph, lambda name: QType(8, True, 1.0), 8))
    x = [
        rng.integers(np.iinfo(g.dtype).min, np.iinfo(g.dtype).max + 1, (12, *shape[1:]))
        for g, shape in zip(case.grids, case.shapes, strict=True)
    ]
    want = case.result.rounded(case.exact(x))
    specs = [integers.tensors[name] for name in integers.inputs]
    assert [spec.name for spec in specs] == [f"x{i}" for i in range(len(x))]
    streams = [
        np.stack([spec.layout.to_stream(sample[None]) for sample in samples])
        for spec, samples in zip(specs, x, strict=True)
    ]
    (got,) = Reference(integers.inputs, integers.outputs, integers.nodes).run(streams).values()
    (last,) = integers.results
    real = np.concatenate([last.layout.from_stream(s, last.shape) for s in got])
    np.testing.assert_array_equal(real, want)
    session = open_session(slice_model(integers).SerializeToString())
    theirs = whole(model.SerializeToString())
    for k in range(len(want)):
        wires = {
            f"wire_in{i}": stream[k].astype(spec.qtype.wire_dtype)
            for i, (stream, spec) in enumerate(zip(streams, specs, strict=True))
        }
        np.testing.assert_array_equal(session.run(None, wires)[0], got[k])
        feed = {f"x{i}": v[k][None].astype(case.grids[i].dtype) for i, v in enumerate(x)}
        assert abs(theirs.run(None, feed)[0].astype(int) - want[k][None]).max() <= 1


def test_all_forms_are_tested() -> None:
    """But for Softmax, whose arithmetic is not that of reals, and the convolution of the other
    domain.
    """
    tested = {title.partition(",")[0] for title in CASES}
    assert set(FORMS) - tested == {M + "QLinearSoftmax", M + "QLinearConv"}


SOFTMAX = """
g ({batch} x) => (uint8[N, M, K] y)
<float s = {{0.0613}}, uint8 z = {{119}}, float t = {{0.00390625}}, uint8 zero = {{0}}> {{ {text} }}
"""


def integers_of(path: Path, x: Array) -> Array:
    """What the integers of ``x`` become, in the order of the model."""
    graph = plan(load_model(path), "x", "y").selection.graph
    fused = fuse(quantise(graph, lambda name: QType(8, True, 1.0), 8))
    (spec,), (result,) = (fused.tensors[name] for name in fused.inputs), fused.results
    streams = np.stack([spec.layout.to_stream(sample[None]) for sample in x])
    (got,) = Reference(fused.inputs, fused.outputs, fused.nodes).run([streams]).values()
    return np.concatenate([result.layout.from_stream(each, result.shape) for each in got])


@pytest.mark.parametrize(
    ("options", "opset", "alike"),
    [
        ("opset = 13", 13, "axis = 2"),
        ("opset = 13, axis = 1", 13, "axis = 1"),
        ("opset = 13, axis = -2", 11, "axis = 1"),
        ("opset = 11, axis = 1", 11, "axis = 1"),
        ("opset = 11, axis = 1", 13, "axis = 1"),
        ("opset = 11", 13, "axis = 2"),
    ],
)
def test_softmax(model_file: ModelFile, options: str, opset: int, alike: str) -> None:
    """The integers of Softmax between quantisers, in the opset that the node names, whatever that
    of the model; those of ONNX Runtime within 1.
    """
    batch = "uint8[N, 3, 5]"
    node = f"y = com.microsoft.QLinearSoftmax <{options}> (x, s, z, t, zero)"
    path = model_file(SOFTMAX.format(batch=batch, text=node), opset, imports=IMPORTS)
    real = f"r = DequantizeLinear(x, s, z) p = Softmax <{alike}> (r) y = QuantizeLinear(p, t, zero)"
    meant = 11 if "11" in options else 13
    standard = model_file(SOFTMAX.format(batch=batch, text=real), meant, "standard.onnx")
    x = np.random.default_rng(SEED).integers(0, 256, (7, 3, 5)).astype(np.uint8)
    got = integers_of(path, x)
    np.testing.assert_array_equal(got, integers_of(standard, x))
    theirs = whole(path.read_bytes()).run(None, {"x": x})[0]
    assert abs(theirs.astype(int) - got).max() <= 1


def test_softmax_of_a_batch(model_file: ModelFile) -> None:
    """Taken apart, but for one that takes the samples together."""
    for axis, batch, why in ((1, 5, ""), (0, 1, "works along axis 0, the batch")):
        node = f"y = com.microsoft.QLinearSoftmax <opset = 13, axis = {axis}> (x, s, z, t, zero)"
        text = SOFTMAX.format(batch="uint8[5, 3, 5]", text=node)
        source = load_model(model_file(text, imports=IMPORTS))
        assert source.batch == batch
        assert source.batch_obstacle.endswith(why) and bool(source.batch_obstacle) == bool(why)


DYNAMIC = (
    "expected a grid that is the same for all data, found one computed from it; quantise with "
    "static ranges (onnxruntime.quantization.quantize_static), or compile the float model with "
    "--calibrate"
)
SUMS = (
    "expected integer sums that are cast to float32 and multiplied by a constant scale, found "
    "another use; quantise with static ranges (onnxruntime.quantization.quantize_static), or "
    "compile the float model with --calibrate"
)
OPTIMISED = (
    "expected a model as its exporter wrote it, found channels innermost, which ONNX Runtime's own "
    "optimiser makes of it for one machine; give the model from before that"
)
DEFINED = "expected integers with their scales, and attributes, as ONNX Runtime defines them"
FUSED = OPTIMISED.replace("channels innermost", "operators fused into one")
W = "int8[4, 1] w = {1, 2, 3, 4}, float t = {0.5}"
REFUSED = {
    "g (float[N, 4] x) => (uint8[N, 4] y) { y, s, z = DynamicQuantizeLinear(x) }": DYNAMIC,
    f"g (uint8[N, 4] x, float s) => (float[N, 1] y) <{W}> "
    "{ y = com.microsoft.MatMulIntegerToFloat(x, w, s, t) }": DYNAMIC,
    f"g (float[N, 4] x) => (float[N, 1] y) <{W}> "
    "{ y = com.microsoft.DynamicQuantizeMatMul(x, w, t) }": DYNAMIC,
    f"g (uint8[N, 4] x) => (int32[N, 1] y) <{W}> {{ y = MatMulInteger(x, w) }}": SUMS,
    "g (uint8[N, 4, 4, 2] x) => (uint8[N, 1, 1, 2] y) <float s = {0.5}, uint8 z = {3}>"
    "{ y = com.microsoft.QLinearGlobalAveragePool <channels_last = 1> (x, s, z, s, z) }": OPTIMISED,
    "g (float[N, 4] x) => (float[N, 4] y) { y = com.microsoft.EmbedLayerNormalization (x) }": FUSED,
    "g (uint8[N, 4] x) => (uint8[N, 4] y) { y = com.microsoft.QGemm <transB = 1> (x, x) }": (
        f"{DEFINED}, found 2 inputs and transB = 1"
    ),
    "g (uint8[N, 4, 4, 4] x) => (uint8[N, 4, 4, 4] y) <float s = {0.5}, uint8 z = {3}>"
    "{ y = com.microsoft.QLinearAveragePool (x, s, z, s, z) }": (
        "expected a kernel_shape, found none"
    ),
    "g (uint8[N, 4] x, float s, uint8 z) => (uint8[N, 4] y) "
    "{ y = com.microsoft.QLinearConcat (s, z) }": f"{DEFINED}, found 2 inputs and no attributes",
    "g (uint8[N, 4] x, float s, uint8 z) => (uint8[N, 4] y) "
    "{ y = com.microsoft.QLinearSoftmax <opset = 13, axis = 2> (x, s, z, s, z) }": (
        f"{DEFINED}, found 5 inputs and axis = 2, opset = 13"
    ),
    "g (float[N, 4, 2, 2] x) => (float[N, 4, 2, 2] y)"
    "{ y = com.microsoft.nchwc.ReorderOutput <channels = 4> (x) }": OPTIMISED,
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_remedy(model_file: ModelFile, text: str) -> None:
    (verdict,) = import_all(load_model(model_file(text, imports=IMPORTS)))
    assert (verdict.supported, verdict.reason) == (False, REFUSED[text])


@pytest.mark.parametrize(
    ("kind", "input_", "shape", "channels"),
    [
        *(
            (M + "QGemm", 4, shape, 5)
            for shape in ((4,), (5, 1), (1, 5), (1, 1, 4, 1), (4, 4, 2, 1))
        ),
        (M + "QGemm", 5, (5, 1), 5),
        (M + "QGemm", 1, (5,), None),
        ("QLinearConv, a scale a channel, with a bias", 4, (3, 1), 3),
        ("QLinearConv, a scale a channel, with a bias", 4, (4,), 3),
        ("QLinearConv, one scale", 4, (2, 2), 3),
        ("QLinearConv, one scale", 6, (3,), None),
        ("QLinearMatMul", 4, (5, 1), 5),
        ("QLinearMatMul", 4, (4,), 5),
        ("QLinearMatMul", 1, (3,), None),
        (M + "QLinearAdd", 4, (4,), None),
        (M + "QLinearAdd, a constant", 4, (2, 2), None),
        (M + "QLinearMul", 7, (2,), None),
        (M + "QLinearSigmoid", 2, (3,), None),
        (M + "QLinearConcat", 0, (2,), None),
        (M + "QLinearConcat", 6, (2, 1), None),
        (M + "QLinearAveragePool", 3, (0,), None),
    ],
)
def test_grids_of_another_shape(
    model_file: ModelFile, kind: str, input_: int, shape: tuple[int, ...], channels: int | None
) -> None:
    model = model_of(kind.partition(",")[0], CASES[kind])
    name = model.graph.node[0].input[input_]
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    array = np.resize(numpy_helper.to_array(tensor), shape)
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    (verdict,) = import_all(load_model(model_file(model)))
    each = f", or one for each of {channels} channels" if channels else ""
    assert verdict.reason == (
        f"expected one scale and zero point for a tensor{each}, found the shape {list(shape)} "
        f"for {name!r}"
    )


@pytest.mark.parametrize(
    ("kind", "name", "value", "clause"),
    [
        (M + "QLinearConv", "kernel_shape", 3, "kernel_shape of type ints, found int"),
        (M + "QLinearConv", "group", [1], "group of type int, found ints"),
        (M + "QLinearAveragePool", "strides", 2, "strides of type ints, found int"),
        (M + "QLinearLeakyRelu", "alpha", "0.3", "alpha of type float, found string"),
        (M + "QLinearConcat", "axis", 1.0, "axis of type int, found float"),
    ],
)
def test_attributes_of_another_type(
    model_file: ModelFile, kind: str, name: str, value: Any, clause: str
) -> None:
    case = CASES[kind if kind in CASES else "QLinearConv, one scale"]
    options = {key: given for key, given in (case.options or {}).items() if key != name}
    model = model_of(kind, replace(case, options={**options, name: value}))
    (verdict,) = import_all(load_model(model_file(model)))
    assert verdict.reason == f"expected {clause}"


def test_a_scale_a_channel_of_weights_that_have_no_channels(model_file: ModelFile) -> None:
    model = model_of(M + "QGemm", CASES[M + "QGemm"])
    weights, scale = model.graph.node[0].input[3:5]
    for tensor in model.graph.initializer:
        if tensor.name in (weights, scale):
            flat = np.resize(
                numpy_helper.to_array(tensor), (6,) if tensor.name == weights else (2,)
            )
            tensor.CopyFrom(numpy_helper.from_array(flat, tensor.name))
    (verdict,) = import_all(load_model(model_file(model)))
    assert verdict.reason == (
        f"expected one scale and zero point for a tensor, found the shape [2] for {scale!r}"
    )


def test_scales_of_columns(model_file: ModelFile) -> None:
    """With as many axes as the matrix, too."""
    for shape in ((5,), (1, 5)):
        model = model_of("QLinearMatMul", CASES["QLinearMatMul"])
        for position, array in ((4, STEPS[:5]), (5, np.zeros(5, np.int8))):
            name = model.graph.node[0].input[position]
            (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
            tensor.CopyFrom(numpy_helper.from_array(array.reshape(shape), name))
        (verdict,) = import_all(load_model(model_file(model)))
        assert verdict.supported


def test_a_fixed_batch(model_file: ModelFile) -> None:
    """Taken apart like that of any operator."""
    for text in (CONV, GEMM):
        source = load_model(model_file(text.replace("[N,", "[5,"), imports=IMPORTS))
        assert (source.batch, source.batch_obstacle) == (5, "")
