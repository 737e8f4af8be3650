# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Each pattern: how it prints, the spellings that exporters use, what is none of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from midwire.compiler.load.frontend import load_model
from midwire.compiler.rewrite.patterns import PATTERNS
from midwire.compiler.rewrite.rewriting import Rewritten, print_rewritten, rewrite

ModelFile = Callable[..., Path]

SEED = 17

ROOT = float(np.float32(math.sqrt(2)))
HALF_ROOT = float(np.float32(math.sqrt(0.5)))
SLOPE = float(np.float32(math.sqrt(2 / math.pi)))
CUBIC = float(np.float32(0.044715))
SIXTH = float(np.float32(1 / 6))

CONSTANTS = {
    "one": 1.0,
    "half": 0.5,
    "two": 2.0,
    "three": 3.0,
    "six": 6.0,
    "zero": 0.0,
    "root": ROOT,
    "half_root": HALF_ROOT,
    "slope": SLOPE,
    "cubic": CUBIC,
    "sixth": SIXTH,
    "eps": 1e-5,
    "quick": 1.702,
    "minus_one": -1.0,
    "minus_half": -0.5,
    "fourth": 0.25,
    "third": 1 / 3,
    "twenty": 20.0,
}


def rewritten(model_file: ModelFile, body: str, opset: int = 13, outputs: str = "") -> Rewritten:
    """A model of one input with the constants above, and a scale and bias for its last axis."""
    known = ", ".join(f"float {name} = {{{value!r}}}" for name, value in CONSTANTS.items())
    known += f", float[1] ones = {{1}}, float[3, 4] halves = {{{', '.join(['0.5'] * 12)}}}"
    known += ", float[4] gamma = {0.5, 1, 2, -1}, float[4] beta = {1, 0, -3, 2}"
    text = f"g (float[N, 3, 4] x) => ({outputs}float[N, 3, 4] y) <{known}> {{ {body} }}"
    return rewrite(load_model(model_file(text, opset)))


def operators(found: Rewritten) -> list[str]:
    return [unit.operator for unit in found.units if unit.operator]


GELU = {
    "torch": "a = Div(x, root) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
    "tensorflow": "a = Mul(x, half_root) b = Erf(a) c = Add(one, b) d = Mul(half, c) y = Mul(d, x)",
    "half first": "h = Mul(half, x) a = Mul(half_root, x) b = Erf(a) c = Add(b, one) y = Mul(h, c)",
    "halved": "h = Div(x, two) a = Div(x, root) b = Erf(a) c = Add(b, one) y = Mul(c, h)",
    "constants of several shapes": "a = Div(x, root) b = Erf(a) c = Add(ones, b) d = Mul(halves, c)"
    " y = Mul(d, x)",
    "distributed": "h = Mul(x, half) a = Div(x, root) b = Erf(a) c = Mul(h, b) y = Add(c, h)",
    "complement": "n = Neg(x) a = Mul(n, half_root) b = Erf(a) c = Sub(one, b) d = Mul(half, x)"
    " y = Mul(d, c)",
}

GELU_TANH = {
    "power": "p = Pow(x, three) q = Mul(p, cubic) r = Add(x, q) s = Mul(r, slope) t = Tanh(s)"
    " u = Add(t, one) v = Mul(x, half) y = Mul(v, u)",
    "products": "p = Mul(x, cubic) q = Mul(p, x) q2 = Mul(x, q) r = Add(q2, x) s = Mul(slope, r)"
    " t = Tanh(s) u = Add(one, t) v = Mul(half, u) y = Mul(x, v)",
    "fast": "h = Mul(x, half) a = Mul(x, slope) p = Mul(x, cubic) q = Mul(p, x) r = Add(q, one)"
    " s = Mul(a, r) t = Tanh(s) u = Add(t, one) y = Mul(h, u)",
    "factored": "p = Mul(x, x) q = Mul(p, cubic) r = Add(one, q) a = Mul(x, slope) s = Mul(a, r)"
    " t = Tanh(s) u = Add(one, t) v = Mul(x, u) y = Mul(v, half)",
}

