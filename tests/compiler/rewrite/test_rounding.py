# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantisers of QONNX as activations: what they become, to which bits, and in RTL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import compile_model
from midwire.compiler.quantise.calibrate import load_samples
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.reference import Reference
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
RunOnnx = Callable[..., dict[str, Any]]
Array = np.ndarray[Any, Any]

IMPORTS = ', "onnx.brevitas" : 1'
SEED = 23

# Weights and activations of 2 bits; all that float32 computes here is exact.
MLP = """
g (float[N, 6] x) => (float[N, 3] y)
<float one = {1}, float half = {0.5}, float zero = {0}, float two = {2}, float four = {4},
 float[6, 5] w = {0.6, -0.6, 0.2, -1.5, 1, -1, 0.5, 0.51, -0.4, 0.9, 0, 1, -1, 1, 0.7, -0.7,
                  0.3, -0.8, 1, -1, 1, 0, 0, -1, 1, 1, -1, -1, 1, 0},
 float[5, 3] v = {0.3, -0.2, 0.5, -0.5, 0.1, 0.2, -0.3, 0.4, 0, -0.1, 0.6, -0.6, 0.2, 0.3, -0.4},
 float[5] bias = {0.5, -0.5, 0, 1, -1}, float[5] gain = {0.75, 1.25, 0.375, 2.5, 0.625}>
{ a = onnx.brevitas.Quant <signed = 1, narrow = 1> (x, half, zero, two)
  wq = onnx.brevitas.Quant <signed = 1, narrow = 1> (w, one, zero, two)
  b = MatMul (a, wq)
  b2 = Mul (b, gain)
  c = Add (b2, bias)
  d = onnx.brevitas.Quant <signed = 0, narrow = 1> (c, one, zero, two)
  vq = onnx.brevitas.Quant <signed = 1, narrow = 0> (v, half, zero, two)
  e = MatMul (d, vq)
  y = onnx.brevitas.Quant <signed = 1, narrow = 0> (e, half, zero, four) }
"""

GOLDEN = """\
QuantizeLinear, spelled out in 6 nodes
  - Quant_0::steps = Div(x, 0.5)
  - Quant_0::shifted = Add(Quant_0::steps, 0)
  - Quant_0::rounded = Round(Quant_0::shifted)
  - Quant_0::clipped = Clip(Quant_0::rounded, -1, 1)
  - Quant_0::centred = Sub(Quant_0::clipped, 0)
  - a = Mul(Quant_0::centred, 0.5)
  + Quant_0::clamped = Clip(x, -0.5, 0.5)
  + Quant_0::integers = QuantizeLinear(Quant_0::clamped, 0.5, 0)
  + a = DequantizeLinear(Quant_0::integers, 0.5, 0)
QuantizeLinear, spelled out in 6 nodes
  - Quant_5::steps = Div(c, 1)
  - Quant_5::shifted = Add(Quant_5::steps, 0)
  - Quant_5::rounded = Round(Quant_5::shifted)
  - Quant_5::clipped = Clip(Quant_5::rounded, 0, 2)
  - Quant_5::centred = Sub(Quant_5::clipped, 0)
  - d = Mul(Quant_5::centred, 1)
  + Quant_5::clamped = Clip(c, 0, 2)
  + Quant_5::integers = QuantizeLinear(Quant_5::clamped, 1, 0)
  + d = DequantizeLinear(Quant_5::integers, 1, 0)
QuantizeLinear, spelled out in 6 nodes
  - Quant_8::steps = Div(e, 0.5)
  - Quant_8::shifted = Add(Quant_8::steps, 0)
  - Quant_8::rounded = Round(Quant_8::shifted)
  - Quant_8::clipped = Clip(Quant_8::rounded, -8, 7)
  - Quant_8::centred = Sub(Quant_8::clipped, 0)
  - y = Mul(Quant_8::centred, 0.5)
  + Quant_8::integers = QuantizeLinear(e, 0.5, 0)
  + y = DequantizeLinear(Quant_8::integers, 0.5, 0)
"""

# An odd zero point: QuantizeLinear would round ties to the other side.
ODD = """
g (float[N, 4] x) => (float[N, 4] y)
<float s = {0.5}, float t = {1}, float zero = {0}, float odd = {3}, float four = {4},
 float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1}>
{ a = onnx.brevitas.Quant <signed = 1> (x, s, zero, four)
  wq = onnx.brevitas.Quant <signed = 1> (w, t, zero, four)
  b = MatMul (a, wq)
  y = onnx.brevitas.Quant <signed = 0, narrow = 1> (b, t, odd, four) }
"""

