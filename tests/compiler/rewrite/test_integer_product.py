# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ConvInteger and MatMulInteger with their Cast and Mul: what they become, and to which bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from midwire.compiler.ir import graph
from midwire.compiler.load.frontend import load_model
from midwire.compiler.map.fuse import fuse
from midwire.compiler.pipeline import compile_model
from midwire.compiler.quantise.calibrate import load_samples
from midwire.compiler.quantise.insert import quantise
from midwire.compiler.quantise.loss import measure
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.buildable import plan
from midwire.compiler.select.cuts import find_cuts
from midwire.compiler.select.support import import_all
from midwire.hw.numeric import QType
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

CONV = """
g (float[N, 1, 4, 4] x) => (uint8[N, 2, 4, 4] y)
<float s = {0.5}, float t = {0.0375}, uint8 z = {113}, uint8 v = {125},
 uint8[2, 1, 3, 3] k = {120, 121, 125, 130, 3, 250, 125, 125, 126, 0, 255, 125, 7, 9, 11, 90, 1, 2},
 float[2, 1, 1] bias = {1, -2}>
{ q = QuantizeLinear (x, s, z)
  a = ConvInteger <pads = [1, 1, 1, 1]> (q, k, z, v)
  b = Cast <to = 1> (a)
  c = Mul (b, t)
  d = Add (c, bias)
  e = Relu (d)
  y = QuantizeLinear (e, s, z) }
"""

MATMUL = """
g (int8[N, 3] x) => (int8[N, 2] y)
<float s = {0.5}, float[2] t = {0.25, 0.0375}, int8 z = {-3}, int8[2] v = {1, -2},
 int8[3, 2] k = {1, 2, -128, 127, 5, 6}>
{ a = MatMulInteger (x, k, z, v)
  b = Cast <to = 1> (a)
  c = Mul (t, b)
  y = QuantizeLinear (c, s, z) }
"""

CONV_BIASED = (
    CONV.replace("float[2, 1, 1] bias", "int32[1, 2, 1, 1] b32 = {700, -3001}, float[2, 1, 1] bias")
    .replace("b = Cast <to = 1> (a)", "i = Add (a, b32)  b = Cast <to = 1> (i)")
)  # fmt: skip
MATMUL_BIASED = MATMUL.replace("int8 z", "int32[2] b32 = {-40, 3}, int8 z").replace(
    "b = Cast <to = 1> (a)", "i = Add (b32, a)  b = Cast <to = 1> (i)"
)

TEXTS = {
    "conv": """\
Conv, spelled out in 3 nodes
  - a = ConvInteger<pads = [1, 1, 1, 1]>(q, k, 113, 125)
  - b = Cast<to = 1>(a)
  - c = Mul(b, 0.0375)
  + Mul_3::x = DequantizeLinear(q, 0.5, 113)
  + Mul_3::w = DequantizeLinear<axis = 0>(k, 1, 125)
  + Mul_3::sum = Conv<pads = [1, 1, 1, 1]>(Mul_3::x, Mul_3::w)
  + Mul_3::scaled = Mul(Mul_3::sum, 0.0375)
  + c = Div(Mul_3::scaled, 0.5)
""",
    "matmul": """\
MatMul, spelled out in 3 nodes
  - a = MatMulInteger(x, k, -3, v)
  - b = Cast<to = 1>(a)
  - c = Mul(t, b)
  + Mul_2::x = DequantizeLinear(x, 1, -3)
  + Mul_2::w = DequantizeLinear<axis = 1>(k, 1, v)
  + Mul_2::sum = MatMul(Mul_2::x, Mul_2::w)
  + c = Mul(Mul_2::sum, t)
""",
    "conv with a bias": """\
Conv, spelled out in 4 nodes
  - a = ConvInteger<pads = [1, 1, 1, 1]>(q, k, 113, 125)
  - i = Add(a, b32)
  - b = Cast<to = 1>(i)
  - c = Mul(b, 0.0375)
  + Mul_4::x = DequantizeLinear(q, 0.5, 113)
  + Mul_4::w = DequantizeLinear<axis = 0>(k, 1, 125)
  + Mul_4::sum = Conv<pads = [1, 1, 1, 1]>(Mul_4::x, Mul_4::w)
  + Mul_4::bias = DequantizeLinear(b32, 0.5)
  + Mul_4::biased = Add(Mul_4::sum, Mul_4::bias)
  + Mul_4::scaled = Mul(Mul_4::biased, 0.0375)
  + c = Div(Mul_4::scaled, 0.5)
""",
    "matmul with a bias": """\
MatMul, spelled out in 4 nodes
  - a = MatMulInteger(x, k, -3, v)
  - i = Add(b32, a)
  - b = Cast<to = 1>(i)
  - c = Mul(t, b)
  + Mul_3::x = DequantizeLinear(x, 1, -3)
  + Mul_3::w = DequantizeLinear<axis = 1>(k, 1, v)
  + Mul_3::sum = MatMul(Mul_3::x, Mul_3::w)
  + Mul_3::bias = DequantizeLinear(b32, 1)
  + Mul_3::biased = Add(Mul_3::sum, Mul_3::bias)
  + c = Mul(Mul_3::biased, t)
""",
}
MODELS = {
    "conv": CONV,
    "matmul": MATMUL,
    "conv with a bias": CONV_BIASED,
    "matmul with a bias": MATMUL_BIASED,
}


