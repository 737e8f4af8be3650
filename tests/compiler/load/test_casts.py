# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""CastLike, as functions write it that exporters inline."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Written
from midwire.compiler.rewrite.rewriting import rewrite
from midwire.compiler.select.support import import_all

ModelFile = Callable[..., Path]

GELU = f"""
g (float[{{batch}}, 3, 4] x) => (float[{{batch}}, 3, 4] y)
<float half = {{{{0.5}}}}, int64 one = {{{{1}}}}, double root = {{{{{math.sqrt(2)!r}}}}}>
{{{{ h = CastLike (half, x) o = CastLike (one, x) r = CastLike (root, x)
  a = Div (x, r) b = Erf (a) c = Add (b, o) d = Mul (x, c) y = Mul (d, h) }}}}
"""


def test_constants_of_a_spelled_out_operator(model_file: ModelFile) -> None:
    for batch, size in (("N", 1), ("5", 5)):
        source = load_model(model_file(GELU.format(batch=batch), 15))
        assert (source.batch, source.batch_obstacle) == (size, "")
        assert [unit.operator for unit in rewrite(source).units if unit.operator] == ["Gelu"]


def test_the_model_means_the_same(model_file: ModelFile) -> None:
    """In ONNX Runtime, and people are shown the node of the file."""
    path = model_file(GELU.format(batch="1"), 15)
    source = load_model(path)
    assert {node.op_type for node in source.nodes} == {"Add", "Cast", "Div", "Erf", "Mul"}
    assert source.written["CastLike_0"] == Written("CastLike_0", "CastLike")
    x = {"x": np.linspace(-3, 3, 12, dtype=np.float32).reshape(1, 3, 4)}
    models = (path.read_bytes(), source.model.SerializeToString())
    results = [onnxruntime.InferenceSession(model).run(None, x)[0] for model in models]
    np.testing.assert_array_equal(*results)


def test_a_type_that_nothing_says(model_file: ModelFile) -> None:
    text = """
    g (float[N, 4] x) => (float[N, 4] y)
    { u = elsewhere.Unknown (x)  y = CastLike (x, u) }
    """
    path = model_file(text, 15, imports=', "elsewhere" : 1')
    verdict = next(v for v in import_all(load_model(path)) if v.name == "CastLike_1")
    assert verdict.reason == "expected a tensor of a known type to cast like, found 'u'"