ODD_GOLDEN = """\
  + Quant_3::next = Add(b, 1)
  + Quant_3::clamped = Clip(Quant_3::next, -2, 12)
  + Quant_3::integers = QuantizeLinear(Quant_3::clamped, 1, 2)
  + y = DequantizeLinear(Quant_3::integers, 1, 3)
"""

BIPOLAR = """
g (float[N, 4] x) => (float[N, 3] y)
<float s = {0.5}, float t = {0.25}, float[4, 3] w = {1, -1, 0, 2, -3, 4, -5, 6, 7, -8, 9, 1},
 float[3, 3] v = {1, 1, -1, 0, -1, -1, 1, -1, 0.5}>
{ a = onnx.brevitas.BipolarQuant (x, s)
  wq = onnx.brevitas.BipolarQuant (w, s)
  b = MatMul (a, wq)
  c = onnx.brevitas.BipolarQuant (b, t)
  vq = onnx.brevitas.BipolarQuant (v, t)
  y0 = MatMul (c, vq)
  y = onnx.brevitas.BipolarQuant (y0, s) }
"""

BIPOLAR_GOLDEN = """\
BipolarQuant, spelled out in 3 nodes
  - BipolarQuant_0::minus = Neg(0.5)
  - BipolarQuant_0::below = Less(x, 0)
  - a = Where(BipolarQuant_0::below, BipolarQuant_0::minus, 0.5)
  + BipolarQuant_0::signs = BipolarQuant(x, 0.5)
  + BipolarQuant_0::integers = QuantizeLinear(BipolarQuant_0::signs, 0.5, 0)
  + a = DequantizeLinear(BipolarQuant_0::integers, 0.5, 0)
"""


@pytest.mark.parametrize(
    ("text", "golden"),
    [(MLP, GOLDEN), (ODD, ODD_GOLDEN), (BIPOLAR, BIPOLAR_GOLDEN)],
    ids=["mlp", "odd zero point", "bipolar"],
)
def test_text_form(model_file: ModelFile, text: str, golden: str) -> None:
    printed = print_rewritten(rewrite(load_model(model_file(text, imports=IMPORTS))))
    assert printed == golden if text == MLP else golden in printed


def test_spelled_out_by_hand(model_file: ModelFile) -> None:
    """Without a zero point, in the other order; and what is something else."""
    text = """
    g (float[N, 4] x) => (float[N, 4] y)
    <float s = {0.5}, float t = {0.25}, float low = {-8}, float high = {7}>
    { a = Div (x, s) b = Clip (a, low, high) c = Round (b) y = Mul (c, s) }
    """
    (verdict,) = import_all(load_model(model_file(text)))
    assert verdict.label == "QuantizeLinear (spelled out in 4 nodes)"
    for old, new in (("Mul (c, s)", "Mul (c, t)"), ("-8}", "-8.5}"), ("(x, s)", "(x, x)")):
        other = rewrite(load_model(model_file(text.replace(old, new))))
        assert print_rewritten(other) == ""


@pytest.mark.parametrize("bounds", ["c, n, high", "c, low, n"])
def test_bounds_that_are_no_numbers(model_file: ModelFile, bounds: str) -> None:
    """Whether something is rounded, or a constant is."""
    text = f"""
    g (float[N, 4] x) => (float[N, 4] y)
    <float s = {{0.5}}, float low = {{-8}}, float high = {{7}}, float[4] w = {{1, 2, 3, 4}}>
    {{ n = Log (low)  a = Div (x, s)  c = Round (a)  d = Clip ({bounds})  e = Mul (d, s)
       a1 = Div (w, s)  c1 = Round (a1)  d1 = Clip ({bounds.replace("c", "c1")})  w1 = Mul (d1, s)
       y = Add (e, w1) }}
    """
    source = load_model(model_file(text))
    assert print_rewritten(rewrite(source)) == ""
    assert {verdict.op_type: verdict.supported for verdict in import_all(source)}["Add"] is False


