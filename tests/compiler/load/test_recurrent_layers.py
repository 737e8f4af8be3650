# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers whose batch comes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Written
from midwire.compiler.select.support import import_all

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def batch_first(kind: str, **attributes: Any) -> onnx.ModelProto:
    """A layer of 4 units over 5 elements of 3 numbers, all its outputs, from a first state."""
    rows = GATES[kind] * 4
    rng = np.random.default_rng(rows)
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    shapes = {"w": (1, rows, 3), "r": (1, rows, 4), "b": (1, 2 * rows)}
    shapes |= dict.fromkeys(states, (1, 1, 4))
    outputs = ["y", "y_h"]
    node = onnx.helper.make_node(
        kind, ["x", "w", "r", "b", "", *states], outputs, "layer", hidden_size=4, **attributes
    )
    number = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "net",
        [onnx.helper.make_tensor_value_info("x", number, ["N", 5, 3])],
        [
            onnx.helper.make_tensor_value_info("y", number, ["N", 5, 1, 4]),
            onnx.helper.make_tensor_value_info("y_h", number, ["N", 1, 4]),
        ],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    opset = [onnx.helper.make_opsetid("", 14)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.mark.parametrize("kind", GATES)
def test_they_mean_what_the_definition_says(
    kind: str, model_file: Callable[..., Path], run_onnx: Callable[..., Any]
) -> None:
    """ONNX's own reference has this layout, ONNX Runtime runs what is written out (rule X1)."""
    model = batch_first(kind, layout=1)
    with pytest.raises(Exception, match="layout"):
        onnxruntime.InferenceSession(model.SerializeToString())
    source = load_model(model_file(model))
    x = np.random.default_rng(1).standard_normal((1, 5, 3)).astype(np.float32)
    found = run_onnx(source.model, {"x": x})
    wanted = ReferenceEvaluator(model).run(None, {"x": x})
    for name, array in zip(("y", "y_h"), wanted, strict=True):
        np.testing.assert_allclose(found[name].ravel(), np.ravel(array), atol=1e-5)
    assert found["y"].shape == (1, 5, 1, 4) and found["y_h"].shape == (1, 1, 4)
    assert set(source.written.values()) == {Written("layer", kind)}
    assert all(verdict.supported for verdict in import_all(source))


def test_another_layout_is_refused(model_file: Callable[..., Path]) -> None:
    (verdict,) = import_all(load_model(model_file(batch_first("GRU", layout=2))))
    assert verdict.reason == "expected a layout of 0 or 1, found 2"