HARD_SWISH = {
    "torch": "a = Add(x, three) b = Clip(a, zero, six) c = Div(b, six) y = Mul(x, c)",
    "product first": "a = Add(three, x) b = Clip(a, zero, six) c = Mul(b, x) y = Div(c, six)",
    "sixth": "a = Add(three, x) b = Clip(a, zero, six) c = Mul(b, x) y = Mul(sixth, c)",
    "relu6": "a = Add(x, three) b = Relu(a) b2 = Min(b, six) c = Mul(x, b2) y = Mul(c, sixth)",
    "bounds": "a = Add(x, three) b = Max(a, zero) c = Min(b, six) d = Mul(x, c) y = Div(d, six)",
    "hard sigmoid": f"a = HardSigmoid<alpha = {SIXTH!r}, beta = 0.5>(x) y = Mul(a, x)",
}

SWISH = {
    "sigmoid": "a = Sigmoid(x) y = Mul(x, a)",
    "quick": "q = Mul(x, quick) a = Sigmoid(q) y = Mul(a, x)",
    "exponential": "n = Neg(x) e = Exp(n) f = Add(e, one) y = Div(x, f)",
    "reciprocal": "n = Mul(x, minus_one) e = Exp(n) f = Add(one, e) g = Reciprocal(f)"
    " y = Mul(g, x)",
}

SOFTPLUS = {"torch": "s = Softplus(x) a = Greater(x, twenty) y = Where(a, x, s)"}

MEAN = "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m)"
LAYER_NORMALIZATION = {
    "torch": f"{MEAN} p = Pow(d, two) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps) r = Sqrt(w)"
    " n = Div(d, r) s = Mul(n, gamma) y = Add(s, beta)",
    "two subtractions": f"{MEAN} d2 = Sub(x, m) p = Mul(d2, d2) v = ReduceMean<axes = [2]>(p)"
    " w = Add(eps, v) r = Sqrt(w) n = Div(d, r) s = Mul(gamma, n) y = Add(beta, s)",
    "reciprocal": f"{MEAN} p = Mul(d, d) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps) r = Sqrt(w)"
    " i = Reciprocal(r) j = Mul(i, gamma) s = Mul(d, j) y = Add(s, beta)",
    "batch": f"{MEAN} p = Mul(d, d) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps) r = Sqrt(w)"
    " i = Reciprocal(r) j = Mul(i, gamma) s = Mul(x, j) k = Mul(m, j) l = Sub(beta, k)"
    " y = Add(s, l)",
    "power": f"{MEAN} p = Pow(d, two) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps)"
    " r = Pow(w, half) n = Div(d, r) s = Mul(n, gamma) y = Add(s, beta)",
    "bare": f"{MEAN} p = Pow(d, two) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps) r = Sqrt(w)"
    " y = Div(d, r)",
    "scale only": f"{MEAN} p = Pow(d, two) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps)"
    " r = Sqrt(w) n = Div(d, r) y = Mul(n, gamma)",
}

SQUARE = "p = Pow(x, two) v = ReduceMean<axes = [-1]>(p) w = Add(v, eps)"
RMS_NORMALIZATION = {
    "torch": f"{SQUARE} r = Sqrt(w) n = Div(x, r) y = Mul(n, gamma)",
    "reciprocal": f"{SQUARE} r = Sqrt(w) i = Reciprocal(r) n = Mul(x, i) y = Mul(gamma, n)",
    "one over it": f"{SQUARE} r = Sqrt(w) i = Div(one, r) n = Mul(i, x) y = Mul(n, gamma)",
    "product": "p = Mul(x, x) v = ReduceMean<axes = [2]>(p) w = Add(eps, v) r = Sqrt(w)"
    " n = Div(x, r) y = Mul(gamma, n)",
    "sum": "v1 = ReduceSumSquare<axes = [2]>(x) v = Mul(v1, fourth) w = Add(v, eps) r = Sqrt(w)"
    " n = Div(x, r) y = Mul(n, gamma)",
    "scale first": f"{SQUARE} r = Sqrt(w) i = Reciprocal(r) j = Mul(i, gamma) y = Mul(x, j)",
    "power": f"{SQUARE} r = Pow(w, minus_half) n = Mul(x, r) y = Mul(n, gamma)",
    "bare": f"{SQUARE} r = Sqrt(w) y = Div(x, r)",
    "all axes": "p = Mul(x, x) v = ReduceMean<axes = [1, 2]>(p) w = Add(v, eps) r = Sqrt(w)"
    " n = Div(x, r) y = Mul(n, gamma)",
    "another axis": "p = Mul(x, x) v = ReduceMean<axes = [1]>(p) w = Add(v, eps) r = Sqrt(w)"
    " n = Div(x, r) y = Mul(n, half)",
}

