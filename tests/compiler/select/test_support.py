# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Import rules that give several operators, or one of several outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.compiler.ir.graph import Value, print_graph, verify
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops import REGISTRY
from midwire.compiler.ops.base import ImportContext, Imported, Op, Piece, inner, one
from midwire.compiler.ops.relu import Relu
from midwire.compiler.ops.scale import Scale
from midwire.compiler.select.selection import select
from midwire.compiler.select.support import NodeSupport, estimate_macs, import_all

ModelFile = Callable[..., Path]

NET = """
g (float[N, 4] x) => (float[N, 2] y, float[N, 2] z)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, int64[2] sizes = {2, 2}>
{ a = MatMul(x, w)
  b = Abs(a)
  c, z = Split<axis = 1>(b, sizes)
  y = Relu(c) }
"""


@dataclass(frozen=True)
class Split(Op):
    """Stands in for a split."""

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """All outputs."""
        del context
        return one(cls(), [node.input[0]], node.output)

    @property
    def keeps_grid(self) -> bool:
        """Moves elements."""
        return True


class Magnitude(Relu):
    """Stands in for an operator that stands for two: a negation and a Relu."""

    outer = ""

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """A factor of -1 before it."""
        between = cls.outer or inner(node, "turned")
        turn = Scale((Fraction(-1),), (Fraction(0),), ())
        return Imported(
            (Piece(turn, (node.input[0],), (between,)), Piece(Relu(), (between,))),
            (Value(between, context.shape(node.input[0])),),
        )


class Lost(Magnitude):
    """Makes a value that the model has."""

    outer = "c"


def judged(path: Path, **operators: type[Op]) -> tuple[NodeSupport, ...]:
    return import_all(load_model(path), {**REGISTRY, **operators})


def test_a_small_graph(model_file: ModelFile) -> None:
    path = model_file(NET)
    source = load_model(path)
    selection = select(source, judged(path, Split=Split, Abs=Magnitude), to="y,z")
    assert verify(selection.graph) == []
    assert selection.middle == ("MatMul_0", "Abs_1", "Split_2", "Relu_3")
    assert print_graph(selection.graph) == (
        "graph net(x: float32[1x4])\n"
        "  a: float32[1x4] = MatMul(weight=(4, 4))(x)\n"
        "  Abs_1::turned: float32[1x4] = Scale(shape=())(a)\n"
        "  b: float32[1x4] = Relu()(Abs_1::turned)\n"
        "  c: float32[1x2], z: float32[1x2] = Split()(b)\n"
        "  y: float32[1x2] = Relu()(c)\n"
        "  return z, y\n"
    )
    names = [(node.name, node.sources) for node in selection.graph]
    assert names[1:3] == [("Abs_1::0", ("Abs_1",)), ("Abs_1::1", ("Abs_1",))]


def test_pieces_that_are_called_like_a_node_of_the_model(model_file: ModelFile) -> None:
    """The model's keeps its name; the node that becomes the pieces has another one."""
    model = onnx.load(model_file(NET))
    model.graph.node[3].name = "Abs_1::1"
    path = model_file(model)
    selection = select(
        load_model(path), judged(path, Split=Split, Abs=Magnitude), from_="x", to="y,z"
    )
    assert verify(selection.graph) == []
    assert [node.name for node in selection.graph.nodes] == [
        "MatMul_0",
        "Abs_1#2::0",
        "Abs_1#2::1",
        "Split_2",
        "Abs_1::1",
    ]


def test_an_output_that_no_operator_makes(model_file: ModelFile) -> None:
    class First(Split):
        @classmethod
        def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
            """The first output only."""
            del context
            return one(cls(), [node.input[0]])

    verdict = judged(model_file(NET), Split=First)[2]
    assert verdict.reason == "expected only the output c in use, found c, z"


def test_an_inner_value_with_a_name_of_the_model(model_file: ModelFile) -> None:
    verdict = judged(model_file(NET), Abs=Lost)[1]
    assert verdict.reason == (
        "its import rule failed: AssertionError: inner values are called ['c']"
    )


def test_an_inner_value_that_nothing_gives_a_grid(model_file: ModelFile) -> None:
    class Torn(Magnitude):
        @classmethod
        def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
            """A core reads what no quantiser made."""
            found = super().import_node(context, node)
            last = Piece(REGISTRY["MaxPool"]("max", None), found.pieces[1].inputs)  # type: ignore[call-arg]
            return Imported((found.pieces[0], last), found.inner)

    verdict = judged(model_file(NET), Abs=Torn)[1]
    assert verdict.reason == (
        "its import rule failed: AssertionError: nothing gives the inner value 'Abs_1::turned' "
        "a grid"
    )