@pytest.mark.parametrize("name", MODELS)
def test_text_form(model_file: ModelFile, name: str) -> None:
    assert print_rewritten(rewrite(load_model(model_file(MODELS[name])))) == TEXTS[name]


def noise(path: Path, samples: Mapping[str, Array]) -> list[float | None]:
    """Of the slice's outputs against ONNX Runtime on the model's own nodes; None for none."""
    source = load_model(path)
    selection = plan(source).selection
    assert graph.verify(selection.graph) == []
    rounded = quantise(selection.graph, lambda name: QType(8, True, 1.0), 8)
    integers = fuse(rounded)
    losses = measure(source, integers, samples).losses
    return [loss.sqnr.db for loss in losses if loss.tensor in selection.outputs]


def test_the_same_bits_as_the_model(model_file: ModelFile) -> None:
    """Bits, for values that float32 holds exactly."""
    rng = np.random.default_rng(3)
    image = rng.normal(0, 20, (20, 1, 1, 4, 4)).astype(np.float32)
    for text in (CONV, CONV_BIASED):
        assert noise(model_file(text.replace("0.0375", "0.03125")), {"x": image}) == [None]
    row = rng.integers(-128, 128, (20, 1, 3)).astype(np.int8)
    for text in (MATMUL, MATMUL_BIASED):
        assert noise(model_file(text.replace("0.0375", "0.03125")), {"x": row}) == [None]


def test_a_layer_names_its_nodes_once(model_file: ModelFile) -> None:
    """Product and scale are two operators of the same three nodes, and one layer."""
    source = load_model(model_file(MATMUL))
    selection = plan(source).selection
    (layer,) = fuse(quantise(selection.graph, lambda name: QType(8, True, 1.0), 8)).nodes
    assert layer.sources == selection.middle
    assert layer.sources == ("MatMulInteger_0", "Cast_1", "Mul_2", "QuantizeLinear_3")


