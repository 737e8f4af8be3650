# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Models of scikit-learn from file to bundle: RTL, ``slice.onnx``, and the parts around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from midwire.compiler.errors import LossError
from midwire.compiler.pipeline import Compiled, Options, compile_model
from midwire.sim.verify import verify

from ..classical import ml_model, ml_node, trees_of, with_maps, zipped

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

SEED = 20265


def compiled(path: Path, x: Array, **options: Any) -> Compiled:
    """A bundle, calibrated on the data, whose RTL and ``slice.onnx`` are exact, cycles included."""
    np.savez(path.with_name("samples.npz"), in0=x[:, None])
    chosen = Options(calibrate=path.with_name("samples.npz"), **options)
    found = compile_model(path, path.with_name("bundle"), chosen)
    checked = verify(found.bundle, vectors=12, stall=0.4, seed=SEED)
    assert (checked.rtl_mismatches, checked.onnx_mismatches) == (0, 0)
    manifest = found.bundle.manifest
    assert checked.cycles_per_inference == manifest.cycles_per_inference
    assert checked.latency_cycles == manifest.latency_cycles
    return found


def split(found: Compiled, sample: Array) -> list[Any]:
    """What edge, slice and cloud make of one sample."""
    (wire,) = _session(found, "edge.onnx").run(None, {"X": sample[None]})
    names = [value.name for value in _session(found, "slice.onnx").get_outputs()]
    wires = _session(found, "slice.onnx").run(names, {"wire_in0": wire})
    feeds = {f"wire_out{k}": value for k, value in enumerate(wires)}
    return list(_session(found, "cloud.onnx").run(None, feeds))


def _session(found: Compiled, part: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(found.bundle.path(part))


def iris() -> tuple[Array, Array]:
    x, y = load_iris(return_X_y=True)
    return x.astype(np.float32), y


@pytest.mark.usefixtures("no_nic")
def test_logistic_regression(model_file: ModelFile) -> None:
    """A pipeline of a scaler and a binary classifier: LOGISTIC, norm, label, map of names."""
    x, y = iris()
    x, y = x[y > 0], y[y > 0] - 1
    scaler = StandardScaler().fit(x)
    trained = LogisticRegression().fit(scaler.transform(x), y)
    weights, bias = trained.coef_[0], trained.intercept_[0]
    nodes = [
        ml_node("Scaler", ["X"], ["s"], offset=scaler.mean_, scale=1 / scaler.scale_),
        ml_node(
            "LinearClassifier",
            ["s"],
            ["l", "q"],
            coefficients=np.stack([-weights, weights]),
            intercepts=[-bias, bias],
            classlabels_ints=[0, 1],
            post_transform="LOGISTIC",
        ),
        *zipped(ml_node("Normalizer", ["q"], ["p"], norm="L1"), 2),
    ]
    path = model_file(with_maps(ml_model(nodes, 4, ["label"])))
    found = compiled(path, x)
    assert found.bundle.manifest.slice["macs_share"] == 1.0
    want = onnxruntime.InferenceSession(path).run(None, {"X": x})
    for k in range(0, len(x), 7):
        label, maps = split(found, x[k])
        assert maps[0][1] == pytest.approx(want[1][k][1], abs=0.05)
        if abs(want[1][k][1] - 0.5) > 0.05:
            assert label.tolist() == [want[0][k]]


@pytest.mark.usefixtures("no_nic")
def test_several_classes(model_file: ModelFile) -> None:
    """SOFTMAX is the cloud's, and the slice ends at the scores."""
    x, y = iris()
    trained = LogisticRegression().fit(x, y)
    node = ml_node(
        "LinearClassifier",
        ["X"],
        ["label", "p"],
        coefficients=trained.coef_,
        intercepts=trained.intercept_,
        classlabels_ints=[0, 1, 2],
        post_transform="SOFTMAX",
    )
    found = compiled(model_file(ml_model([node], 4, ["label", "p"])), x)
    assert [spec.name for spec in found.bundle.manifest.outputs] == ["LinearClassifier::scores"]
    labels = [int(split(found, sample)[0][0]) for sample in x[::5]]
    assert np.mean(np.array(labels) == trained.predict(x[::5])) > 0.95


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize("classes", [2, 3])
def test_random_forest(model_file: ModelFile, classes: int) -> None:
    """A vector every cycle; labels and maps of names behind it."""
    x, y = iris()
    x, y = x[y >= 3 - classes], y[y >= 3 - classes] - (3 - classes)
    trained = RandomForestClassifier(5, max_depth=4, random_state=SEED).fit(x, y)
    trees = [tree.tree_ for tree in trained.estimators_]
    options = trees_of(trees, [tree.value / len(trees) for tree in trees], "class")
    node = ml_node(
        "TreeEnsembleClassifier", ["X"], ["l", "p"], classlabels_int64s=range(classes), **options
    )
    path = model_file(with_maps(ml_model(zipped(node, classes), 4, ["label"])))
    found = compiled(path, x)
    assert found.bundle.manifest.cycles_per_inference == 1
    labels = [int(split(found, sample)[0][0]) for sample in x[::3]]
    assert np.mean(np.array(labels) == trained.predict(x[::3])) > 0.95


@pytest.mark.usefixtures("no_nic")
def test_boosted_trees(model_file: ModelFile) -> None:
    """One score of two classes, LOGISTIC, a base value."""
    x, y = iris()
    x, y = x[y > 0], y[y > 0] - 1
    trained = GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=SEED).fit(x, y)
    trees = [stage[0].tree_ for stage in trained.estimators_]
    options = trees_of(trees, [tree.value * trained.learning_rate for tree in trees], "class")
    node = ml_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["label", "p"],
        classlabels_int64s=[0, 1],
        post_transform="LOGISTIC",
        base_values=trained._raw_predict_init(x[:1]).ravel(),
        **options,
    )
    found = compiled(model_file(ml_model([node], 4, ["label", "p"])), x)
    probabilities = np.stack([split(found, sample)[1][0] for sample in x[::4]])
    np.testing.assert_allclose(probabilities, trained.predict_proba(x[::4]), atol=0.05)


@pytest.mark.usefixtures("no_nic")
def test_a_grid_that_merges_thresholds_is_a_loss(model_file: ModelFile) -> None:
    """One feature a hundred times as large as another: 8 bits do not tell the small ones apart."""
    rng = np.random.default_rng(SEED)
    x = rng.uniform(-1, 1, (200, 2)).astype(np.float32) * np.array([1, 100], np.float32)
    y = (x[:, 0] > 0.5).astype(int)
    trained = RandomForestClassifier(1, max_depth=2, random_state=SEED).fit(x, y)
    tree = trained.estimators_[0].tree_
    node = ml_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["Y"],
        n_targets=2,
        **trees_of([tree], [tree.value]),
    )
    path = model_file(ml_model([node], 2, ["Y"]))
    with pytest.raises(LossError, match=r"^the model's outputs: the quantised slice loses more"):
        compiled(path, x, bits=8)
    assert compiled(path, x, bits=16, calibration="min-max").worst is not None
