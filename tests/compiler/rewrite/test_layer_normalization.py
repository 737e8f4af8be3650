# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LayerNormalization: over any axes, as each exporter writes it, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Source
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import Rewritten, Unit, print_rewritten, rewrite
from midwire.compiler.select.support import import_all
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, np.ndarray[Any, Any]]], dict[str, Any]]

SEED = 29


def values(shape: str, seed: int) -> str:
    """A constant tensor in ONNX's text form."""
    numbers = np.random.default_rng(seed).normal(0, 1, [int(n) for n in shape.split(",")])
    return f"{{{', '.join(f'{number:.4f}' for number in numbers.ravel())}}}"


@dataclass(frozen=True)
class Spelling:
    """Nodes from ``x`` to ``y`` of one shape, and the shape of ``gamma`` and ``beta``."""

    shape: str
    parameters: str
    body: str
    opset: int = 13
    becomes: tuple[str, ...] = ("LayerNormalization",)
    constants: str = ""

    @property
    def text(self) -> str:
        """The model."""
        parameters = ", ".join(
            f"float[{self.parameters}] {name} = {values(self.parameters, seed)}"
            for seed, name in enumerate(("gamma", "beta"))
        )
        return (
            f"g (float[N, {self.shape}] x) => (float[N, {self.shape}] y) <{parameters}, "
            "float zero = {0}, float one = {1}, float two = {2}, float half = {0.5}, "
            f"float eps = {{0.0009765625}}{self.constants}> {{ {self.body} }}"
        )


TRANSPOSED = ("Transpose", "LayerNormalization", "Transpose")
DEVIATION = "w = Add(v, eps) r = Sqrt(w)"
AFFINE = "n = Div(d, r) s = Mul(n, gamma) y = Add(s, beta)"

# jax2tf and tf2onnx: sums without their axis, times the inverse of the count, brought back by a
# Reshape and an Expand; the variance is a difference of means that is clamped at 0.
JAX = """
a = ReduceSum<keepdims = 0, noop_with_empty_axes = 1>(x, axes)
b = Mul(x, x)
c = ReduceSum<keepdims = 0, noop_with_empty_axes = 1>(b, axes)
c1 = Mul(c, inverse)
m = Mul(a, inverse)
q = Mul(m, m)
v = Sub(c1, q)
v1 = Max(zero, v)
v2 = Reshape(v1, kept)
v3 = Expand(v2, kept)
w = Add(v3, eps)
r = Sqrt(w)
i = Reciprocal(r)
j = Mul(i, gamma)
m1 = Reshape(m, kept)
m2 = Expand(m1, kept)
d = Sub(x, m2)
s = Mul(d, j)
y = Add(s, beta)
"""


def jax(axes: str, kept: str, count: int) -> str:
    """The constants that its reductions read."""
    size, rank = len(axes.split(",")), len(kept.split(","))
    return (
        f", int64[{size}] axes = {{{axes}}}, int64[{rank}] kept = {{{kept}}},"
        f" float inverse = {{{float(np.float32(1 / count))!r}}}"
    )