SPELLINGS = {
    "Gelu": {**GELU, **{f"tanh, {name}": body for name, body in GELU_TANH.items()}},
    "HardSwish": HARD_SWISH,
    "Swish": SWISH,
    "Softplus": SOFTPLUS,
    "LayerNormalization": LAYER_NORMALIZATION,
    "RMSNormalization": RMS_NORMALIZATION,
}

CASES = [
    pytest.param(operator, body, id=f"{operator}-{name}")
    for operator, bodies in SPELLINGS.items()
    for name, body in bodies.items()
]


def evaluate(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A model of one output, by ONNX's reference."""
    results: Any = ReferenceEvaluator(model).run(None, {"x": x})
    return np.asarray(results[0])


def model_of(found: Rewritten, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """Nodes in the newest opset."""
    arrays = found.source.initialisers
    shape = [1, 3, 4]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)])


@pytest.mark.parametrize(("operator", "body"), CASES)
def test_spellings(model_file: ModelFile, operator: str, body: str) -> None:
    """Each is one operator, of every node, that computes the same (but for float32's rounding)."""
    found = rewritten(model_file, body)
    assert operators(found) == [operator]
    (unit,) = found.units
    assert [node.name for node in unit.sources] == [node.name for node in found.own.nodes]
    x = np.random.default_rng(SEED).normal(0, 2, (1, 3, 4)).astype(np.float32)
    got = evaluate(model_of(found, unit.nodes), x)
    np.testing.assert_allclose(got, evaluate(found.own.model, x), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(GELU["torch"].replace("half)", "sixth)"), id="another factor"),
        pytest.param(GELU["torch"].replace("root)", "half_root)"), id="another root"),
        pytest.param(GELU["torch"].replace("Add(b", "Sub(b"), id="another sign"),
        pytest.param("z = Relu(x) " + GELU["torch"].replace("Mul(x", "Mul(z"), id="two operands"),
        pytest.param(HARD_SWISH["torch"].replace("zero, six", "zero, three"), id="another bound"),
        pytest.param(SWISH["quick"].replace("quick", "half"), id="another slope"),
        pytest.param(SOFTPLUS["torch"].replace("twenty", "six"), id="a threshold that shows"),
        pytest.param(SOFTPLUS["torch"].replace("a, x, s", "a, s, x"), id="the other branch"),
        pytest.param(
            LAYER_NORMALIZATION["bare"].replace("v = ReduceMean<axes = [-1]>", "v = Identity"),
            id="no variance",
        ),
    ],
)
def test_what_is_no_pattern_of_its_own(model_file: ModelFile, body: str) -> None:
    """But a formula of one element."""
    assert operators(rewritten(model_file, body)) == ["Formula"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            RMS_NORMALIZATION["sum"].replace("fourth)", "third)"), id="the count of another axis"
        ),
        pytest.param(
            "p = Mul(x, x) v = ReduceMean<axes = [2]>(p) q = Sqrt(v) r = Add(q, eps) n = Div(x, r)"
            " y = Mul(n, gamma)",
            id="epsilon outside the root",
        ),
    ],
)
def test_what_is_no_pattern(model_file: ModelFile, body: str) -> None:
    assert operators(rewritten(model_file, body)) == []


def test_a_constant_that_is_next_to_the_right_one(model_file: ModelFile) -> None:
    """Not even the next float32 will do."""
    near = float(np.nextafter(np.float32(ROOT), np.float32(2)))
    body = GELU["torch"].replace("Div(x, root)", "Div(x, near)")
    text = f"near = Constant<value_float = {near!r}>() {body}"
    assert operators(rewritten(model_file, text)) == ["Formula"]
    text = f"near = Constant<value_float = {ROOT!r}>() {body}"
    assert operators(rewritten(model_file, text)) == ["Gelu"]


