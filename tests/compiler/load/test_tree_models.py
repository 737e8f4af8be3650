# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N1 to N3: classifiers of decision trees, against ONNX Runtime's own operators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeRegressor

from midwire.compiler.load.frontend import load_model

from ...classical import ml_model, ml_node, trees_of

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

SEED = 20269


def run(model: onnx.ModelProto, x: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(None, {"X": x}))


def same(path: Path, x: Array) -> list[str]:
    """What the loaded model is made of; it gives what the file gives, sample by sample."""
    source = load_model(path)
    assert not source.refused
    want = run(onnx.load(path), x)
    for k in range(len(x)):
        for got, all_of in zip(run(source.model, x[k : k + 1]), want, strict=True):
            if got.dtype.kind == "f":
                np.testing.assert_allclose(got, all_of[k : k + 1], rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(got, all_of[k : k + 1])
    assert {source.in_file(node).name for node in source.nodes} == {
        onnx.load(path).graph.node[0].name
    }
    return [node.op_type for node in source.nodes]


def forest(classes: int, *, shift: float = 0.0) -> tuple[dict[str, Any], Array]:
    """A random forest's probabilities, as it leaves them or moved, and samples."""
    x, y = load_iris(return_X_y=True)
    x, y = x[y >= 3 - classes].astype(np.float32), y[y >= 3 - classes]
    trained = RandomForestClassifier(6, max_depth=4, random_state=SEED).fit(x, y)
    trees = [tree.tree_ for tree in trained.estimators_]
    weights = [tree.value / len(trees) + shift for tree in trees]
    return trees_of(trees, weights, "class"), x


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("text", [False, True])
def test_forest(model_file: ModelFile, classes: int, text: bool) -> None:
    """N2 for two classes: a probability and the rest."""
    options, x = forest(classes)
    label = "label_text" if text else "label"
    words = [f"class {k}" for k in range(classes)]
    labels: dict[str, Any] = {"classlabels_int64s": [4, 2, 3][:classes]}
    if text:
        labels = {"classlabels_strings": words}
    node = ml_node("TreeEnsembleClassifier", ["X"], [label, "p"], **options, **labels)
    kinds = same(model_file(ml_model([node], 4, [label, "p"])), x)
    assert kinds == ["TreeEnsembleRegressor", "ArgMax", "Gather"]


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("base", [[], [0.125]])
def test_one_score(model_file: ModelFile, post: str, base: list[float]) -> None:
    """N2: weights of both signs, as boosted trees have them."""
    options, x = forest(2, shift=-0.1)
    more = {"base_values": base} if base else {}
    node = ml_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["label", "p"],
        classlabels_int64s=[0, 1],
        post_transform=post,
        **options,
        **more,
    )
    same(model_file(ml_model([node], 4, ["label", "p"], version=3)), x)


@pytest.mark.parametrize("post", ["LOGISTIC", "SOFTMAX"])
def test_several_scores(model_file: ModelFile, post: str) -> None:
    options, x = forest(3, shift=-0.1)
    node = ml_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["label", "p"],
        classlabels_int64s=[0, 1, 2],
        post_transform=post,
        base_values=[0.5, -0.25, 0.0],
        **options,
    )
    kinds = same(model_file(ml_model([node], 4, ["label", "p"])), x)
    assert kinds[1] == {"LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}[post]


@pytest.mark.parametrize("post", ["LOGISTIC", "SOFTMAX"])
def test_transformed_regressor(model_file: ModelFile, post: str) -> None:
    x = np.random.default_rng(SEED).standard_normal((60, 3)).astype(np.float32)
    tree = DecisionTreeRegressor(max_depth=3).fit(x, x @ [[1, 0], [0, 2], [1, 1]]).tree_
    options = trees_of([tree], [tree.value])
    node = ml_node(
        "TreeEnsembleRegressor", ["X"], ["Y"], n_targets=2, post_transform=post, **options
    )
    same(model_file(ml_model([node], 3, ["Y"])), x)


def small(**changes: Any) -> onnx.ModelProto:
    """A tree of one comparison for three classes."""
    options: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0] * 4,
        "class_nodeids": [1, 1, 2, 2],
        "class_ids": [0, 1, 0, 2],
        "class_weights": [1.0, 2.0, 3.0, 4.0],
        "classlabels_int64s": [0, 1, 2],
        **changes,
    }
    node = ml_node("TreeEnsembleClassifier", ["X"], ["label", "p"], **options)
    return ml_model([node], 2, ["label", "p"])


ONE = {"classlabels_int64s": [0, 1], "class_ids": [0, 0, 0, 0]}

NO_WEIGHT = (
    "expected a tree that gives each of 3 classes a weight in all of its leaves, found one for 1"
)
NO_SOFTMAX = (
    "expected the post transform NONE or LOGISTIC and one base value for one score of two labels, "
    "found SOFTMAX and 0"
)
NO_NEGATIVE = (
    "expected a weight below zero for LOGISTIC, found none: such a label is decided at 0.5"
)
NO_COLUMN = "expected a tree, a node and a class for each of the class weights"

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({}, NO_WEIGHT),
    (
        {"classlabels_int64s": [0, 1], "class_ids": [0, 1, 0, 1]},
        "expected weights of one class for two labels, found both",
    ),
    ({"class_ids": [0]}, NO_COLUMN),
    ({**ONE, "post_transform": "LOGISTIC"}, NO_NEGATIVE),
    ({**ONE, "post_transform": "SOFTMAX"}, NO_SOFTMAX),
    (
        {"base_values": [1.0, 2.0]},
        "expected base values as converters write them, found [1.0, 2.0]",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSALS)
def test_what_stays(model_file: ModelFile, changes: dict[str, Any], sentence: str) -> None:
    """N3, X3."""
    source = load_model(model_file(small(**changes)))
    assert source.refused == {"TreeEnsembleClassifier": sentence}


def test_a_fixed_batch(model_file: ModelFile) -> None:
    """Samples of a batch are told apart, as for a product with a matrix (B3)."""
    options, x = forest(3)
    node = ml_node("TreeEnsembleClassifier", ["X"], ["label", "p"], **options, **THREE)
    model = ml_model([node], 4, ["label", "p"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5
    source = load_model(model_file(model))
    assert (source.batch, source.batch_obstacle) == (5, "")
    want = run(model, x[:5])
    for k in range(5):
        label, scores = run(source.model, x[k : k + 1])
        assert label.tolist() == [want[0][k]]
        np.testing.assert_allclose(scores, want[1][k : k + 1], rtol=1e-5)


THREE = {"classlabels_int64s": [0, 1, 2]}