SPELLINGS = {
    "jax over axis 1": Spelling(
        "3, 4", "1, 3, 1", JAX, becomes=TRANSPOSED, constants=jax("1", "1, 1, 4", 3)
    ),
    "jax over a negative axis": Spelling(
        "3, 4", "1, 3, 1", JAX, becomes=TRANSPOSED, constants=jax("-2", "1, 1, 4", 3)
    ),
    "jax over the last axis": Spelling("6", "1, 6", JAX, constants=jax("1", "1, 1", 6)),
    "jax over two axes": Spelling(
        "3, 4, 5", "3, 1, 5", JAX, becomes=TRANSPOSED, constants=jax("1, 3", "1, 1, 4, 1", 15)
    ),
    "jax with all axes at once": Spelling(
        "3, 4",
        "1, 3, 4",
        JAX.replace(", noop_with_empty_axes = 1", "").replace(", axes)", ")"),
        constants=jax("1", "1, 1, 1", 12),
    ),
    "jax, divided": Spelling(
        "3, 4",
        "1, 3, 1",
        JAX.replace("Mul(c, inverse)", "Div(c, count)").replace("Mul(a, inverse)", "Div(a, count)"),
        becomes=TRANSPOSED,
        constants=jax("1", "1, 1, 4", 3) + ", float[1] count = {3}",
    ),
    "jax, squares summed": Spelling(
        "3, 4",
        "1, 3, 1",
        JAX.replace("b = Mul(x, x)", "").replace(
            "ReduceSum<keepdims = 0, noop_with_empty_axes = 1>(b, axes)",
            "ReduceSumSquare<axes = [1], keepdims = 0>(x)",
        ),
        becomes=TRANSPOSED,
        constants=jax("1", "1, 1, 4", 3),
    ),
    # Keras: tf.nn.moments and tf.nn.batch_normalization.
    "keras": Spelling(
        "3, 4",
        "4",
        "m = ReduceMean<axes = [2]>(x) e = Sub(x, m) p = Mul(e, e) v = ReduceMean<axes = [2]>(p)"
        f" {DEVIATION} i = Reciprocal(r) j = Mul(i, gamma) k = Mul(m, j) l = Sub(beta, k)"
        " s = Mul(x, j) y = Add(s, l)",
    ),
    "keras without a bias": Spelling(
        "3, 4",
        "4",
        "m = ReduceMean<axes = [2]>(x) e = Sub(x, m) p = Mul(e, e) v = ReduceMean<axes = [2]>(p)"
        f" {DEVIATION} i = Reciprocal(r) j = Mul(i, gamma) k = Mul(m, j) s = Mul(x, j)"
        " y = Sub(s, k)",
    ),
    "keras over channels first": Spelling(
        "3, 2, 5",
        "3, 1, 1",
        "m = ReduceMean<axes = [1]>(x) e = Sub(x, m) p = Mul(e, e) v = ReduceMean<axes = [1]>(p)"
        f" {DEVIATION} i = Reciprocal(r) j = Mul(i, gamma) k = Mul(m, j) l = Sub(beta, k)"
        " s = Mul(x, j) y = Add(s, l)",
        becomes=TRANSPOSED,
    ),
    # tf2onnx, where it knows a normalisation of rank 3 by its nodes.
    "tf2onnx": Spelling(
        "3, 4",
        "4",
        "n = InstanceNormalization<epsilon = 0.01>(x, ones, zeros) s = Mul(n, gamma)"
        " y = Add(s, beta)",
        constants=", float[3] ones = {1, 1, 1}, float[3] zeros = {0, 0, 0}",
    ),
    # torch: several axes, and ConvNeXt's own normalisation of channels.
    "torch over three axes": Spelling(
        "2, 3, 4",
        "2, 3, 4",
        "m = ReduceMean<axes = [-3, -2, -1]>(x) d = Sub(x, m) p = Pow(d, two)"
        f" v = ReduceMean<axes = [-3, -2, -1]>(p) {DEVIATION} {AFFINE}",
    ),
    "torch over channels": Spelling(
        "3, 2, 2",
        "3, 1, 1",
        f"m = ReduceMean<axes = [1]>(x) d = Sub(x, m) p = Pow(d, two)"
        f" v = ReduceMean<axes = [1]>(p) {DEVIATION} n = Div(d, r) s = Mul(gamma, n)"
        " y = Add(s, beta)",
        becomes=TRANSPOSED,
    ),
    "torch of opset 18": Spelling(
        "3, 4",
        "4",
        f"m = ReduceMean(x, last) d = Sub(x, m) p = Pow(d, two) v = ReduceMean(p, last)"
        f" {DEVIATION} {AFFINE}",
        opset=18,
        constants=", int64[1] last = {-1}",
    ),
    "torch of opset 11": Spelling(
        "3, 4",
        "4",
        "m = ReduceSum<axes = [-1]>(x) m1 = Div(m, four) d = Sub(x, m1) p = Pow(d, two)"
        f" v1 = ReduceSum<axes = [-1]>(p) v = Div(v1, four) {DEVIATION} {AFFINE}",
        opset=11,
        constants=", float[1, 1, 1] four = {4}",
    ),
    "torch with casts that change nothing": Spelling(
        "3, 4",
        "4",
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) e = Cast<to = 1>(d) p = Pow(e, two)"
        f" v = ReduceMean<axes = [-1]>(p) {DEVIATION} {AFFINE}",
    ),
    "a power of -1/2": Spelling(
        "3, 4",
        "4",
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) p = Pow(d, two)"
        " v = ReduceMean<axes = [-1]>(p) w = Add(v, eps) r = Pow(w, root) n = Mul(r, d)"
        " s = Mul(n, gamma) y = Add(s, beta)",
        constants=", float root = {-0.5}",
    ),
    "a power of -1": Spelling(
        "3, 4",
        "4",
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) p = Pow(d, two)"
        f" v = ReduceMean<axes = [-1]>(p) {DEVIATION} i = Pow(r, minus) n = Mul(d, i)"
        " s = Mul(n, gamma) y = Add(s, beta)",
        constants=", float minus = {-1}",
    ),
    "axes without keepdims, unsqueezed": Spelling(
        "3, 4",
        "3, 1",
        "m1 = ReduceMean<axes = [1], keepdims = 0>(x) m = Unsqueeze(m1, first) d = Sub(x, m)"
        " p = Pow(d, two) v1 = ReduceMean<axes = [1], keepdims = 0>(p) v2 = Add(v1, eps)"
        f" w = Unsqueeze(v2, first) r = Sqrt(w) {AFFINE}",
        becomes=TRANSPOSED,
        constants=", int64[1] first = {1}",
    ),
    "an axis of length 1 behind it": Spelling(
        "5, 1",
        "1, 5, 1",
        "m = ReduceMean<axes = [1]>(x) d = Sub(x, m) p = Pow(d, two)"
        f" v = ReduceMean<axes = [1, 2]>(p) {DEVIATION} {AFFINE}",
    ),
    "one scale and one bias": Spelling(
        "3, 4",
        "1",
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) p = Pow(d, two)"
        f" v = ReduceMean<axes = [-1]>(p) {DEVIATION} i = Reciprocal(r) j = Mul(i, gamma)"
        " s = Mul(d, j) y = Sub(s, beta)",
    ),
    "constants of the whole shape": Spelling(
        "3, 4",
        "4",
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) p = Pow(d, twos)"
        f" v = ReduceMean<axes = [-1]>(p) w = Add(v, small) r = Sqrt(w) {AFFINE}",
        constants=f", float[1, 3, 4] twos = {{{', '.join(['2'] * 12)}}}"
        ", float[1, 3, 1] small = {0.01, 0.01, 0.01}",
    ),
}