def test_the_grid_of_the_integers(model_file: ModelFile) -> None:
    """That of the QuantizeLinear before; where there is none, the integers mean themselves."""
    for text, name, grid in (
        (CONV, "q", QType(8, False, 0.5, 113)),
        (MATMUL, "x", QType(8, True, 1.0, -3)),
    ):
        source = load_model(model_file(text))
        cuts = find_cuts(source, import_all(source))
        assert cuts.grids[name] == grid
        assert not {"a", "b"} & set(cuts.tensors)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Mul (b, t)", "Mul (b, x)"),
        ("ConvInteger <pads = [1, 1, 1, 1]> (q, k, z, v)", "ConvInteger (q, k, v, v)"),
        ("Cast <to = 1> (a)", "Cast <to = 11> (a)"),
    ],
    ids=["a computed factor", "another zero point", "double"],
)
def test_what_is_no_such_product(model_file: ModelFile, old: str, new: str) -> None:
    text = CONV.replace(old, new)
    if "to = 11" in new:
        text = text.replace("Mul (b, t)", "Mul (b, t2)").replace(
            "float s", "double t2 = {0.5}, float s"
        )
        text = text.replace("Add (c, bias)", "Cast <to = 1> (c)")
    if "x)" in new:
        text = text.replace("float[N, 1, 4, 4]", "float[1, 2, 4, 4]").replace(
            "2, 1, 3, 3", "2, 2, 3, 3"
        )
        text = text.replace("k = {120,", "k = {" + "1, " * 18 + "120,")
    if "v, v)" in new:
        text = text.replace("uint8[N, 2, 4, 4]", "uint8[N, 2, 2, 2]")
    assert print_rewritten(rewrite(load_model(model_file(text)))) == ""


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_in_rtl(model_file: ModelFile, tmp_path: Path, text: str) -> None:
    """Reference, ``slice.onnx`` and RTL agree under stalls, in the predicted cycles."""
    bundle = compile_model(model_file(text), tmp_path / "bundle").bundle
    assert verify(bundle, vectors=3, stall=0.4, seed=5).passed


@pytest.mark.models
def test_a_real_model(models: Path) -> None:
    """Everything but the last layer, without calibration, to the bits of ONNX Runtime."""
    path = models / "mnist_convinteger" / "model.onnx"
    source = load_model(path)
    assert plan(source).selection.macs_share > 0.99
    assert plan(source, calibrated=True).selection.macs_share == 1.0
    samples = load_samples(path.with_name("ref.npz"), source.inputs)
    assert noise(path, {name: array[:20] for name, array in samples.items()}) == [None]


REPEATED = {
    "MatMul": """
    g (int8[N, 3] x) => (float[4, 2] y)
    <float[4, 1] t = {1, 2, 3, 4}, int8[3, 2] k = {1, 2, -128, 127, 5, 6}>
    { a = MatMulInteger (x, k)  b = Cast <to = 1> (a)  y = Mul (b, t) }
    """,
    "Conv": """
    g (float[1, 2, 3, 3] x) => (float[2, 2, 3, 3] y)
    <float s = {0.05}, uint8 z = {113}, float[2, 1, 1, 1] t = {1, 2},
     uint8[2, 2, 1, 1] k = {1, 2, 128, 127}>
    { q = QuantizeLinear (x, s, z)  a = ConvInteger (q, k, z)  b = Cast <to = 1> (a)
      y = Mul (b, t) }
    """,
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_factor_that_repeats(model_file: ModelFile, name: str) -> None:
    """The sums: no layer does that, so the nodes stay as they are, refused."""
    reasons = {v.op_type: v.reason for v in import_all(load_model(model_file(REPEATED[name])))}
    assert reasons[f"{name}Integer"].startswith("expected integer sums that are cast to float32")


MAPS = {
    "scale": CONV.replace("float t = {0.0375}", "float[4, 4] t"),
    "scale of a batch": CONV.replace("float t = {0.0375}", "float[2, 1, 4, 4] t"),
    "bias": CONV_BIASED.replace("int32[1, 2, 1, 1] b32 = {700, -3001}", "int32[2, 4, 1] b32"),
    "sums": MATMUL.replace("[N, ", "[2, ").replace("float[2] t = {0.25, 0.0375}", "float[2, 2] t"),
}


@pytest.mark.parametrize("name", MAPS)
def test_constants_that_differ_along_several_axes(model_file: ModelFile, name: str) -> None:
    """Have hardware of their own, which reads no sums; so the nodes stay as they are, refused."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{MAPS[name]}')
    for value in list(model.graph.value_info):  # those without numbers
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        array = np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del model.graph.value_info[:]
    source = load_model(model_file(model))
    assert print_rewritten(rewrite(source)) == ""
    (verdict,) = [v for v in import_all(source) if v.op_type.endswith("Integer")]
    assert verdict.reason.startswith("expected integer sums that are cast to float32")
