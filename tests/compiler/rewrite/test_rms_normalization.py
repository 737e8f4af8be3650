# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""RMSNormalization, spelled out, in hardware; ``test_patterns`` has its spellings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.pipeline import Options, compile_model
from midwire.sim.verify import verify

SEED = 41


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize(("axis", "shape"), [(2, "4"), (1, "6, 1")])
def test_it_is_compiled(
    model_file: Callable[..., Path], tmp_path: Path, axis: int, shape: str
) -> None:
    """Over the last axis, and over another one, between two Transposes."""
    numbers = ", ".join(["0.5", "-1", "2", "1.5", "1", "0.25"][: int(shape[0])])
    text = f"""g (float[1, 6, 4] x) => (float[1, 6, 4] y)
    <int64[1] axis = {{{axis}}}, float eps = {{0.001}}, float two = {{2}},
     float[{shape}] gain = {{{numbers}}}, float half = {{0.5}}> {{
      s = Pow(x, two) v = ReduceMean(s, axis) w = Add(v, eps) r = Sqrt(w) n = Div(x, r)
      g = Mul(n, gain) y = Add(g, half) }}"""
    print(f"seed {SEED}")
    samples = np.random.default_rng(SEED).normal(1, 1, (64, 1, 6, 4)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=samples)
    options = Options(["x"], ["y"], tmp_path / "samples.npz", 8, max_error=5)
    compiled = compile_model(model_file(text, opset=18), tmp_path / "bundle", options)
    assert compiled.worst is not None and compiled.worst.sqnr.level > 30
    assert verify(compiled.bundle, vectors=5, stall=0.4, seed=SEED).passed