def found_in(model_file: ModelFile, spelling: Spelling) -> tuple[Rewritten, list[Unit]]:
    found = rewrite(load_model(model_file(spelling.text, spelling.opset)))
    return found, [unit for unit in found.units if unit.operator]


def computed(
    run_onnx: RunOnnx, source: Source, nodes: Sequence[onnx.NodeProto], x: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """What some nodes of one input make of it, in ONNX Runtime."""
    known = {**source.folded, **source.initialisers}
    made = {name for node in nodes for name in node.output}
    needed = dict.fromkeys(name for node in nodes for name in node.input if name not in made)
    ends = [*(name for name in needed if name not in known), nodes[-1].output[0]]
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, source.values[name].shape)
        for name in ends
    ]
    tensors = [numpy_helper.from_array(known[name], name) for name in needed if name in known]
    graph = helper.make_graph(list(nodes), "g", infos[:1], infos[1:], tensors)
    opset = source.opset if len(nodes) > len(TRANSPOSED) else max(source.opset, 17)
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return np.asarray(run_onnx(model, {ends[0]: x})[ends[1]])


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings(model_file: ModelFile, run_onnx: RunOnnx, name: str) -> None:
    """Each is one operator of every node, and computes the same but for float32's rounding."""
    spelling = SPELLINGS[name]
    found, units = found_in(model_file, spelling)
    assert [unit.operator for unit in units] == ["LayerNormalization"]
    assert [node.name for node in units[0].sources] == [node.name for node in found.own.nodes]
    assert tuple(node.op_type for node in units[0].nodes) == spelling.becomes
    shape = found.own.inputs[0].shape
    x = np.random.default_rng(SEED).normal(1, 2, shape).astype(np.float32)
    wanted = run_onnx(found.own.model, {"x": x})["y"]
    got = computed(run_onnx, found.source, units[0].nodes, x)
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=5e-6)
    for node in units[0].nodes[:-1]:
        made = found.source.values[node.output[0]]
        assert sorted(made.shape) == sorted(shape)


