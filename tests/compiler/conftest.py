# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models for the compiler's tests, written in ONNX's text form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    """Write a model to a file: a protobuf, bytes, or the text of a graph (opset 13 by default)."""

    def write(
        model: onnx.ModelProto | bytes | str,
        opset: int = 13,
        name: str = "net.onnx",
        imports: str = "",
        ir: int = 8,
    ) -> Path:
        if isinstance(model, str):
            header = f'<ir_version: {ir}, opset_import: ["" : {opset}{imports}]>\n'
            model = onnx.parser.parse_model(header + model)
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return write


@pytest.fixture(scope="session")
def run_onnx() -> RunOnnx:
    """Run a model in ONNX Runtime, node by node as it stands: no fusing."""

    def run(model: onnx.ModelProto, feed: Mapping[str, Array]) -> dict[str, Array]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feed)), strict=True))

    return run
