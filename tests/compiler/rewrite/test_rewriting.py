# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the rest of the compiler sees of a pattern: one unit, and still the model's own nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.emit.parts import cloud_model
from midwire.compiler.errors import CutError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops import REGISTRY
from midwire.compiler.ops.base import ImportContext, Imported, Op, one
from midwire.compiler.ops.relu import Relu
from midwire.compiler.rewrite import reading
from midwire.compiler.rewrite.rewriting import rewrite
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.listing import render
from midwire.compiler.select.selection import Selection, select
from midwire.compiler.select.support import import_all
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType

ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, np.ndarray[Any, Any]]], dict[str, Any]]


@dataclass(frozen=True)
class HardSwish(Relu):
    """Stands in for an operator of that name."""

    onnx_types = ("HardSwish",)


NET = """
g (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
 float three = {3}, float zero = {0}, float six = {6}>
{ a = MatMul(x, w)
  b = Add(a, three)
  c = Clip(b, zero, six)
  d = Mul(a, c)
  e = Div(d, six)
  f = MatMul(e, w)
  y = Hardmax(f) }
"""

SPELLED = ("Add_1", "Clip_2", "Mul_3", "Div_4")


def selected(path: Path, *ends: str | None) -> Selection:
    source = load_model(path)
    return select(source, import_all(source, {**REGISTRY, "HardSwish": HardSwish}), *ends)


def test_one_node_of_the_graph(model_file: ModelFile) -> None:
    selection = selected(model_file(NET))
    assert (selection.inputs, selection.outputs) == (("x",), ("f",))
    assert selection.middle == ("MatMul_0", *SPELLED, "MatMul_5")
    assert [(node.name, node.sources) for node in selection.graph] == [
        ("MatMul_0", ("MatMul_0",)),
        ("Div_4", SPELLED),
        ("MatMul_5", ("MatMul_5",)),
    ]


def test_the_parts_are_the_models_own_nodes(model_file: ModelFile) -> None:
    path = model_file(NET)
    selection = selected(path, "x", "a")
    spec = TensorSpec("a", (1, 4), "float32", QType(8, True, 0.5), Layout.raster((1, 4)), 1)
    assert selection.cloud == (*SPELLED, "MatMul_5", "Hardmax_6")
    cloud = cloud_model(load_model(path), [spec])
    kinds = [node.op_type for node in cloud.graph.node]
    assert kinds[-6:] == ["Add", "Clip", "Mul", "Div", "MatMul", "Hardmax"]


SHAPED = NET.replace("d = Mul(a, c)", "d = Mul(a, c) s = Shape(c) dead = Sin(b)").replace(
    "float zero", "int64[2] t = {1, 4}, float zero"
)


@pytest.mark.parametrize(
    "text",
    [
        SHAPED.replace("f = MatMul(e, w)", "f = MatMul(e, w) g = Reshape(f, s)").replace(
            "(f)", "(g)"
        ),
        SHAPED.replace("=> (float[N, 4] y)", "=> (float[N, 4] y, int64[2] s)"),
    ],
    ids=["a shape that is folded", "a shape that is an output"],
)
def test_shapes_of_inner_tensors_and_what_nothing_reads(
    model_file: ModelFile, run_onnx: RunOnnx, text: str
) -> None:
    """They are nobody's business either, for the selection and for the model's parts."""
    path = model_file(text)
    source = load_model(path)
    selection = selected(path, "x", "a")
    assert [unit.operator for unit in rewrite(source).units if unit.operator] == ["HardSwish"]
    assert not {"Shape_4", "Sin_5"} & {
        name for part in (selection.edge, selection.middle) for name in part
    }
    selection = selected(path, "x", "f")
    inside = [node.sources for node in selection.graph if len(node.sources) > 1]
    assert inside == [("Add_1", "Clip_2", "Mul_3", "Div_6")]
    spec = TensorSpec("f", (1, 4), "float32", QType(8, True, 0.5), Layout.raster((1, 4)), 1)
    cloud = cloud_model(source, [spec])
    assert not {"Shape", "Sin", "Clip"} & {node.op_type for node in cloud.graph.node}
    found = run_onnx(cloud, {"wire_out0": np.array([2, 0, 0, 4], np.int8)})
    np.testing.assert_array_equal(found["y"], [[0, 0, 0, 1]])