@pytest.mark.parametrize("inner", list("abcd"))
def test_inner_tensors_are_nobody_elses(model_file: ModelFile, inner: str) -> None:
    """Rule R2: no output of the model, and nobody else's input."""
    rest = ["Formula"] if inner == "d" else []  # all of it but a factor
    found = rewritten(model_file, GELU["torch"], outputs=f"float[N, 3, 4] {inner}, ")
    assert operators(found) == rest
    body = f"{GELU['torch'].replace('y =', 'z =')} k = LpNormalization({inner}) y = Add(z, k)"
    assert operators(rewritten(model_file, body)) == rest


@pytest.mark.parametrize(
    "body",
    [
        "n = Sigmoid(x) r = ReduceMean<keepdims = 0>(n) s = ReduceMean(r) y = Mul(x, s)",
        "c = Div(one, zero) a = Mul(x, c) b = Sigmoid(a) y = Mul(x, b)",
    ],
    ids=["a mean of no axes", "a constant that is no number"],
)
def test_odd_models_are_no_pattern(model_file: ModelFile, body: str) -> None:
    assert operators(rewritten(model_file, body)) == []


def test_a_bias_behind_a_mean_square_stays(model_file: ModelFile) -> None:
    """RMSNormalization has none; it goes into the finisher of what is before it."""
    found = rewritten(
        model_file, f"{RMS_NORMALIZATION['torch'].replace('y =', 'z =')} y = Add(z, beta)"
    )
    assert [unit.operator for unit in found.units] == ["RMSNormalization", ""]


def test_the_longer_spelling_wins(model_file: ModelFile) -> None:
    """Rule R1: a normalisation without scale and bias is part of one with them."""
    found = rewritten(model_file, LAYER_NORMALIZATION["torch"])
    assert len(found.units) == 1
    assert list(found.units[0].nodes[0].input) == ["x", "y::scale", "y::bias"]


def test_neighbours(model_file: ModelFile) -> None:
    """Two patterns, one behind the other, and a node between them."""
    first = GELU["torch"].replace("y =", "z =")
    second = "k = Relu(z) a2 = Sigmoid(k) y = Mul(k, a2)"
    found = rewritten(model_file, f"{first} {second}")
    assert [unit.operator for unit in found.units] == ["Gelu", "", "Swish"]
    assert [unit.name for unit in found.units] == ["Mul_4", "Relu_5", "Mul_7"]


PRINTED = """\
(x - mean(x)) / sqrt(mean((x - mean(x))**2) + epsilon) [* scale] [+ bias]
  [Transpose] LayerNormalization<axis, epsilon>(x, scale, bias) [Transpose]
[Reshape](InstanceNormalization([Reshape](x), s, b)) [* scale] [+ bias]
  GroupNormalization<num_groups, epsilon>(x, scale, bias)
x / sqrt(mean(x**2) + epsilon) [* scale]
  [Transpose] RMSNormalization<axis, epsilon>(x, scale) [Transpose]
x / max(norm(x), floor), x / sqrt(sum(x**2) + epsilon)
  LpNormalization<axes, p, floor, epsilon>(x)
0.5 * x * (1 + erf(x / sqrt(2)))
  Gelu(x)
0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
  Gelu<approximate = "tanh">(x)
x * clip(x + 3, 0, 6) / 6, or x * HardSigmoid<alpha = 1/6>(x)
  HardSwish(x)
x * sigmoid(alpha * x), or x / (1 + exp(-alpha * x)), for alpha 1 or 1.702
  Swish<alpha>(x)
Where(Greater(x, threshold), x, Softplus(x)), for a threshold from 14 on
  Softplus(x)
Mul(Cast(ConvInteger(x, w, x_zero, w_zero) + b), s)
  Div(Mul(Conv(DequantizeLinear(x, s_x, x_zero), DequantizeLinear(w, 1, w_zero)) + b * s_x, \
s), s_x)
Mul(Cast(MatMulInteger(x, w, x_zero, w_zero) + b), s)
  Div(Mul(MatMul(DequantizeLinear(x, s_x, x_zero), DequantizeLinear(w, 1, w_zero)) + b * s_x, \
s), s_x)
MatMul(Cast(Equal(x, [0, 1, 2, ...])), table), MatMul(OneHot(x), table)
  Embedding(x, table)
Where(IsNaN(x), a, x), Where(IsInf(x), a, x)
  x
DequantizeLinear(Clip(QuantizeLinear(x, scale, zero), low, high), scale, zero)
  DequantizeLinear(QuantizeLinear([Clip](x), scale, zero), scale, zero), narrower
QLinearConv(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Conv(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
QLinearMatMul(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(MatMul(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QGemm(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Gemm(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearAdd(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Add(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearAveragePool(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(AveragePool(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearConcat(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Concat(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearConv(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Conv(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearGlobalAveragePool(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(GlobalAveragePool(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearLeakyRelu(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(LeakyRelu(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearMul(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Mul(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearSigmoid(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Sigmoid(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.QLinearSoftmax(x, x_scale, x_zero, ..., y_scale, y_zero)
  QuantizeLinear(Softmax(DequantizeLinear(x, x_scale, x_zero), ...), y_scale, y_zero)
com.microsoft.DequantizeLinear(x, scale, zero_point)
  DequantizeLinear(x, scale, zero_point), as in the newest opset
com.microsoft.QuantizeLinear(x, scale, zero_point)
  QuantizeLinear(x, scale, zero_point), as in the newest opset
(clip(round(x / scale + zero_point), low, high) - zero_point) * scale
  DequantizeLinear(QuantizeLinear(clip(x), scale, zero_point), scale, zero_point)
where(x < 0, -scale, scale)
  DequantizeLinear(QuantizeLinear(BipolarQuant(x, scale), scale), scale)
floor([clip](clip(round(x / scale)) / 2**n)) * out_scale, or ceil or round
  DequantizeLinear(QuantizeLinear([Clip](q / 2**n - (1 - 2**-n) / 2)), out_scale) of \
q = QuantizeLinear(x, scale)
Where(Greater(x, a), b * x + c, d * exp(x)), 2 * Cast(GreaterOrEqual(x, 0)) - 1, \
x * tanh(softplus(x)), and their kind
  Formula(x), one function
exp(x - max(x)) / sum(exp(x - max(x)))
  Softmax<axis>(x)
exp(x) / sum(exp(x))
  Softmax<axis>(x)
MatMul(Softmax(MatMul(q, k^T) * scale [+ mask]), v)
  Attention<scale>(q, k, v, mask)
"""


