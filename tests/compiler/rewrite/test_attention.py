# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Attention: how it prints, to which values, and that its name costs no coverage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops import REGISTRY
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.listing import render
from midwire.compiler.select.support import import_all

ModelFile = Callable[..., Path]

HEAD = """
g (float[N, 2, 3, 4] q, float[N, 2, 5, 4] k, float[N, 2, 5, 4] v, float[N, 2, 3, 5] m)
  => (float[N, 2, 3, 4] y)
<float s = {0.5}, float three = {3}, float half = {0.5}, bool off = {0}, bool on = {1}>
"""

BODY = """
{ t = Transpose <perm = [0, 1, 3, 2]> (k)
  a = MatMul (q, t)
  b = Mul (a, s)
  c = Add (b, m)
  d = Softmax <axis = -1> (c)
  y = MatMul (d, v) }
"""

GOLDEN = """\
Attention, spelled out in 5 nodes
  - a = MatMul(q, t)
  - b = Mul(a, 0.5)
  - c = Add(b, m)
  - d = Softmax<axis = -1>(c)
  - y = MatMul(d, v)
  + MatMul_5::keys = Transpose<perm = [0, 1, 3, 2]>(t)
  + y = Attention<scale = 0.5>(q, MatMul_5::keys, v, m)
"""

SPELLINGS = {
    "scaled and masked": BODY,
    "the other way round": BODY.replace("(a, s)", "(s, a)").replace("(b, m)", "(m, b)"),
    "divided": BODY.replace("Mul (a, s)", "Div (a, three)"),
    "not masked": BODY.replace("c = Add (b, m)", "").replace("(c)", "(b)"),
    "dropped in inference": BODY.replace(
        "y = MatMul (d, v)", "e = Dropout (d) f = Dropout (e, half, off) y = MatMul (f, v)"
    ),
    "passed on": BODY.replace("Softmax <axis = -1> (c)", "Softmax <axis = -1> (c1)")
    .replace("d = Soft", "c1 = Identity (c) d = Soft")
    .replace("b = Mul (a, s)", "a1 = Cast <to = 1> (a) b0 = Mul (a1, s) b = Identity (b0)"),
    "the product itself as mask": BODY.replace("b = Mul (a, s)", "").replace("(b, m)", "(a, a)"),
    "not scaled": BODY.replace("b = Mul (a, s)", "").replace("(b, m)", "(a, m)"),
}


def test_text_form(model_file: ModelFile) -> None:
    assert print_rewritten(rewrite(load_model(model_file(HEAD + BODY)))) == GOLDEN


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings(model_file: ModelFile, name: str) -> None:
    """The standard operator of opset 23 computes what was spelled out."""
    source = load_model(model_file(HEAD + SPELLINGS[name]))
    found = rewrite(source)
    assert [unit.operator for unit in found.units if unit.operator] == ["Attention"]
    rng = np.random.default_rng(3)
    feed = {v.name: rng.normal(0, 1, v.shape).astype(np.float32) for v in source.inputs}
    graph = onnx.helper.make_graph(
        [node for unit in found.units for node in unit.nodes],
        "after",
        source.model.graph.input,
        source.model.graph.output,
        source.model.graph.initializer,
    )
    after = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)])
    wanted, found_values = (
        list(ReferenceEvaluator(model).run(None, feed)) for model in (source.model, after)
    )
    want, got = np.asarray(wanted[0]), np.asarray(found_values[0])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # order of summation differs


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("axis = -1", "axis = 1"),
        ("Mul (a, s)", "Mul (a, m)"),
        ("Mul (a, s)", "Div (s, a)"),
        ("Mul (a, s)", "Sub (a, s)"),
        ("MatMul (d, v)", "MatMul (d, w)"),
        ("y = MatMul (d", "e = Dropout (d, half, on) y = MatMul (e"),
        ("y = MatMul (d", "c1 = Cast <to = 10> (d) e = Cast <to = 1> (c1) y = MatMul (e"),
        ("y = MatMul (d", "e, k1 = Dropout (d) e1 = Where (k1, e, e) y = MatMul (e1"),
    ],
    ids=[
        "another axis",
        "a computed factor",
        "an inverse",
        "shifted",
        "constant values",
        "dropped in training",
        "rounded to half precision",
        "where the mask is read",
    ],
)
def test_what_is_none(model_file: ModelFile, old: str, new: str) -> None:
    head = HEAD.replace("<float s", f"<float[5, 4] w = {{{', '.join(['1'] * 20)}}}, float s")
    text = (head + BODY).replace(old, new)
    assert print_rewritten(rewrite(load_model(model_file(text)))) == ""


