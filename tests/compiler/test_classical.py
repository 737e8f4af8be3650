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
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from midwire.compiler.pipeline import Compiled, Options, compile_model
from midwire.sim.verify import verify

from ..classical import ml_model, ml_node, with_maps, zipped

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
