# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules M1 to M5: linear models of ``ai.onnx.ml``, against ONNX Runtime's own operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from sklearn.datasets import load_iris
from sklearn.svm import SVC, SVR

from midwire.compiler.load.frontend import load_model

from ...classical import ML, ml_model, ml_node

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

SEED = 20264
SAMPLES = 64


def run(model: onnx.ModelProto, feed: Mapping[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(None, dict(feed)))


def same(path: Path, x: Array, *, written: bool = True) -> onnx.ModelProto:
    """The loaded model, which gives what the file gives, one sample after the other."""
    source = load_model(path)
    want = run(onnx.load(path), {"X": x})
    assert written == (not any(node.domain for node in source.nodes))
    for k in range(len(x)):
        for got, all_of in zip(run(source.model, {"X": x[k : k + 1]}), want, strict=True):
            if got.dtype.kind == "f":
                np.testing.assert_allclose(got, all_of[k : k + 1], rtol=1e-4, atol=1e-4)
            else:
                np.testing.assert_array_equal(got, all_of[k : k + 1])
    return source.model


def noise(*shape: int) -> Array:
    return np.random.default_rng([SEED, *shape]).standard_normal(shape).astype(np.float32)


X = noise(SAMPLES, 4)


def test_scaler(model_file: ModelFile) -> None:
    for count in (1, 4):
        node = ml_node("Scaler", ["X"], ["Y"], offset=noise(count), scale=noise(count))
        model = same(model_file(ml_model([node], 4, ["Y"])), X)
        assert [n.op_type for n in model.graph.node] == ["Sub", "Mul"]
        assert model.graph.node[-1].name == "Scaler"


@pytest.mark.parametrize("norm", ["L1", "L2", "MAX"])
def test_normalizer(model_file: ModelFile, norm: str) -> None:
    """M1; zeros stay zeros."""
    x = X.copy()
    x[3] = 0
    node = ml_node("Normalizer", ["X"], ["Y"], norm=norm)
    model = same(model_file(ml_model([node], 4, ["Y"])), x, written=norm != "MAX")
    made = "Normalizer" if norm == "MAX" else "LpNormalization"
    assert [n.op_type for n in model.graph.node] == [made]


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_regressor(model_file: ModelFile, post: str) -> None:
    options = {"targets": 3, "post_transform": post}
    for more in ({}, {"intercepts": noise(3)}):
        node = ml_node("LinearRegressor", ["X"], ["Y"], coefficients=noise(3, 4), **options, **more)
        same(model_file(ml_model([node], 4, ["Y"])), X)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("label", ["label", "label_text"])
def test_linear_classifier(model_file: ModelFile, post: str, classes: int, label: str) -> None:
    """M2, M3; two classes as converters write them, a row and its negative."""
    weights, bias = noise(classes, 4), noise(classes)
    if classes == 2:
        weights[0], bias[0] = -weights[1], -bias[1]
    words = [f"class {k}" for k in range(classes)]
    numbers: dict[str, Any] = {"classlabels_ints": [7, 3, 5][:classes]}
    node = ml_node(
        "LinearClassifier",
        ["X"],
        [label, "p"],
        coefficients=weights,
        intercepts=bias,
        post_transform=post,
        **({"classlabels_strings": words} if "text" in label else numbers),
    )
    same(model_file(ml_model([node], 4, [label, "p"])), X)


def test_labels_that_nobody_reads(model_file: ModelFile) -> None:
    """M4."""
    node = ml_node(
        "LinearClassifier",
        ["X"],
        ["l", "p"],
        coefficients=noise(3, 4),
        intercepts=noise(3),
        classlabels_ints=[0, 1, 2],
    )
    model = same(model_file(ml_model([node], 4, ["p"])), X)
    assert [(n.op_type, n.name) for n in model.graph.node] == [("Gemm", "LinearClassifier")]


def test_integers_are_cast(model_file: ModelFile) -> None:
    """M5."""
    node = ml_node("Scaler", ["X"], ["Y"], offset=noise(4), scale=noise(4))
    x = np.arange(24).reshape(6, 4)
    model = same(model_file(ml_model([node], 4, ["Y"], kind=TensorProto.INT64)), x)
    assert [n.op_type for n in model.graph.node] == ["Cast", "Sub", "Mul"]


@pytest.mark.parametrize("classes", [2, 3])
def test_svm_classifier(model_file: ModelFile, classes: int) -> None:
    """M1, M3: a trained SVC."""
    x, y = load_iris(return_X_y=True)
    x, y = (x[y < classes] + noise(50 * classes, 4)).astype(np.float32), y[y < classes]
    trained = SVC(kernel="linear").fit(x, y)
    node = ml_node("SVMClassifier", ["X"], ["label", "p"], **svc(trained))
    same(model_file(ml_model([node], 4, ["label", "p"])), x)
    same(model_file(ml_model([node], 4, ["label"])), x)


def svc(trained: Any) -> dict[str, Any]:
    return {
        "kernel_type": "LINEAR",
        "kernel_params": [0.25, 0.0, 3.0],
        "coefficients": trained.dual_coef_.astype(np.float32),
        "support_vectors": trained.support_vectors_.astype(np.float32),
        "vectors_per_class": trained.n_support_,
        "rho": trained._intercept_.astype(np.float32),
        "classlabels_ints": list(range(len(trained.classes_))),
    }


def test_svm_regressor(model_file: ModelFile) -> None:
    trained = SVR(kernel="linear").fit(X, X @ noise(4))
    node = ml_node(
        "SVMRegressor",
        ["X"],
        ["Y"],
        kernel_type="LINEAR",
        kernel_params=[0.25, 0.0, 3.0],
        coefficients=trained.dual_coef_.astype(np.float32),
        support_vectors=trained.support_vectors_.astype(np.float32),
        n_supports=len(trained.support_vectors_),
        rho=trained.intercept_.astype(np.float32),
    )
    same(model_file(ml_model([node], 4, ["Y"])), X)


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    (
        "Normalizer",
        {"norm": "L3"},
        "expected the norm MAX, L1 or L2, found L3",
    ),
    (
        "LinearRegressor",
        {"coefficients": [1.0] * 4, "post_transform": "PROBIT"},
        "expected the post transform NONE, LOGISTIC or SOFTMAX, found PROBIT",
    ),
    (
        "LinearRegressor",
        {"coefficients": [1.0] * 4, "intercepts": [1.0, 2.0]},
        "expected 1 intercepts, found 2",
    ),
    (
        "LinearRegressor",
        {"coefficients": [1.0] * 4, "targets": -1},
        "expected as many coefficients for each of -1 results, found 4",
    ),
    (
        "LinearRegressor",
        {"coefficients": [1.0, float("nan"), 1.0, 1.0]},
        "expected finite coefficients, found NaN or infinity",
    ),
    (
        "LinearClassifier",
        {"coefficients": [1.0] * 4, "intercepts": [1.0], "classlabels_ints": [0, 1]},
        "expected a score for each of 2 labels, found 1",
    ),
    (
        "SVMRegressor",
        {"kernel_type": "RBF", "coefficients": [1.0], "support_vectors": [1.0] * 4, "rho": [0.0]},
        "expected a LINEAR kernel, found RBF",
    ),
    (
        "SVMRegressor",
        {"coefficients": [2.0], "support_vectors": [3e38] * 4, "rho": [0.0], "n_supports": 1},
        ("expected weights of up to 3.4e+38, found 6e+38, of coefficients times support vectors"),
    ),
    (
        "SVMClassifier",
        {"prob_a": [1.0]},
        "expected no prob_a and prob_b, found probabilities, which are fitted by iteration",
    ),
]


@pytest.mark.parametrize(("kind", "options", "sentence"), REFUSALS)
def test_what_stays(
    model_file: ModelFile, kind: str, options: dict[str, Any], sentence: str
) -> None:
    """X3: the node is the file's own, with a reason."""
    outputs = ["label", "p"] if kind.endswith("Classifier") else ["p"]
    node = ml_node(kind, ["X"], outputs, **options)
    source = load_model(model_file(ml_model([node], 4, outputs)))
    assert source.refused == {kind: sentence}
    assert [(n.domain, n.op_type) for n in source.nodes] == [(ML, kind)]
