# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Spellings of other people's exporters: every integer is what exact real arithmetic gives."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from midwire.compiler.emit.slice_onnx import slice_model
from midwire.compiler.errors import CutError, ModelError
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.load.frontend import load_model
from midwire.compiler.map.fuse import fuse
from midwire.compiler.map.implement import implement
from midwire.compiler.map.targets import TARGETS
from midwire.compiler.ops.clip import Clip
from midwire.compiler.quantise.calibrate import calibrate
from midwire.compiler.quantise.grids import DYADIC_ABOVE, choose_qtype
from midwire.compiler.quantise.insert import missing_grids, quantise
from midwire.compiler.quantise.loss import measure
from midwire.compiler.select.selection import Selection, select
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
Exact = Callable[[Array], Array]

SEED = 20260311
X = QType(8, False, float(np.float32(0.037)), 119)
Y = QType(8, True, float(np.float32(0.051)), -5)

MUL = np.array([0.5, -2.0, 0.0, 1.3], np.float32)
VARIANCE = np.array([0.1, 0.7, 1.0, 3.0], np.float32)


def fractions(values: Any) -> Array:
    """Exact values of floats."""
    array = np.asarray(values, np.float64)
    return np.array([Fraction(float(v)) for v in array.ravel()], object).reshape(array.shape)


def selected(path: Path) -> Selection:
    source = load_model(path)
    return select(source, import_all(source), calibrated=True)


def compiled(path: Path, grids: Callable[[str], QType] | None = None, bits: int = 8) -> QGraph:
    """The integer graph, the model's input on the grid X and every other tensor on Y."""
    graph = selected(path).graph
    chosen = grids or (lambda name: X if name in graph.inputs else Y)
    return fuse(quantise(graph, chosen, bits))


def run(graph: QGraph, x: Array) -> Array:
    """Integers by the numpy reference, in the ONNX shape; slice.onnx must give the same."""
    (first,), (last,) = graph.inputs, graph.results
    spec = graph.tensors[first]
    streams = np.stack([spec.layout.to_stream(sample) for sample in x])
    (result,) = Reference(graph.inputs, graph.outputs, graph.nodes).run([streams]).values()
    session = onnxruntime.InferenceSession(slice_model(graph).SerializeToString())
    for stream, want in zip(streams, result, strict=True):
        feed = {"wire_in0": stream.astype(spec.qtype.wire_dtype)}
        np.testing.assert_array_equal(session.run(None, feed)[0], want)
    return np.stack([last.layout.from_stream(stream, last.shape) for stream in result])


def rounded(real: Array, out: QType) -> Array:
    """Rule N3, element by element in rational arithmetic."""
    steps = [round(value / out.step) + out.zero_point for value in real.ravel()]
    return np.clip(np.array(steps, object), out.lo, out.hi).astype(np.int64).reshape(real.shape)


def padded(x: Array, top: int, left: int, bottom: int, right: int) -> Array:
    """Zeros around the last two axes."""
    height, width = x.shape[2:]
    wide = np.full((*x.shape[:2], top + height + bottom, left + width + right), Fraction(0))
    wide[:, :, top : top + height, left : left + width] = x
    return wide


def channels(values: Any) -> Array:
    return fractions(values).reshape(-1, 1, 1)


def normalised(x: Array) -> Array:
    factor = fractions(np.float64(MUL) / np.sqrt(np.float64(VARIANCE) + float(np.float32(1e-3))))
    centred = x - channels([0.25, -0.125, 0.0, 0.5])
    return centred * factor.reshape(-1, 1, 1) + channels(
        np.array([0.3, 0.0, -0.2, 0.1], np.float32)
    )


