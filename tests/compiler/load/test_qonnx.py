# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules Q1 to Q6: quantisers of QONNX, written out in standard operators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.constants import Context
from midwire.compiler.load.frontend import load_model
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.support import import_all

ModelFile = Callable[..., Path]
RunOnnx = Callable[..., dict[str, Any]]
Array = np.ndarray[Any, Any]

DOMAIN = "qonnx.custom_op.general"
IMPORTS = f', "{DOMAIN}" : 1'

VALUES = np.array([-1e9, -3.5, -2.5, -1.5, -1, -0.5, -0.0, 0, 0.25, 0.5, 1.5, 2.5, 3.5, 1e9])


def quant(
    options: str = "", scale: float = 1.0, zero: float = 0.0, bits: float = 2.0, kind: str = "Quant"
) -> str:
    """A model of one quantiser on 14 elements."""
    inputs = "x, s, z, b" if kind == "Quant" else "x, s"
    return (
        f"g (float[1, 14] x) => (float[1, 14] y) <float s = {{{scale!r}}}, "
        f"float z = {{{zero!r}}}, float b = {{{bits!r}}}>\n"
        f"{{ y = {DOMAIN}.{kind} {options} ({inputs}) }}"
    )


def definition(x: Array, low: int, high: int, scale: float, zero: int) -> Array:
    """As QONNX specifies the operator, in float32."""
    steps = x.astype(np.float32) / np.float32(scale) + np.float32(zero)
    return (np.clip(np.rint(steps), low, high) - np.float32(zero)) * np.float32(scale)


@pytest.mark.parametrize("domain", [DOMAIN, "onnx.brevitas", "finn.custom_op.general"])
@pytest.mark.parametrize(
    ("signed", "narrow", "bits", "low", "high"),
    [
        (1, 0, 2, -2, 1),
        (1, 1, 2, -1, 1),
        (0, 0, 2, 0, 3),
        (0, 1, 2, 0, 2),
        (0, 0, 1, 0, 1),
        (1, 1, 8, -127, 127),
        (0, 1, 16, 0, 65534),
    ],
)
def test_quant(
    model_file: ModelFile,
    run_onnx: RunOnnx,
    domain: str,
    signed: int,
    narrow: int,
    bits: int,
    low: int,
    high: int,
) -> None:
    """Q1, with ONNX Runtime."""
    options = f'<signed = {signed}, narrow = {narrow}, rounding_mode = "ROUND">'
    for scale, zero in ((1.0, 0), (0.5, 0), (0.3, 1)):
        text = quant(options, scale, zero, bits).replace(DOMAIN, domain)
        source = load_model(model_file(text, imports=IMPORTS.replace(DOMAIN, domain)))
        assert {node.domain for node in source.nodes} == {""}
        got = run_onnx(source.model, {"x": VALUES[None].astype(np.float32)})["y"]
        np.testing.assert_array_equal(got[0], definition(VALUES, low, high, scale, zero))


@pytest.mark.parametrize(
    "text",
    [quant(kind="BipolarQuant", scale=0.75), quant("<signed = 1>", 0.75, bits=1)],
    ids=["BipolarQuant", "one bit"],
)
def test_bipolar(model_file: ModelFile, run_onnx: RunOnnx, text: str) -> None:
    """Q2."""
    source = load_model(model_file(text, imports=IMPORTS))
    got = run_onnx(source.model, {"x": VALUES[None].astype(np.float32)})["y"]
    np.testing.assert_array_equal(got[0], np.where(VALUES < 0, -0.75, 0.75))


def trunc(options: str, scale: float, bits: int, out: int, result: float = 0.0) -> str:
    """A truncation of 14 elements: of five inputs, or of seven where the result has a scale."""
    known = {"s": scale, "z": 0.0, "b": bits, "r": result, "o": out}
    constants = ", ".join(f"float {name} = {{{float(v)!r}}}" for name, v in known.items())
    inputs = "x, s, z, b, r, z, o" if result else "x, s, z, b, o"
    return (
        f"g (float[1, 14] x) => (float[1, 14] y) <{constants}>\n"
        f"{{ y = {DOMAIN}.Trunc {options} ({inputs}) }}"
    )