def test_every_pattern_prints_before_and_after() -> None:
    printed = "".join(f"{pattern.before}\n  {pattern.after}\n" for pattern in PATTERNS)
    assert printed == PRINTED


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            GELU["torch"],
            """\
Gelu, spelled out in 5 nodes
  - a = Div(x, 1.41421)
  - b = Erf(a)
  - c = Add(b, 1)
  - d = Mul(x, c)
  - y = Mul(d, 0.5)
  + y = Gelu(x)
""",
        ),
        (
            GELU_TANH["power"],
            """\
Gelu, spelled out in 8 nodes
  - p = Pow(x, 3)
  - q = Mul(p, 0.044715)
  - r = Add(x, q)
  - s = Mul(r, 0.797885)
  - t = Tanh(s)
  - u = Add(t, 1)
  - v = Mul(x, 0.5)
  - y = Mul(v, u)
  + y = Gelu<approximate = tanh>(x)
""",
        ),
        (
            HARD_SWISH["torch"],
            """\
HardSwish, spelled out in 4 nodes
  - a = Add(x, 3)
  - b = Clip(a, 0, 6)
  - c = Div(b, 6)
  - y = Mul(x, c)
  + y = HardSwish(x)
""",
        ),
        (
            SWISH["quick"],
            """\
Swish, spelled out in 3 nodes
  - q = Mul(x, 1.702)
  - a = Sigmoid(q)
  - y = Mul(a, x)
  + y = Swish<alpha = 1.7020000219345093>(x)
""",
        ),
        (
            LAYER_NORMALIZATION["torch"],
            """\
LayerNormalization, spelled out in 9 nodes
  - m = ReduceMean<axes = [-1]>(x)
  - d = Sub(x, m)
  - p = Pow(d, 2)
  - v = ReduceMean<axes = [-1]>(p)
  - w = Add(v, 1e-05)
  - r = Sqrt(w)
  - n = Div(d, r)
  - s = Mul(n, gamma)
  - y = Add(s, beta)
  + y = LayerNormalization<axis = -1, epsilon = 9.999999747378752e-06>(x, y::scale, y::bias)
""",
        ),
    ],
)
def test_text_form(model_file: ModelFile, body: str, text: str) -> None:
    assert print_rewritten(rewritten(model_file, body)) == text