def test_the_axis_that_is_left_out(model_file: ModelFile) -> None:
    """The last one from opset 13 on; before, Softmax took all from the second one together."""
    text = (HEAD + BODY).replace("Softmax <axis = -1>", "Softmax")
    for opset, printed in ((11, ""), (13, GOLDEN.replace("Softmax<axis = -1>", "Softmax"))):
        assert print_rewritten(rewrite(load_model(model_file(text, opset)))) == printed


def test_heads_of_their_own(model_file: ModelFile) -> None:
    """Rank 3 has one head."""
    text = (HEAD + BODY).replace(", 2, ", ", ").replace("1, 3, 2]", "2, 1]")
    printed = print_rewritten(rewrite(load_model(model_file(text))))
    assert "  + y = Attention<kv_num_heads = 1, q_num_heads = 1, scale = 0.5>(" in printed


def test_it_costs_no_coverage(model_file: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Softmax is not supported, the products are as they were, and the name is told."""
    monkeypatch.delitem(REGISTRY, "Softmax", raising=False)
    report = inspect_model(model_file(HEAD + BODY))
    inside = [node for node in report["nodes"] if node["becomes"]]
    assert {node["becomes"] for node in inside} == {"Attention (spelled out in 5 nodes)"}
    assert [node["op"] for node in inside if not node["supported"]] == ["Softmax"]
    assert [node["op"] for node in inside if node["macs"]] == ["MatMul", "MatMul"]
    assert report["slice"]["macs_share"] == 0.5
    assert "│ Attention (spelled out in 5 nodes) │ Softmax_4 │ operator Softmax" in render(
        report, 120
    )


def test_all_its_nodes_supported(model_file: ModelFile) -> None:
    """Then it is spelled out, and nothing says that it is part of something."""
    source = load_model(model_file(HEAD + BODY))
    registry = {**REGISTRY, "Softmax": REGISTRY["Relu"]}
    support = import_all(source, registry)
    assert [verdict.label for verdict in support] == [node.op_type for node in source.nodes]
    assert all(verdict.supported for verdict in support)


@pytest.mark.models
def test_a_real_model(models: Path) -> None:
    """Two encoder blocks."""
    source = load_model(models / "cct2_transformer" / "model.onnx")
    found = rewrite(source)
    names = [unit.operator for unit in found.units if unit.operator]
    assert names == ["Attention", "Attention"]


THREE = """
g (float[N, 2, 3, 4] q, float[N, 2, 3, 4] k, float[N, 2, 3, 4] v, float[N, 2, 3, 3] m)
  => (float[2, 3, 4] y)
<int64[3] s = {2, 3, 4}, int64[3] r = {2, 3, 3}>
{ q1 = Reshape (q, s)  k1 = Reshape (k, s)  v1 = Reshape (v, s)  m1 = Reshape (m, r)
  t = Transpose <perm = [0, 2, 1]> (k1)
  a = MatMul (q1, t)
  b = Add (a, m1)
  c = Softmax <axis = -1> (b)
  y = MatMul (c, v1) }
"""


def test_a_mask_for_each_matrix(model_file: ModelFile) -> None:
    """Attention would take the first of its three axes for heads."""
    assert print_rewritten(rewrite(load_model(model_file(THREE)))) == ""
    one = THREE.replace("m1 = Reshape (m, r)", "m1 = Slice (m, o, e)").replace(
        "<int64[3] s", "<int64[2] o = {0, 0}, int64[2] e = {1, 1}, int64[3] s"
    )
    one = one.replace("Slice (m, o, e)", "Reshape (m0, r)").replace(
        "v1 =", "m0 = Slice (m, o, e) v1 ="
    )
    text = one.replace("r = {2, 3, 3}", "r = {1, 3, 3}")
    assert "Attention<" in print_rewritten(rewrite(load_model(model_file(text))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "q, float[N, 2, 5, 4] k, float[N, 2, 5, 4] v",
            "q, float[N, 1, 5, 4] k, float[N, 2, 5, 4] v",
        ),
        ("float[N, 2, 3, 4] q,", "float[N, 1, 3, 4] q,"),
        (
            "float[N, 2, 3, 4] q, float[N, 2, 5, 4] k, float[N, 2, 5, 4] v",
            "float[N, 1, 3, 4] q, float[N, 1, 5, 4] k, float[N, 1, 5, 4] v",
        ),
    ],
    ids=["keys of one head", "queries of one head", "a mask that repeats"],
)
def test_heads_that_only_matmul_repeats(model_file: ModelFile, old: str, new: str) -> None:
    assert old in HEAD
    text = HEAD.replace(old, new) + BODY
    assert print_rewritten(rewrite(load_model(model_file(text)))) == ""
