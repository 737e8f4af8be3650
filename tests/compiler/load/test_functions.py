# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators that ONNX defines by others mean what is written out for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.functions import FUNCTIONS
from midwire.compiler.load.source import Source
from midwire.compiler.select.inspection import inspect_model

ModelFile = Callable[..., Path]

SEED = 20275

FORMS = {
    "Sum": "(float[N, 3] a) => (float[N, 3] y) { y = Sum (a) }",
    "Sum of two": "(float[N, 3] a, float[N, 1] b) => (float[N, 3] y) { y = Sum (a, b) }",
    "Sum of three": (
        "(float[N, 3] a, float[N, 1] b, float[N, 3] c) => (float[N, 3] y) { y = Sum (a, b, c) }"
    ),
    "Mean": "(float[N, 3] a) => (float[N, 3] y) { y = Mean (a) }",
    "Mean of three": (
        "(float[N, 3] a, float[N, 3] b, float[N, 3] c) => (float[N, 3] y) { y = Mean (a, b, c) }"
    ),
    "Gemm": (
        "(float[N, 3] a, float[N, 1] c) => (float[N, 2] y) <float[2, 3] b = {1, 2, 3, -1, 0, 1}>"
        "{ y = Gemm <alpha = -2.0, beta = 0.5, transB = 1> (a, b, c) }"
    ),
    "ReduceL1": (
        "(float[N, 3, 4] a) => (float[N, 1, 4] y) <int64[1] k = {1}> { y = ReduceL1 (a, k) }"
    ),
    "ReduceLogSumExp": (
        "(float[N, 3, 4] a) => (float[N, 3] y) <int64[1] k = {2}>"
        "{ y = ReduceLogSumExp <keepdims = 0> (a, k) }"
    ),
    "RotaryEmbedding": (
        "(float[N, 2, 3, 6] a, float[N, 3, 2] b, float[N, 3, 2] c) => (float[N, 2, 3, 6] y)"
        "{ y = RotaryEmbedding <rotary_embedding_dim = 4> (a, b, c) }"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_out(form: str, model_file: ModelFile) -> None:
    path = model_file(f"g {FORMS[form]}", 23, ir=11)
    source = load_model(path)
    assert form.split()[0] not in source.operators
    assert {source.in_file(node).kind for node in source.nodes} == {form.split()[0]}
    names = [node.name for node in source.nodes]
    assert len(set(names)) == len(names)
    assert all(n in names or n.startswith(f"{form.split()[0]}_0") for n in names)
    rng = np.random.default_rng(SEED)
    feed = {v.name: rng.normal(0, 1, v.shape).astype(np.float32) for v in source.inputs}
    want: Any
    got: Any
    (want,) = ReferenceEvaluator(onnx.load(path)).run(None, feed)
    (got,) = onnxruntime.InferenceSession(source.model.SerializeToString()).run(None, feed)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    report = inspect_model(path)
    assert all(node["supported"] for node in report["nodes"]), report["nodes"]


GEMMS = {
    "two computed": "{ a = Reshape (x, p) b = Reshape (x, q) y = Gemm (a, b) }",
    "the constant first": "{ a = Reshape (x, q) y = Gemm <alpha = 0.5> (w, a, c) }",
    "transposed": "{ a = Reshape (x, q) y = Gemm <transA = 1, transB = 1> (a, v, c) }",
    "a layer": "{ a = Reshape (x, p) y = Gemm <transB = 1> (a, v, c) }",
}


def both(path: Path, source: Source, feed: Any) -> tuple[np.ndarray, np.ndarray]:
    """What ONNX Runtime computes of a model, and of what loading made of it."""
    given, made = (
        np.asarray(onnxruntime.InferenceSession(model).run(None, feed)[0])
        for model in (path, source.model.SerializeToString())
    )
    return given, made


@pytest.mark.parametrize("form", GEMMS)
def test_gemms(form: str, model_file: ModelFile) -> None:
    path = model_file(
        "g (float[1, 6] x) => (float[A, B] y) <int64[2] p = {2, 3}, int64[2] q = {3, 2},"
        " float[2, 3] w = {1, 2, 3, -1, 0, 1},"
        " float[4, 3] v = {1, 2, 3, -1, 0, 1, 2, 2, 1, 0, 1, 0},"
        f" float[1] c = {{0.5}}> {GEMMS[form]}",
        17,
    )
    source = load_model(path)
    assert ("Gemm" in source.operators) == (form == "a layer")
    feed = {"x": np.random.default_rng(SEED).normal(0, 1, (1, 6)).astype(np.float32)}
    want, got = both(path, source, feed)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert all(node["supported"] for node in inspect_model(path)["nodes"])


OLDER = {
    "ReduceL1": "(float[N, 3, 4] a) => (float[N, 1, 4] y) { y = ReduceL1 <axes = [1]> (a) }",
    "ReduceLogSum": (
        "(float[N, 3, 4] z) => (float[N, 3] y)"
        "{ a = Abs (z) y = ReduceLogSum <axes = [-1], keepdims = 0> (a) }"
    ),
    "ReduceLogSumExp": (
        "(float[N, 3, 4] a) => (float[N, 3] y)"
        "{ y = ReduceLogSumExp <axes = [2], keepdims = 0> (a) }"
    ),
    "ReduceLogSumExp, kept": (
        "(float[N, 3, 4] a) => (float[N, 3, 1] y) { y = ReduceLogSumExp <axes = [2]> (a) }"
    ),
    "ReduceLogSumExp of all": "(float[N, 3] a) => (float[1, 1] y) { y = ReduceLogSumExp (a) }",
}


@pytest.mark.parametrize("opset", [12, 17])
@pytest.mark.parametrize("form", OLDER)
def test_reductions_of_older_models(form: str, opset: int, model_file: ModelFile) -> None:
    """Axes are an attribute; numbers of which no exponential is a float32 are no matter."""
    path = model_file(f"g {OLDER[form]}", opset)
    source = load_model(path)
    assert form.split()[0].rstrip(",") not in source.operators
    rng = np.random.default_rng(SEED)
    feed = {v.name: rng.normal(-300, 1, v.shape).astype(np.float32) for v in source.inputs}
    want, got = both(path, source, feed)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert all(node["supported"] for node in inspect_model(path)["nodes"])


def test_what_a_node_leaves_out_has_the_default_of_its_schema(model_file: ModelFile) -> None:
    """MeanVarianceNormalization is over all axes but channels, and not over those too."""
    text = "g (float[1, 3, 4, 2] x) => (float[1, 3, 4, 2] y) { y = MeanVarianceNormalization (x) }"
    source = load_model(model_file(text, 13))
    means = [node for node in source.nodes if node.op_type == "ReduceMean"]
    assert means
    assert {source.values[node.output[0]].shape for node in means} == {(1, 3, 1, 1)}


def test_each_has_a_function() -> None:
    for kind in FUNCTIONS:
        domain, _, name = kind.rpartition(".")
        schema: Any = onnx.defs.get_schema(name, domain=domain)
        assert schema.has_function or schema.has_context_dependent_function


def test_an_input_in_the_middle_that_is_left_out(model_file: ModelFile) -> None:
    """The package's own expansion asserts that it is there."""
    text = (
        "g (float[1, 4, 8] x, float[1, 4, 2] s) => (float[1, 4, 8] y, float[1, 4, 2] t)"
        "<float[4, 1, 3] w = {" + ", ".join(["0.5"] * 12) + "}>"
        "{ y, t = CausalConvWithState (x, w, , s) }"
    )
    report = inspect_model(model_file(text, 27, ir=13))
    (node,) = [node for node in report["nodes"] if node["op"] == "CausalConvWithState"]
    assert node["reason"] == "expected all inputs, found some left out"