@pytest.mark.parametrize("domain", [DOMAIN, "onnx.brevitas", "finn.custom_op.general"])
@pytest.mark.parametrize("mode", ["FLOOR", "CEIL", "round"])
def test_trunc(model_file: ModelFile, run_onnx: RunOnnx, domain: str, mode: str) -> None:
    """Q6, with ONNX Runtime, on integers as wide as it says."""
    x = (np.arange(-7, 7)[None] / 2).astype(np.float32)
    towards = {"FLOOR": np.floor, "CEIL": np.ceil, "round": np.rint}[mode]
    for signed, result in ((1, 0.0), (1, 2.0), (0, 2.0)):
        options = f'<rounding_mode = "{mode}", signed = {signed}, narrow = 0>'
        text = trunc(options, 0.5, 4, 2, result).replace(DOMAIN, domain)
        source = load_model(model_file(text, imports=IMPORTS.replace(DOMAIN, domain)))
        assert {node.domain for node in source.nodes} == {""}
        got = run_onnx(source.model, {"x": x})["y"]
        parts = np.rint(x / 0.5) / 4
        if result:
            parts = np.clip(parts, *((-2, 1) if signed else (0, 3)))
        np.testing.assert_array_equal(got, towards(parts) * (result or 0.5))


def test_people_see_their_own_node(model_file: ModelFile) -> None:
    """Q3. Bit widths, which nothing reads any more, are gone."""
    path = model_file(quant(), imports=IMPORTS)
    (node,) = inspect_model(path)["nodes"]
    assert (node["name"], node["op"], node["becomes"]) == ("Quant_0", f"{DOMAIN}.Quant", "")
    assert (node["supported"], node["constant"]) == (True, False)
    source = load_model(path)
    assert source.nodes[-1].name == "Quant_0"
    assert {n.name for n in source.nodes} == set(source.written)
    assert set(source.initialisers) == {"s", "z", "Quant_0::low", "Quant_0::high"}
    (verdict,) = import_all(source)
    assert verdict.label == f"{DOMAIN}.Quant"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            quant('<rounding_mode = "FLOOR">'),
            "expected the rounding mode ROUND, halves to even, found FLOOR",
        ),
        (quant(bits=2.5), "expected a whole number of at least 1 as the bit width, found 2.5"),
        (quant(zero=0.5), "expected a whole number as the zero point, found 0.5"),
        (
            trunc('<rounding_mode = "ROUND_TO_ZERO">', 1.0, 4, 2),
            "expected one of the rounding modes CEIL, FLOOR, ROUND, found ROUND_TO_ZERO",
        ),
        (
            trunc("", 1.0, 2, 4),
            "expected 0 to 16 bits less behind it than the 2 before it, found -2",
        ),
        (
            trunc("", 1.0, 4, 2, 3.0),
            "expected an output scale that is a power of two times the scale, found 3",
        ),
        (
            trunc("", 1.0, 4, 2).replace("float z = {0.0}", "float z = {1.0}"),
            "expected a zero point of 0, found 1",
        ),
        (quant(zero=1.0, bits=1), "expected a zero point of 0 for one bit, found 1"),
        (
            quant("<signed = 0, narrow = 1>", bits=1),
            "expected a bit width of 1 to 32 with two values or more, found 1",
        ),
        (quant("<rounding_mode = 1>"), "expected the rounding mode ROUND, halves to even, found 1"),
        (quant(bits=40), "expected a bit width of 1 to 32 with two values or more, found 40"),
        (
            quant(bits=2.0**70),
            f"expected a bit width of 1 to 32 with two values or more, found {1 << 70}",
        ),
        (quant(bits=0), "expected a whole number of at least 1 as the bit width, found 0"),
        (
            quant().replace("(x, s, z, b)", "(x, s, z, x)"),
            "expected a constant bit width, one for the tensor, found 'x'",
        ),
        (quant().replace(", b)", ")"), "expected 4 inputs and one output, found 3 and 1"),
    ],
)
def test_other_meanings(model_file: ModelFile, text: str, reason: str) -> None:
    """Q4."""
    (node,) = inspect_model(model_file(text, imports=IMPORTS))["nodes"]
    kind = "Trunc" if ".Trunc" in text else "Quant"
    assert (node["op"], node["supported"], node["reason"]) == (f"{DOMAIN}.{kind}", False, reason)


def test_an_old_opset(model_file: ModelFile, run_onnx: RunOnnx) -> None:
    """Q5, and a domain that the model does not declare."""
    model = onnx.load(model_file(quant(bits=3), imports=IMPORTS, opset=9))
    del model.opset_import[1]
    source = load_model(model_file(model))
    assert source.opset == 11
    got = run_onnx(source.model, {"x": VALUES[None].astype(np.float32)})["y"]
    np.testing.assert_array_equal(got[0], definition(VALUES, -4, 3, 1.0, 0))


