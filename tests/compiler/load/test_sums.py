# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.select.inspection import inspect_model

ModelFile = Callable[..., Path]


@pytest.mark.parametrize(
    ("terms", "kinds"),
    [
        ("x", ["Identity"]),
        ("x, x", ["Add"]),
        ("x, c, r", ["Add", "Add"]),
        ("c, x, r, x", ["Add", "Add", "Add"]),
    ],
)
def test_a_sum_is_one_addition_after_the_other(
    model_file: ModelFile, terms: str, kinds: list[str]
) -> None:
    text = "g (float[N, 2, 3] x) => (float[N, 2, 3] y) <float[3] c = {0.5, -1, 4}>"
    path = model_file(f"{text} {{ r = Relu(x) y = Sum({terms}) }}")
    source = load_model(path)
    assert [node.op_type for node in source.nodes if node.op_type != "Relu"] == kinds
    x = np.arange(-3, 3, dtype=np.float32).reshape(1, 2, 3)
    first, second = (
        onnxruntime.InferenceSession(model).run(None, {"x": x})[0]
        for model in (path.read_bytes(), source.model.SerializeToString())
    )
    np.testing.assert_array_equal(first, second)
    report = inspect_model(path)
    assert [node["op"] for node in report["nodes"] if not node["supported"]] == []
