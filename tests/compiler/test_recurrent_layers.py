# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers among others, as torch writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from midwire.compiler.pipeline import Options, compile_model
from midwire.sim.verify import verify

SEED = 20261126
STEPS, WIDTH, UNITS = 5, 3, 4

TEXT = f"""<ir_version: 8, opset_import: ["" : 17]>
g (float[N, {STEPS}, {WIDTH}] x) => (float[N, 3] y)
<int64 first = {{0}}, int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[1] units = {{{UNITS}}},
 int64[3] rows = {{0, 0, -1}}>
{{ t = Transpose <perm = [1, 0, 2]> (x)
  s = Shape (x)
  n = Gather <axis = 0> (s, first)
  m = Unsqueeze (n, zero)
  k = Concat <axis = 0> (two, m, units)
  z = ConstantOfShape <value = float[1] {{0}}> (k)
  a, ah, ac = LSTM <hidden_size = {UNITS}, direction = "bidirectional"> (t, w1, r1, b1, , z, z)
  b = Transpose <perm = [0, 2, 1, 3]> (a)
  c = Reshape (b, rows)
  d, dh = GRU <hidden_size = {UNITS}, linear_before_reset = 1> (c, w2, r2, b2)
  e = Squeeze (dh, zero)
  y = Gemm <transB = 1> (e, w3, b3) }}
"""

SHAPES = {
    "w1": (2, 4 * UNITS, WIDTH),
    "r1": (2, 4 * UNITS, UNITS),
    "b1": (2, 8 * UNITS),
    "w2": (1, 3 * UNITS, 2 * UNITS),
    "r2": (1, 3 * UNITS, UNITS),
    "b2": (1, 6 * UNITS),
    "w3": (3, UNITS),
    "b3": (3,),
}


def test_a_classifier_of_sequences(
    model_file: Callable[..., Path], tmp_path: Path, no_nic: None
) -> None:
    """All of it is in the slice: first states are constants once shapes are known, axes of length 1
    cost nothing, and the layers' orders meet. Exact in RTL, in the cycles predicted.
    """
    del no_nic
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    model = onnx.parser.parse_model(TEXT)
    for name, shape in SHAPES.items():
        array = rng.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[-1]))
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=rng.uniform(-1, 1, (64, STEPS, WIDTH)).astype(np.float32))
    options = Options(None, None, samples, 8)
    bundle = compile_model(model_file(model), tmp_path / "bundle", options).bundle
    kinds = [step.kernel.kind for step in bundle.manifest.steps]
    assert kinds == ["lstm", "reorder", "lstm", "reorder", "concat", "gru", "conv"]
    assert bundle.manifest.slice["macs_share"] == 1.0
    found = verify(bundle, vectors=3, stall=0.3, seed=SEED)
    assert found.passed, found