def test_nodes_that_a_conversion_replaces_keep_their_names(model_file: ModelFile) -> None:
    """Q5: Upsample is Resize from opset 10 on, which the converter gives no name."""
    text = f"""
    g (float[1, 2, 3, 3] x) => (float[1, 2, 12, 12] y)
    <float[4] k = {{1, 1, 2, 2}}, float s = {{0.5}}, float z = {{0}}, float b = {{4}}>
    {{ [up] p = Upsample (x, k)
       [up] q = Upsample (p, k)
       [q] y = {DOMAIN}.Quant (q, s, z, b) }}
    """
    model = model_file(text, imports=IMPORTS, opset=9)
    names = [node.name for node in load_model(model).nodes]
    assert len(set(names)) == len(names) and {"up", "up#2", "q"} <= set(names)
    nodes = inspect_model(model)["nodes"]
    found = [(node["name"], node["op"], node["supported"]) for node in nodes if node["macs"] == 0]
    shown = [each for each in found if not each[0].startswith("Constant")]
    assert shown == [
        ("up", "Upsample", True),
        ("up#2", "Upsample", True),
        ("q", f"{DOMAIN}.Quant", True),
    ]


@pytest.mark.parametrize("word", ["low", "steps"])
@pytest.mark.parametrize("whose", ["tensor", "node"])
def test_names_inside_of_a_node_may_be_in_the_file(
    model_file: ModelFile, word: str, whose: str
) -> None:
    """S1: whose node would have them is called otherwise."""
    inner = f"a::{word}"
    tensor, node = (inner, "r") if whose == "tensor" else ("t", inner)
    text = f"""
    g (float[1, 4] x) => (float[1, 4] y) <float s = {{0.5}}, float z = {{0}}, float b = {{4}}>
    {{ [a] q = {DOMAIN}.Quant (x, s, z, b)
       [PLAIN] u = Relu (q)
       y = Neg (u) }}
    """
    model = onnx.load(model_file(text.replace("PLAIN", "r"), imports=IMPORTS))
    model.graph.node[1].name = node
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = tensor
    path = model_file(model)
    shown = [(n["name"], n["supported"]) for n in inspect_model(path)["nodes"]]
    assert shown == [("a#2", True), (node, True), ("Neg_2", True)]
    names = [n.name for n in load_model(path).nodes]
    assert len(set(names)) == len(names)


def test_bit_widths_in_nodes(model_file: ModelFile) -> None:
    """What exporters leave in Constant nodes is as good as an initialiser."""
    text = quant().replace("{ y", "{ c = Constant <value = float {3.0}> () y").replace("b)", "c)")
    source = load_model(model_file(text, imports=IMPORTS))
    assert not source.refused
    assert float(source.initialisers["Quant_1::high"]) == 3


def test_weights_are_integers_on_a_grid(model_file: ModelFile) -> None:
    """Per channel, and through a Transpose: the very values of ONNX Runtime's arithmetic."""
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 1, (3, 4)).astype(np.float32)
    scales = np.array([[0.1], [0.3], [0.7]], np.float32)
    text = f"""
    g (float[1, 4] x) => (float[1, 3] y)
    <float[3, 4] w = {{{", ".join(map(repr, weights.ravel().tolist()))}}},
     float[3, 1] s = {{{", ".join(map(repr, scales.ravel().tolist()))}}}, float z = {{1}},
     float b = {{3}}>
    {{ q = {DOMAIN}.Quant <signed = 1, narrow = 1> (w, s, z, b)
       t = Transpose <perm = [1, 0]> (q)
       y = MatMul (x, t) }}
    """
    source = load_model(model_file(text, imports=IMPORTS))
    constant = Context(source).const("t")
    assert constant is not None
    assert constant.scale is not None
    integers = np.clip(np.rint(weights / scales + 1), -3, 3)
    np.testing.assert_array_equal(constant.values, integers.T)
    np.testing.assert_array_equal(constant.real, ((integers - 1) * scales.astype(np.float64)).T)
    nodes = inspect_model(source.path)["nodes"]
    assert [(n["op"].rpartition(".")[2], n["supported"], n["constant"]) for n in nodes] == [
        ("Quant", True, True),
        ("Transpose", True, True),
        ("MatMul", True, False),
    ]


def test_a_model_whose_types_the_converter_finds_wrong(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raise onnx.shape_inference.InferenceError("Inferred elem type differs from existing one")

    monkeypatch.setattr(onnx.version_converter, "convert_version", refuses)
    text = "g (float[N, 3] x) => (float[N, 3] y) <float s = {1}, float z = {0}, float b = {4}> "
    text += "{ y = qonnx.custom_op.general.Quant(x, s, z, b) }"
    source = load_model(model_file(text, 8, imports=', "qonnx.custom_op.general" : 1'))
    (reason,) = source.refused.values()
    assert "found opset 8" in reason