def test_operands_in_any_order(model_file: ModelFile) -> None:
    """Of what commutes."""
    text = """
    g (float[N, 4] x) => (float[N, 4] y)
    <float s = {0.5}, float z = {2}, float low = {-8}, float high = {7}>
    { a = Div (x, s)  b = Add (z, a)  c = Round (b)  d = Clip (c, low, high)
      e = Sub (d, z)  y = Mul (s, e) }
    """
    (verdict,) = import_all(load_model(model_file(text)))
    assert verdict.label == "QuantizeLinear (spelled out in 6 nodes)"
    other = rewrite(load_model(model_file(text.replace("Sub (d, z)", "Sub (z, d)"))))
    assert print_rewritten(other) == ""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "narrow = 1> (c, one, zero, two)",
            "narrow = 0> (c, minus, zero, two)",
            "scale must be finite and positive, not -1.0",
        ),
        (
            "float one = {1}",
            "float[5] one = {1, 1, 1, 1, 1}",
            "expected one scale for the tensor, found 5",
        ),
        (
            "narrow = 1> (c, one, zero, two)",
            "narrow = 0> (c, one, zero, wide)",
            "expected integers of 1 to 16 bits, found the element type uint17",
        ),
    ],
)
def test_refusals_name_the_node(model_file: ModelFile, old: str, new: str, reason: str) -> None:
    text = MLP.replace(old, new).replace(
        "<float", "<float wide = {17}, float minus = {-1}, float", 1
    )
    (bad,) = [
        node
        for node in inspect_model(model_file(text, imports=IMPORTS))["nodes"]
        if not node["supported"]
    ]
    assert (bad["name"], bad["op"]) == ("Quant_5", "onnx.brevitas.Quant")
    assert bad["reason"] == reason


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize(
    ("text", "finishers"),
    [
        (MLP, ["thresholds", "table"]),
        (ODD, ["multiply_shift"]),
        (BIPOLAR, ["thresholds", "thresholds"]),
    ],
    ids=["mlp", "odd zero point", "bipolar"],
)
def test_in_rtl(
    model_file: ModelFile, run_onnx: RunOnnx, tmp_path: Path, text: str, finishers: list[str]
) -> None:
    """Reference, ``slice.onnx`` and RTL agree under stalls, in the predicted cycles; and the
    reference gives what ONNX Runtime gives on the model's own arithmetic.
    """
    path = model_file(text, imports=IMPORTS)
    bundle = compile_model(path, tmp_path / "bundle").bundle
    assert verify(bundle, vectors=6, stall=0.4, seed=SEED).passed
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    assert (spec.name, out.name) == ("a", "y")
    assert [f.kind for step in bundle.manifest.steps for f in step.finishers] == finishers
    model = load_model(path).model
    model.graph.output.append(onnx.ValueInfoProto(name="a"))
    rng = np.random.default_rng(SEED)
    reference = Reference.of_bundle(bundle)
    for _ in range(40):
        x = (rng.integers(-12, 13, (1, int(np.prod(spec.shape)))) / 4).astype(np.float32)
        found = run_onnx(model, {"x": x})
        wire = spec.layout.to_stream(spec.qtype.quantise(found["a"]))
        np.testing.assert_array_equal(spec.qtype.dequantise(wire).ravel(), found["a"].ravel())
        (result,) = reference.run_wire([wire.reshape(1, -1)])
        got = out.qtype.dequantise(out.layout.from_stream(result[0], out.shape))
        np.testing.assert_array_equal(got, found["y"])


@pytest.mark.models
@pytest.mark.usefixtures("no_nic")
def test_a_real_network(models: Path, run_onnx: RunOnnx, tmp_path: Path) -> None:
    """2-bit MNIST without calibration: to the bits of the publisher's own results."""
    path = models / "mnist_tfc_2w2a" / "model.onnx"
    source = load_model(path)
    held = np.load(path.with_name("ref.npz"))
    (samples,) = load_samples(path.with_name("ref.npz"), source.inputs).values()
    answers = [run_onnx(source.model, {source.inputs[0].name: x}) for x in samples]
    np.testing.assert_array_equal([a[source.outputs[0]] for a in answers], held["out0"])
    bundle = compile_model(path, tmp_path / "bundle").bundle
    found = verify(bundle, inputs=path.with_name("ref.npz"), vectors=200, seed=SEED)
    assert found.passed
    assert (found.sqnr, found.top1_agreement) == ("bit-equal", 1.0)


@pytest.mark.models
@pytest.mark.parametrize(("name", "share"), [("mnist_tfc_2w2a", 0.98), ("espcn_subpixel_q", 0.92)])
def test_real_models(models: Path, name: str, share: float) -> None:
    report = inspect_model(models / name / "model.onnx")
    assert all(node["supported"] for node in report["nodes"])
    assert {n["op"] for n in report["nodes"] if "Quant" in n["op"]} == {"onnx.brevitas.Quant"}
    assert report["slice"]["macs_share"] > share