def test_multiply_accumulates_add_up(model_file: ModelFile) -> None:
    class Twice(Op):
        @classmethod
        def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
            """The product twice, the second time on a grid."""
            first = REGISTRY["MatMul"].import_node(context, node).pieces[0]
            between = Value(inner(node, "once"), context.shape(node.output[0]))
            scaled = Scale((Fraction(2),), (Fraction(0),), ())
            pieces = (
                Piece(first.op, first.inputs, (between.name,)),
                Piece(scaled, (between.name,)),
            )
            return Imported(pieces, (between,))

    verdict = judged(model_file(NET), MatMul=Twice)[0]
    assert (verdict.macs, len(verdict.pieces)) == (16, 2)
    assert np.prod(verdict.inner["MatMul_0::once"].shape) == 4


@pytest.mark.parametrize("operator", ["Hardmax", "RandomNormalLike"])
def test_without_an_import_rule(model_file: ModelFile, operator: str) -> None:
    verdict = judged(model_file(NET.replace("Abs", operator)))[1]
    supported = ", ".join(sorted(REGISTRY))
    assert verdict.reason == f"operator {operator} is not supported (supported: {supported})"
    assert verdict.pieces == () and verdict.outputs == ("b",)


@pytest.mark.parametrize("transposed", [0, 1])
def test_estimate_of_a_gemm(model_file: ModelFile, transposed: int) -> None:
    """Of one that is written out too: 2 x 3 sums of 4 products."""
    shape = "4, 2" if transposed else "2, 4"
    text = f"""
    g (float[{shape}] x, float[4, 3] w) => (float[2, 3] y)
    {{ y = Gemm<transA = {transposed}>(x, w) }}
    """
    source = load_model(model_file(text))
    (gemm,) = (node for node in source.nodes if node.name == "Gemm_0")
    assert estimate_macs(source, gemm) == 24


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_count_where_they_are_not_supported(
    kind: str, gates: int, directions: int, model_file: ModelFile
) -> None:
    """5 steps of a product with 6 inputs and one with 7 elements of the state, for each gate."""
    rows = 7 * gates
    attributes = 'hidden_size = 7, direction = "bidirectional"' if directions == 2 else ""
    text = f"""
        g (float[N, 5, 6] x) => (float[5, {directions}, N, 7] y)
        <float[{directions}, {rows}, 6] w = {{{", ".join(["1"] * (directions * rows * 6))}}},
         float[{directions}, {rows}, 7] r = {{{", ".join(["1"] * (directions * rows * 7))}}}>
        {{ t = Transpose <perm = [1, 0, 2]> (x)
           y = {kind} <{attributes or "hidden_size = 7"}> (t, w, r) }}"""
    source = load_model(model_file(text))
    assert estimate_macs(source, source.nodes[1]) == 5 * directions * rows * (6 + 7)


def test_a_layer_that_is_quantised_dynamically_counts(model_file: ModelFile) -> None:
    """Its weights are turned: 5 steps of 6 inputs and 7 elements of the state, for 4 gates."""
    names = "w, r, , , , , , ws, wz, rs, rz"
    text = f"""
        g (float[N, 5, 6] x) => (float[5, 1, N, 7] y)
        <int8[1, 6, 28] w = {{{", ".join(["1"] * (6 * 28))}}},
         int8[1, 7, 28] r = {{{", ".join(["1"] * (7 * 28))}}},
         float[1] ws = {{1}}, int8[1] wz = {{0}}, float[1] rs = {{1}}, int8[1] rz = {{0}}>
        {{ t = Transpose <perm = [1, 0, 2]> (x)
           y = com.microsoft.DynamicQuantizeLSTM <hidden_size = 7> (t, {names}) }}"""
    source = load_model(model_file(text, imports=', "com.microsoft" : 1'))
    assert estimate_macs(source, source.nodes[1]) == 5 * 28 * (6 + 7)


def test_attention_counts_both_products(model_file: ModelFile) -> None:
    """2 heads of 3 queries: with 5 keys of 4 elements, and their shares of values of 6."""
    text = """
        g (float[N, 2, 3, 4] q, float[N, 2, 5, 4] k, float[N, 2, 5, 6] v) => (float[N, 2, 3, 6] y)
        { y = Attention (q, k, v) }"""
    source = load_model(model_file(text, opset=23))
    assert sum(estimate_macs(source, node) for node in source.nodes) == 2 * 3 * 5 * (4 + 6)
