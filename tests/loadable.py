# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Models of one shape, compiled ``loadable``: their slices are the same hardware."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.bundle import Bundle

NET = """
g (float[N, 2, 4, 4] x) => (float[N, 3] y)
<float[3, 2, 3, 3] w = {W}, float[3] c = {C}, float[3, 3] m = {M}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w, c)
  b = Relu (a)
  p = MaxPool <kernel_shape = [4, 4]> (b)
  q = Flatten (p)
  y = MatMul (q, m) }
"""


def compiled(folder: Path, seed: int) -> Bundle:
    """The net with weights, biases and data of a seed."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    text = NET
    for name, size in (("{W}", 54), ("{C}", 3), ("{M}", 9)):
        values = ", ".join(f"{v:.5f}" for v in rng.normal(0, seed, size))
        text = text.replace(name, f"{{{values}}}")
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{text}')
    onnx.save(model, folder / f"{seed}.onnx")
    data = rng.uniform(-1, 1 / seed, (16, 1, 2, 4, 4)).astype(np.float32)
    data[0, 0, 0, 0, 0] = 1  # one zero point for both: padding reads it
    np.savez(folder / f"{seed}.npz", x=data)
    options = Options(calibrate=folder / f"{seed}.npz", strategy="loadable")
    return compile_model(folder / f"{seed}.onnx", folder / f"bundle{seed}", options).bundle