TORCH = SPELLINGS["torch over channels"]
PLAIN = SPELLINGS["jax over axis 1"]
SQUARE = "4, 4"


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(
            Spelling("3, 4", "1, 3, 1", JAX, constants=jax("1", "1, 1, 4", 2)), id="another count"
        ),
        pytest.param(
            Spelling("3, 4", "1, 3, 1", JAX, constants=jax("1", "1, 1, 4", 4)),
            id="the count of another axis",
        ),
        pytest.param(
            Spelling(
                SQUARE,
                "4",
                "m = ReduceMean<axes = [2], keepdims = 0>(x) d = Sub(x, m) p = Mul(d, d)"
                f" v = ReduceMean<axes = [2], keepdims = 0>(p) {DEVIATION} {AFFINE}",
            ),
            id="a mean that lies along another axis",
        ),
        pytest.param(
            Spelling(
                "3, 4", "1, 3, 1", JAX.replace("Max(zero", "Max(one"), constants=PLAIN.constants
            ),
            id="a variance of 1 at least",
        ),
        pytest.param(
            Spelling(
                "3, 4",
                "4",
                "n = InstanceNormalization(x, scales, scales) s = Mul(n, gamma) y = Add(s, beta)",
                constants=", float[3] scales = {1, 1, 2}",
            ),
            id="channels of their own scale",
        ),
        pytest.param(
            Spelling(
                "3, 4",
                "4",
                "m = ReduceMean<axes = [2]>(x) d = Sub(x, m) p = Mul(d, d) t ="
                f" ReduceSum<keepdims = 1>(p, last) v = Div(t, less) {DEVIATION} {AFFINE}",
                constants=", float less = {3}, int64[1] last = {2}",
            ),
            id="an unbiased variance",
        ),
        pytest.param(
            Spelling(
                "3, 4",
                "4",
                "m = ReduceMean<axes = [2]>(x) d = Sub(x, m) p = Mul(d, d)"
                f" v = ReduceMean<axes = [2]>(p) q = Sqrt(v) r = Add(q, eps) {AFFINE}",
            ),
            id="epsilon outside the root",
        ),
        pytest.param(
            Spelling("3, 2, 2", "3, 1, 1", TORCH.body.replace("Add(v, eps)", "Sub(v, eps)")),
            id="less than the variance",
        ),
    ],
)
def test_what_is_none(model_file: ModelFile, spelling: Spelling) -> None:
    assert found_in(model_file, spelling)[1] == []


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(
            Spelling(
                SQUARE,
                "4",
                "m = ReduceMean<axes = [1]>(x) d = Sub(x, m) p = Mul(d, d)"
                f" v = ReduceMean<axes = [2]>(p) {DEVIATION} {AFFINE}",
            ),
            id="two axes",
        ),
        pytest.param(
            Spelling(
                SQUARE,
                "4",
                "m1 = ReduceMean<axes = [1], keepdims = 0>(x) m = Reshape(m1, turned) d = Sub(x, m)"
                f" p = Mul(d, d) v = ReduceMean<axes = [1]>(p) {DEVIATION} {AFFINE}",
                constants=", int64[3] turned = {1, 4, 1}",
            ),
            id="a mean that is turned",
        ),
        pytest.param(
            Spelling(
                "3, 1",
                "1",
                "x1 = Expand(x, wide) m1 = ReduceSum(x1, last) m = Div(m1, three) d = Sub(x, m)"
                " p = Mul(d, d) v1 = ReduceSum<keepdims = 1>(p) v = Div(v1, three)"
                f" {DEVIATION} {AFFINE}",
                constants=", int64[3] wide = {1, 3, 2}, int64[2] last = {1, 2}, float three = {3}",
            ),
            id="a sum over what Expand made",
        ),
    ],
)
def test_what_is_rms_normalization(model_file: ModelFile, spelling: Spelling) -> None:
    """Of a difference that is none to the mean: it is divided by its own root mean square."""
    assert [unit.operator for unit in found_in(model_file, spelling)[1]] == ["RMSNormalization"]


def test_the_rest_stays(model_file: ModelFile) -> None:
    """A scale along another axis is none of the operator's, so it stays behind it."""
    body = TORCH.body.replace("axes = [1]", "axes = [3]")
    _, units = found_in(model_file, Spelling("3, 2, 2", "3, 1, 1", body))
    assert [unit.name for unit in units] == ["Div_6"]


