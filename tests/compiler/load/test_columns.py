# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Columns that scikit-learn's pipelines choose, against ONNX Runtime's own operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.select.inspection import inspect_model

from ...classical import ml_model, ml_node

ModelFile = Callable[..., Path]


def chosen(indices: list[int]) -> onnx.ModelProto:
    """Columns of the input, a Scaler and a Gemm behind them, NaN replaced before."""
    nodes = [
        ml_node("Imputer", ["X"], ["i"], imputed_value_floats=[0.5] * 5, replaced_value_float=2.0),
        ml_node("ArrayFeatureExtractor", ["i", "k"], ["c"]),
        ml_node("Scaler", ["c"], ["s"], offset=[0.25], scale=[2.0]),
        helper.make_node("Gemm", ["s", "w"], ["Y"], "Gemm"),
    ]
    model = ml_model(nodes, 5, ["Y"])
    k, w = np.array([indices]), np.linspace(-1, 1, 2 * len(indices), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(k, "k"))
    model.graph.initializer.append(numpy_helper.from_array(w.reshape(-1, 2), "w"))
    return model


def test_columns(model_file: ModelFile) -> None:
    path = model_file(chosen([3, 0, 4]))
    source = load_model(path)
    assert "ArrayFeatureExtractor" not in {node.op_type for node in source.nodes}
    x = np.arange(5, dtype=np.float32).reshape(1, 5)
    first, second = (
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"X": x})[0]
        for model in (onnx.load(path), source.model)
    )
    np.testing.assert_array_equal(first, second)


def test_what_replaces_nan_is_left_to_the_edge(model_file: ModelFile) -> None:
    """The shape behind an Imputer is known, and all that follows it is a slice."""
    report = inspect_model(model_file(chosen([1, 2])))
    assert (report["slice"]["inputs"], report["slice"]["outputs"]) == (["i"], ["Y"])
    assert {node["op"]: node["part"] for node in report["nodes"] if node["part"] != "slice"} == {
        "ai.onnx.ml.Imputer": "edge"
    }


def test_labels_are_left_alone(model_file: ModelFile) -> None:
    nodes = [
        helper.make_node("ArgMax", ["X"], ["best"], axis=1),
        ml_node("ArrayFeatureExtractor", ["classes", "best"], ["label"]),
    ]
    model = ml_model(nodes, 3, ["label"])
    model.graph.initializer.append(numpy_helper.from_array(np.array([7, 8, 9]), "classes"))
    source = load_model(model_file(model))
    assert [node.op_type for node in source.nodes] == ["ArgMax", "ArrayFeatureExtractor"]
    x = np.arange(3, dtype=np.float32).reshape(1, 3)
    (label,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"X": x})
    # Without a shape, the label is no output that right answers are counted in.
    assert (source.values["label"].shape, source.values["label"].dtype) == (label.shape, "int64")