SHAPE = "float[1, 4, 3, 5]"
C4 = "float[4, 1, 1] c = {0.5, -2.0, 0.0, 1.3}"
SPELLINGS: dict[str, tuple[str, int, Exact]] = {
    "mul": (f"({SHAPE} y) <{C4}> {{ y = Mul(c, x) }}", 13, lambda x: x * channels(MUL)),
    "div": (
        f"({SHAPE} y) <float c = {{-3.0}}> {{ y = Div(x, c) }}",
        13,
        lambda x: x / Fraction(-3),
    ),
    "sub": (f"({SHAPE} y) <{C4}> {{ y = Sub(x, c) }}", 13, lambda x: x - channels(MUL)),
    "sub_from": (f"({SHAPE} y) <{C4}> {{ y = Sub(c, x) }}", 13, lambda x: channels(MUL) - x),
    "chain": (
        (
            f"({SHAPE} y) <{C4}, float d = {{0.7}}>"
            "{ a = Mul(x, c) b = Relu(a) e = Dropout(b) f = Identity(e) y = Sub(d, f) }"
        ),
        13,
        lambda x: fractions(np.float32(0.7)) - np.maximum(x * channels(MUL), 0),
    ),
    "mean": (
        "(float[1, 4] y) { y = ReduceMean<axes = [2, 3], keepdims = 0>(x) }",
        13,
        lambda x: x.sum(axis=(2, 3)) / 15,
    ),
    "mean_of_a_row": (
        "(float[1, 4, 3, 1] y) { y = ReduceMean<axes = [3]>(x) }",
        13,
        lambda x: x.sum(axis=3, keepdims=True) / 5,
    ),
    "mean_of_everything": (
        "(float[1, 1, 1, 1] y) { y = ReduceMean(x) }",
        13,
        lambda x: x.sum(axis=(1, 2, 3), keepdims=True) / 60,
    ),
    "mean_kept": (
        "(float[1, 4, 1, 1] y) <int64[2] a = {-1, -2}> { y = ReduceMean(x, a) }",
        18,
        lambda x: x.sum(axis=(2, 3), keepdims=True) / 15,
    ),
    "mean_of_nhwc": (
        (
            "(float[1, 4] y)"
            "{ t = Transpose<perm = [0, 2, 3, 1]>(x)"
            "  y = ReduceMean<axes = [1, 2], keepdims = 0>(t) }"
        ),
        13,
        lambda x: x.sum(axis=(2, 3)) / 15,
    ),
    "pad": (
        "(float[1, 4, 8, 6] y) <int64[8] p = {0, 0, 4, 1, 0, 0, 1, 0}> { y = Pad(x, p) }",
        13,
        lambda x: padded(x, 4, 1, 1, 0),
    ),
    "pad_by_attribute": (
        "(float[1, 4, 3, 7] y) { y = Pad<pads = [0, 0, 0, 1, 0, 0, 0, 1]>(x) }",
        9,
        lambda x: padded(x, 0, 1, 0, 1),
    ),
    "cast": (f"({SHAPE} y) {{ a = Cast<to = 1>(x) y = Relu(a) }}", 13, lambda x: np.maximum(x, 0)),
    "batch_normalization": (
        (
            f"({SHAPE} y) <"
            "float[4] s = {0.5, -2.0, 0.0, 1.3}, float[4] b = {0.3, 0.0, -0.2, 0.1},"
            "float[4] m = {0.25, -0.125, 0.0, 0.5}, float[4] v = {0.1, 0.7, 1.0, 3.0}>"
            "{ y = BatchNormalization<epsilon = 0.001>(x, s, b, m, v) }"
        ),
        9,
        normalised,
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_exact(name: str, model_file: ModelFile) -> None:
    body, opset, exact = SPELLINGS[name]
    outputs, _, nodes = body.partition("y)")
    graph = compiled(model_file(f"g ({SHAPE} x) => {outputs}y){nodes}", opset))
    rng = np.random.default_rng(SEED)
    x = rng.integers(X.lo, X.hi + 1, (3, 1, 4, 3, 5))
    real = np.array([Fraction(int(v) - X.zero_point) for v in x.ravel()], object) * X.step
    want = np.stack([rounded(exact(r), graph.results[0].qtype) for r in real.reshape(x.shape)])
    np.testing.assert_array_equal(run(graph, x), want, err_msg=f"seed {SEED}")


REFUSALS: dict[str, tuple[str, int, str]] = {
    "Div by zero": ("y = Div(x, z)", 13, "expected divisors other than zero, found zero"),
    "training": (
        "y = BatchNormalization<training_mode = 1>(x, s, s, s, s)",
        15,
        "expected training_mode 0, found 1",
    ),
    "no variance": (
        "y = BatchNormalization<epsilon = 0.0>(x, s, s, s, n)",
        13,
        "expected variance + epsilon above zero, found a variance of 0.0",
    ),
    "narrowing": (
        "h = Cast<to = 6>(x) y = Cast<to = 1>(h)",
        13,
        "expected a cast that changes nothing, found float32 to int32",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_was_expected(name: str, model_file: ModelFile) -> None:
    nodes, opset, reason = REFUSALS[name]
    constants = (
        "float c = {3.0}, float z = {0.0}, float[4] s = {1, 1, 1, 1}, float[4] n = {0, 0, 0, 0},"
        "int64[8] w = {0, 0, 1, 1, 0, 0, 1, 1}, int64[8] q = {0, 1, 0, 0, 0, 0, 0, 0},"
        f"float o = {{1.0}}, float[4, 3, 5] p = {{{', '.join(str(i) for i in range(60))}}}"
    )
    source = load_model(
        model_file(f"g ({SHAPE} x) => (float[a, b, d, e] y) <{constants}> {{ {nodes} }}", opset)
    )
    assert import_all(source)[0].reason == reason


INTEGERS = {
    "Relu": ("r = Relu(q)", "expected real numbers, found int8 values, 'q'"),
    "Add": ("r = Add(q, q)", "expected real numbers, found int8 values, 'q'"),
    "Pad": ("r = Pad(q, w)", "expected real numbers, found int8 values"),
    "MaxPool": ("r = MaxPool<kernel_shape = [1, 1]>(q)", ""),
    "Flatten": ("r = Flatten(q)", ""),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_arithmetic_on_raw_integers_is_not_that_of_reals(name: str, model_file: ModelFile) -> None:
    node, reason = INTEGERS[name]
    text = f"""g ({SHAPE} x) => (float[a, b, d, e] y)
        <float s = {{0.5}}, int8 z = {{3}}, int64[8] w = {{0, 0, 1, 1, 0, 0, 1, 1}}>
        {{ q = QuantizeLinear(x, s, z) {node} y = DequantizeLinear(r, s, z) }}"""
    assert import_all(load_model(model_file(text, 14)))[1].reason == reason


def test_pads_of_a_convolution_may_be_wider_than_its_kernel(model_file: ModelFile) -> None:
    graph = compiled(
        model_file(
            f"""g ({SHAPE} x) => (float[1, 1, 7, 10] y)
            <int8[1, 4, 2, 1] q = {{3, -7, 11, 90, 1, 2, -128, 5}}, float s = {{0.02}}>
            {{ w = DequantizeLinear(q, s) y = Conv<pads = [3, 2, 2, 3]>(x, w) }}"""
        ),
        lambda name: X if name == "x" else Y,
    )
    x = np.random.default_rng(SEED).integers(X.lo, X.hi + 1, (2, 1, 4, 3, 5))
    centred = np.pad(x - X.zero_point, [(0, 0), (0, 0), (0, 0), (3, 2), (2, 3)])
    w = np.array([[3, -7], [11, 90], [1, 2], [-128, 5]])
    sums = sum(
        np.einsum("ngchw,c->ngchw", centred, w[:, tap])[:, :, :, tap : tap + 7] for tap in (0, 1)
    )
    step = Fraction(float(np.float32(0.02))) * X.step
    total = np.asarray(sums).sum(axis=2, keepdims=True)
    real = np.array([int(v) * step for v in total.ravel()], object).reshape(total.shape)
    np.testing.assert_array_equal(run(graph, x), rounded(real, Y), err_msg=f"seed {SEED}")


NOT_FINITE = {
    "Conv": "y = Conv(x, w)",
    "bias": "y = Conv(x, v, b)",
    "Mul": "y = Mul(x, b)",
    "BatchNormalization": "y = BatchNormalization(x, s, s, s, b)",
}


@pytest.mark.parametrize("name", NOT_FINITE)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(
    name: str, value: float, model_file: ModelFile
) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        f"""g ({SHAPE} x) => (float[a, c, d, e] y)
        <float[4, 4, 1, 1] w, float[4, 4, 1, 1] v, float[4] b, float[4] s = {{1, 1, 1, 1}}>
        {{ {NOT_FINITE[name]} }}"""
    )
    for key, shape in (("w", (4, 4, 1, 1)), ("v", (4, 4, 1, 1)), ("b", (4,))):
        values = np.ones(shape, np.float32)
        if key != "v":
            values.flat[-1] = value
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, key))
    if name == "Mul":
        model.graph.initializer[-1].dims[:] = [4, 1, 1]
    (verdict,) = import_all(load_model(model_file(model)))
    tensor = "w" if name == "Conv" else "b"
    assert verdict.reason == f"expected finite constants, found NaN or infinity in {tensor!r}"


def test_a_choice_of_what_has_no_shape(model_file: ModelFile) -> None:
    """ONNX does not look at a mask and a constant that do not fit each other then."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        """g (float[1, 4, 3, 5] x) => (float[1, 4, 3, 5] y)
        <bool[3, 5] m = {1,0,0,0,0,1,1,0,0,0,1,1,1,0,0}, int64[3] n = {1, 2, 3}>
        { t = Tile (x, n)  y = Where (m, t, n) }"""
    )
    reasons = {v.op_type: v.reason for v in import_all(load_model(model_file(model)))}
    assert reasons["Where"] == "expected a known shape, found none for 't'"


def test_weights_beyond_float32_are_refused(model_file: ModelFile) -> None:
    """Each integer and each scale is a number, and DequantizeLinear makes infinity of them."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        f"""g ({SHAPE} x) => (float[a, c, d, e] y)
        <int8[4, 4, 1, 1] q, float[4] s = {{1, 1, 1, 3e38}}, int8[4] z = {{0, 0, 0, 0}}>
        {{ w = DequantizeLinear <axis = 0> (q, s, z)
           y = Conv(x, w) }}"""
    )
    integers = np.full((4, 4, 1, 1), 9, np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(integers, "q"))
    reasons = [v.reason for v in import_all(load_model(model_file(model))) if v.reason]
    assert reasons == ["expected constants of up to 3.4e+38, found 2.7e+39 in 'w'"]


@pytest.mark.parametrize("body", ["Add(x, b)", "Add(b, x)", "Sub(b, x)"])
def test_a_sum_with_infinity_is_an_end_of_the_grid(body: str, model_file: ModelFile) -> None:
    """As exporters write masks of attention."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        f"g ({SHAPE} x) => ({SHAPE} y) <float[4, 1, 5] b> {{ y = {body} }}"
    )
    added = np.zeros((4, 1, 5), np.float32)
    added[1, 0, 2], added[2] = np.inf, -np.inf
    model.graph.initializer.append(onnx.numpy_helper.from_array(added, "b"))
    rng = np.random.default_rng(SEED)
    got = run(compiled(model_file(model)), rng.integers(X.lo, X.hi + 1, (3, 1, 4, 3, 5)))
    assert (got[:, 0, 1, :, 2] == Y.hi).all() and (got[:, 0, 2] == Y.lo).all()
    assert (got[:, 0, 0] != Y.lo).any(), f"seed {SEED}"


@pytest.mark.parametrize("body", ["Add(x, b)", "Sub(b, x)", "Min(x, b)", "Mul(x, b)"])
def test_a_grid_without_steps_is_no_summand(body: str, model_file: ModelFile) -> None:
    """A number may be infinite, a step between numbers not."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        f"g ({SHAPE} x) => ({SHAPE} y) <int8[5] q = {{1, 2, 3, 4, 5}}, float s, int8 z = {{0}}>"
        f"{{ b = DequantizeLinear(q, s, z)  y = {body} }}"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(np.inf, np.float32), "s"))
    reasons = [v.reason for v in import_all(load_model(model_file(model))) if v.reason]
    assert reasons == ["expected finite constants, found NaN or infinity in 'b'"]


def test_what_is_no_number_is_no_summand(model_file: ModelFile) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        f"g ({SHAPE} x) => ({SHAPE} y) <float b> {{ y = Add(x, b) }}"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "b"))
    (verdict,) = import_all(load_model(model_file(model)))
    assert verdict.reason == "expected finite constants, found NaN or infinity in 'b'"


@pytest.mark.parametrize(
    ("bounds", "want"),
    [
        ((-np.inf, np.inf), Clip()),
        ((-1.5, np.inf), Clip(Fraction(-3, 2), None)),
        ((-np.inf, 6.0), Clip(None, Fraction(6))),
    ],
)
def test_infinity_bounds_nothing(
    bounds: tuple[float, float], want: Clip, model_file: ModelFile
) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        f"g ({SHAPE} x) => ({SHAPE} y) <float l, float h> {{ y = Clip(x, l, h) }}"
    )
    for key, value in zip("lh", bounds, strict=True):
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(value, np.float32), key)
        )
    (verdict,) = import_all(load_model(model_file(model)))
    assert [piece.op for piece in verdict.pieces] == [want]


@pytest.mark.parametrize(
    "body",
    [
        "{ a = Conv(x, w) b = Add(a, x) n = Mul(b, c) y = Relu(n) }",
        (
            "{ t = Transpose<perm = [0, 2, 3, 1]>(x) a = Add(t, v)"
            "  y = Transpose<perm = [0, 3, 1, 2]>(a) }"
        ),
        "{ u = Reshape(x, r) a = Mul(u, d) y = Reshape(a, q) }",
    ],
)
def test_constants_of_channels_behind_a_sum_and_behind_views(
    body: str, model_file: ModelFile
) -> None:
    ones = ", ".join("1" if i % 5 == 0 else "0" for i in range(16))
    graph = compiled(
        model_file(
            f"""g ({SHAPE} x) => ({SHAPE} y)
            <float[4, 4, 1, 1] w = {{{ones}}}, {C4}, float[4] v = {{0.5, -2.0, 0.0, 1.3}},
             float[4, 1] d = {{0.5, -2.0, 0.0, 1.3}}, int64[3] r = {{1, 4, 15}},
             int64[4] q = {{1, 4, 3, 5}}> {body}"""
        ),
        lambda name: X if name == "x" else Y,
    )
    x = np.random.default_rng(SEED).integers(X.lo, X.hi + 1, (2, 1, 4, 3, 5))
    real = np.array([int(v - X.zero_point) * X.step for v in x.ravel()], object).reshape(x.shape)
    if "Conv" in body:
        real = np.array(
            [(int(v) - Y.zero_point) * Y.step for v in rounded(real, Y).ravel()], object
        )
        real = real.reshape(x.shape)
        first = np.array([int(v - X.zero_point) * X.step for v in x.ravel()], object)
        want = np.maximum((real + first.reshape(x.shape)) * channels(MUL), 0)
    elif "Add" in body:
        want = real + channels(MUL)
    else:
        want = real * channels(MUL)
    np.testing.assert_array_equal(run(graph, x), rounded(want, Y), err_msg=f"seed {SEED}")


def test_groups_become_one(model_file: ModelFile) -> None:
    rng = np.random.default_rng(SEED)
    w = rng.integers(-128, 128, (6, 2, 1, 1))
    text = ", ".join(str(v) for v in w.ravel())
    graph = compiled(
        model_file(
            f"""g ({SHAPE} x) => (float[1, 6, 3, 5] y)
            <int8[6, 2, 1, 1] q = {{{text}}}, float s = {{0.01}}, int8 z = {{3}}>
            {{ w = DequantizeLinear(q, s, z) y = Conv<group = 2>(x, w) }}"""
        ),
        lambda name: X if name == "x" else Y,
    )
    x = rng.integers(X.lo, X.hi + 1, (2, 1, 4, 3, 5))
    step = Fraction(float(np.float32(0.01))) * X.step
    sums = np.einsum(
        "nghij,goh->ngoij",
        (x - X.zero_point).reshape(2, 2, 2, 3, 5),
        (w - 3).reshape(2, 3, 2),
    ).reshape(2, 1, 6, 3, 5)
    real = np.array([int(v) * step for v in sums.ravel()], object).reshape(sums.shape)
    np.testing.assert_array_equal(run(graph, x), rounded(real, Y), err_msg=f"seed {SEED}")
    kernel = graph.nodes[0].kernel
    assert isinstance(kernel, ConvKernel) and kernel.depthwise is False


def test_groups_count_their_own_multiplications(model_file: ModelFile) -> None:
    ones = ", ".join("1" * 12)
    source = load_model(
        model_file(
            f"g ({SHAPE} x) => (float[1, 6, 3, 5] y) <float[6, 2, 1, 1] w = {{{ones}}}>"
            "{ y = Conv<group = 2>(x, w) }"
        )
    )
    assert import_all(source)[0].macs == 6 * 15 * 2


def test_gemm_scales_its_product_and_its_bias(model_file: ModelFile) -> None:
    graph = compiled(
        model_file(
            """g (float[1, 2] x) => (float[1, 2] y)
            <int8[2, 2] q = {3, -7, 11, 90}, float s = {0.02}, float[2] c = {0.5, -0.25}>
            { w = DequantizeLinear(q, s) y = Gemm<alpha = -0.75, beta = 2.0>(x, w, c) }"""
        )
    )
    x = np.random.default_rng(SEED).integers(X.lo, X.hi + 1, (9, 1, 2))
    step = Fraction(float(np.float32(0.02))) * X.step * Fraction(-3, 4)
    sums = (x - X.zero_point) @ np.array([[3, -7], [11, 90]])
    real = np.array([int(v) * step for v in sums.ravel()], object).reshape(sums.shape)
    want = rounded(real + fractions([1.0, -0.5]), Y)
    np.testing.assert_array_equal(run(graph, x), want, err_msg=f"seed {SEED}")


def test_an_input_of_the_slice_has_a_grid_whatever_reads_it(model_file: ModelFile) -> None:
    graph = selected(model_file(f"g ({SHAPE} x) => ({SHAPE} y) {{ y = Relu(x) }}")).graph
    assert missing_grids(graph) == ["x", "y"]


def test_an_input_that_is_only_rounded_takes_that_grid(model_file: ModelFile) -> None:
    source = load_model(
        model_file(
            f"""g ({SHAPE} x) => ({SHAPE} y) <float s = {{0.5}}, uint8 z = {{7}}>
            {{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) r = Relu(d)
               t = QuantizeLinear(r, s, z) y = DequantizeLinear(t, s, z) }}"""
        )
    )
    graph = select(source, import_all(source), "x", "y", calibrated=True).graph
    assert missing_grids(graph) == []
    assert fuse(graph).tensors["x"].qtype == QType(8, False, 0.5, 7)


DEEP = """g (float[1, 4, 3, 5] x) => (float[1, 5] y)
<float[4, 4, 3, 3] w, float[4] b = {0.1, -3.0, 0.0, 7.0}, float[5, 60] v>
{ a = Conv<pads = [1, 1, 1, 1]>(x, w, b) c = Relu(a) d = Add(c, x) f = Flatten(d)
  y = Gemm<transB = 1>(f, v) }"""


@pytest.mark.parametrize("bits", range(2, 17))
def test_every_width_has_exact_requantisers(bits: int, model_file: ModelFile) -> None:
    """Up to 16 bits, with a residual sum: the reference and slice.onnx agree on every bit."""
    rng = np.random.default_rng(SEED)
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 13]>' + DEEP)
    for name, shape in (("w", (4, 4, 3, 3)), ("v", (5, 60))):
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        values[0] *= 1e-5  # a channel that hardly counts
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    source = load_model(model_file(model))
    graph = select(source, import_all(source), calibrated=True).graph
    samples = {"x": rng.normal(0, 1, (64, 1, 4, 3, 5)).astype(np.float32)}
    observed = calibrate(source, missing_grids(graph), samples)

    def grid(name: str) -> QType:
        return choose_qtype(observed[name], bits, dyadic=bits > DYADIC_ABOVE)

    integers = fuse(quantise(graph, grid, bits))
    qtype = integers.tensors["x"].qtype
    run(integers, rng.integers(qtype.lo, qtype.hi + 1, (4, 1, 4, 3, 5)))
    losses = measure(source, integers, samples).losses
    loss = losses[-1].sqnr.db
    assert loss is not None and loss > 5.5 * bits - 12, f"seed {SEED}"


@pytest.mark.parametrize("bits", [8, 16])
def test_a_float_layer_of_any_size_has_exact_requantisers(bits: int, model_file: ModelFile) -> None:
    """256 channels of 256 steps come too near to a tie, were the slopes not ours to choose."""
    rng = np.random.default_rng(SEED)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]>'
        """g (float[1, 256] x) => (float[1, 256] y)
        <float[256, 256] w, float[256] b, float[256] f>
        { a = Gemm(x, w, b) c = Mul(a, f) y = Relu(c) }"""
    )
    for name, shape in (("w", (256, 256)), ("b", (256,)), ("f", (256,))):
        values = rng.normal(0, 0.1, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    grid = QType(bits, False, 2.0 ** (4 - bits), 1 << (bits - 1))
    graph = compiled(model_file(model), lambda name: grid, bits)
    run(graph, rng.integers(grid.lo, grid.hi + 1, (4, 1, 256)))


def test_a_side_of_a_cut_without_work_is_called_so(model_file: ModelFile) -> None:
    ones = ", ".join("1" * 16)
    source = load_model(
        model_file(
            f"g ({SHAPE} x) => ({SHAPE} y) <float[4, 4, 1, 1] w = {{{ones}}}>"
            "{ r = Relu(x) c = Conv(r, w) y = Relu(c) }"
        )
    )
    sentence = (
        "expected supported nodes with work to do between two cuts; "
        "found no multiply-accumulates {} that tensor. "
        "midwire inspect lists every node and every cut."
    )
    with pytest.raises(CutError, match=f"{sentence.format('behind')}$"):
        select(source, import_all(source), from_="c")
    with pytest.raises(CutError, match=f"{sentence.format('before')}$"):
        select(source, import_all(source), to="r")


def test_the_slowest_node_says_what_rate_is_possible(model_file: ModelFile) -> None:
    """Asking for what the refusal names is granted."""
    w = ", ".join("1" * 16)
    text = f"""g ({SHAPE} x) => (float[1, 4, 2, 3] y) <float[4, 4, 1, 1] w = {{{w}}}>
        {{ c = Conv(x, w) r = Relu(c) y = MaxPool <kernel_shape = [2, 3]> (r) }}"""
    graph, target = compiled(model_file(text)), TARGETS["ecp5"]
    with pytest.raises(
        ModelError, match=r"^node 'MaxPool_2': .* at most 0\.277 times the wanted one"
    ):
        implement(graph, target, 10, strict=True, strategy="folded")
    assert implement(graph, target, int(10 / 0.277), strict=True, strategy="folded")