@pytest.mark.parametrize("inner", ["a", "v1", "m1", "d"])
def test_inner_tensors_are_nobody_elses(model_file: ModelFile, inner: str) -> None:
    """Rule R2 holds for the whole of it."""
    text = PLAIN.text.replace(
        "y = Add(s, beta)",
        f"y0 = Add(s, beta) u = Hardmax({inner})"
        " t = ReduceMax<axes = [0, 1]>(u) t1 = ReduceMax(t) y = Add(y0, t1)",
    )
    found = rewrite(load_model(model_file(text)))
    assert [unit.operator for unit in found.units if len(unit.sources) > 9] == []


GOLDEN = """\
LayerNormalization, spelled out in 19 nodes
  - a = ReduceSum<keepdims = 0, noop_with_empty_axes = 1>(x, -2)
  - b = Mul(x, x)
  - c = ReduceSum<keepdims = 0, noop_with_empty_axes = 1>(b, -2)
  - c1 = Mul(c, 0.333333)
  - m = Mul(a, 0.333333)
  - q = Mul(m, m)
  - v = Sub(c1, q)
  - v1 = Max(0, v)
  - v2 = Reshape(v1, kept)
  - v3 = Expand(v2, kept)
  - w = Add(v3, 0.000976562)
  - r = Sqrt(w)
  - i = Reciprocal(r)
  - j = Mul(i, gamma)
  - m1 = Reshape(m, kept)
  - m2 = Expand(m1, kept)
  - d = Sub(x, m2)
  - s = Mul(d, j)
  - y = Add(s, beta)
  + y::turned = Transpose<perm = [0, 2, 1]>(x)
  + y::normal = LayerNormalization<axis = -1, epsilon = 0.0009765625>(y::turned, y::scale, y::bias)
  + y = Transpose<perm = [0, 2, 1]>(y::normal)
"""


def test_text_form(model_file: ModelFile) -> None:
    found, _ = found_in(model_file, SPELLINGS["jax over a negative axis"])
    assert print_rewritten(found) == GOLDEN


@pytest.mark.models
def test_a_real_model(models: Path, run_onnx: RunOnnx) -> None:
    """JAX's two normalisations, of 512 rows of a matrix and of a vector, with their parameters."""
    source = load_model(models / "magika_bytes" / "model.onnx")
    found = rewrite(source)
    units = [unit for unit in found.units if unit.operator == "LayerNormalization"]
    assert [len(unit.sources) for unit in units] == [19, 19]
    assert [tuple(node.op_type for node in unit.nodes) for unit in units] == [
        TRANSPOSED,
        ("LayerNormalization",),
    ]
    for unit in units:
        shape = source.values[unit.nodes[0].input[0]].shape
        x = np.random.default_rng(SEED).normal(0, 2, shape).astype(np.float32)
        wanted = computed(run_onnx, source, unit.sources, x)
        got = computed(run_onnx, found.source, unit.nodes, x)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    verdicts = [verdict for verdict in import_all(source) if len(verdict.sources) == 19]
    assert [verdict.op_type for verdict in verdicts] == ["LayerNormalization"] * 2


@pytest.mark.usefixtures("no_nic")
def test_between_transposes_it_is_compiled(model_file: ModelFile, tmp_path: Path) -> None:
    """The tensor before the second Transpose is none of the model's: its grid is that behind it."""
    text = """g (float[1, 6, 4] x) => (float[1, 6, 4] y) <int64[1] axis={1}, float eps={0.001}> {
      m = ReduceMean<keepdims=1>(x, axis) d = Sub(x, m) s = Mul(d, d)
      v = ReduceMean<keepdims=1>(s, axis) w = Add(v, eps) r = Sqrt(w) y = Div(d, r) }"""
    print(f"seed {SEED}")
    samples = np.random.default_rng(SEED).normal(0, 1, (64, 1, 6, 4)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=samples)
    options = Options(["x"], ["y"], tmp_path / "samples.npz", 8, max_error=5)
    compiled = compile_model(model_file(text, opset=18), tmp_path / "bundle", options)
    assert compiled.worst is not None and compiled.worst.sqnr.level > 35
    assert verify(compiled.bundle, vectors=5, stall=0.4, seed=SEED).passed