def test_no_cut_inside(model_file: ModelFile) -> None:
    with pytest.raises(CutError) as caught:
        selected(model_file(NET), None, "c")
    assert str(caught.value) == (
        "tensor 'c': not a cut: the tensor is inside an operator; expected a tensor between "
        "operators; found one inside HardSwish (spelled out in 4 nodes). Cut before it, at 'a', or "
        "behind it, at 'e'."
    )


def test_the_report_names_the_operator(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node of the model is listed, with the verdict of what it is part of."""
    for name in ("Swish", "Sigmoid"):
        monkeypatch.delitem(REGISTRY, name, raising=False)
    net = NET.replace("Clip(b, zero, six)", "Sigmoid(b)").replace("Add(a, three)", "Identity(a)")
    report = inspect_model(model_file(net.replace("d = Mul(a, c)\n  e = Div(d, six)", SILU)))
    inside = [node for node in report["nodes"] if node["becomes"]]
    assert [(node["name"], node["op"], node["part"]) for node in inside] == [
        ("Identity_1", "Identity", "cloud"),
        ("Sigmoid_2", "Sigmoid", "cloud"),
        ("Mul_3", "Mul", "cloud"),
    ]
    assert {node["becomes"] for node in inside} == {"Swish (spelled out in 3 nodes)"}
    assert {node["reason"].partition(" (")[0] for node in inside} == {
        "operator Swish is not supported"
    }
    assert "│ Swish (spelled out in 3 nodes) │ Identity_1, Sigmoid_2, Mul_3" in render(report, 120)


SILU = "e = Mul(c, a)"


def test_multiply_accumulates_are_counted_once(model_file: ModelFile) -> None:
    text = """
    g (int8[N, 3] x) => (float[N, 2] y)
    <float t = {0.25}, int8 z = {-3}, int8[3, 2] k = {1, 2, -128, 127, 5, 6}>
    { a = MatMulInteger (x, k, z) b = Cast <to = 1> (a) y = Mul (b, t) }
    """
    report = inspect_model(model_file(text))
    assert [node["macs"] for node in report["nodes"]] == [6, 0, 0]
    assert report["macs"] == 6


@dataclass(frozen=True)
class Product(Op):
    """Stands in for a product of two computed tensors."""

    arity = 2

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Any."""
        del context
        return one(cls(), list(node.input))


def test_spelled_out_where_only_its_nodes_are_supported(model_file: ModelFile) -> None:
    source = load_model(model_file(NET))
    without = {kind: op for kind, op in REGISTRY.items() if kind not in ("HardSwish", "Hardmax")}
    support = import_all(source, {**without, "Mul": Product})
    assert [verdict.name for verdict in support] == [node.name for node in source.nodes]
    assert [verdict.supported for verdict in support] == [True] * 6 + [False]
    support = import_all(source, {kind: op for kind, op in without.items() if kind != "Mul"})
    assert [verdict.label for verdict in support if len(verdict.sources) > 1] == [
        "HardSwish (spelled out in 4 nodes)"
    ]


@pytest.mark.models
def test_real_models(models: Path) -> None:
    """What JAX wrote, most of it twice; weights and shapes that no pattern was made for."""
    source = load_model(models / "magika_bytes" / "model.onnx")
    found = [verdict for verdict in import_all(source) if len(verdict.sources) > 1]
    pair = [("Gelu", 9), ("LayerNormalization", 19)]
    assert [(verdict.op_type, len(verdict.sources)) for verdict in found] == [
        ("Embedding", 3),
        *pair * 2,
        ("Softmax", 10),
    ]
    assert np.unique([len(verdict.inputs) for verdict in found]).tolist() == [1]


@pytest.mark.parametrize("link", ["Neg({})", "Mul({0}, {0})", "Add({}, half)", "Sub({}, x)"])
def test_arithmetic_is_read_once_for_an_operand(
    link: str, model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many roots have it: time grows with a model, not with its square."""
    length, reads = 200, 0
    computed = reading._Reader._computed

    def counted(self: reading._Reader, name: str) -> Any:
        nonlocal reads
        reads += 1
        return computed(self, name)

    monkeypatch.setattr(reading._Reader, "_computed", counted)
    chain = "\n".join(f"t{k} = {link.format(f't{k - 1}' if k else 'x')}" for k in range(length))
    head = "g (float[N, 4] x) => (float[N, 4] y) <float half = {0.5}>"
    rewrite(load_model(model_file(f"{head} {{ {chain} y = Relu(t{length - 1}) }}")))
    # Each tensor for each operand within the 20 nodes that a pattern may have, and as often in
    # vain for one that is further away.
    assert 0 < reads <= length * (20 + 20)
