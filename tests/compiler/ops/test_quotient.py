# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Division of computed tensors as networks have it, in RTL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.errors import CalibrationError
from midwire.compiler.pipeline import Options, compile_model
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]

SEED = 31

NETWORKS = {
    "log-mel": """
g (float[N, 6, 5] x) => (float[N, 6, 3] y) <float tiny = {0.05}, float small = {0.001}, WEIGHTS>
{ p = Mul(x, x)
  m = MatMul(p, w)
  e = Add(m, tiny)
  l = Log(e)
  mean = ReduceMean<axes = [1]>(l)
  d = Sub(l, mean)
  q = Mul(d, d)
  v = ReduceMean<axes = [1]>(q)
  s = Sqrt(v)
  t = Add(s, small)
  y = Div(d, t) }
""",
    "shares of a sum": """
g (float[N, 6, 5] x) => (float[N, 6, 3] y) <float tiny = {0.05}, WEIGHTS>
{ m = MatMul(x, w)
  r = Relu(m)
  p = Add(r, tiny)
  s = ReduceSum<keepdims = 1>(p, last)
  y = Div(p, s) }
""",
}


def written(text: str, rng: np.random.Generator) -> str:
    """A network with weights above zero."""
    weights = ", ".join(f"{v:.4f}" for v in rng.uniform(0.1, 1, 15))
    known = f"float[5, 3] w = {{{weights}}}, int64[1] last = {{-1}}"
    return text.replace("WEIGHTS", known)


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, model_file: ModelFile, tmp_path: Path) -> None:
    """One slice of the whole network, exact, and near the real one."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    path = model_file(written(NETWORKS[name], rng), 13)
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=rng.normal(size=(32, 1, 6, 5)).astype(np.float32))
    options = Options(calibrate=samples, bits=10, min_sqnr=25.0)
    bundle = compile_model(path, tmp_path / "bundle", options).bundle
    assert bundle.manifest.slice["macs_share"] == 1.0
    assert [step.kernel.kind for step in bundle.manifest.steps].count("quotient") == 1
    found = verify(bundle, vectors=4, stall=0.4, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles


def test_divisors_on_both_sides_of_zero_are_refused(model_file: ModelFile, tmp_path: Path) -> None:
    text = """
    g (float[N, 4] x) => (float[N, 4] y) <int64[1] last = {-1}>
    { s = ReduceSum<keepdims = 1>(x, last)
      y = Div(x, s) }
    """
    samples = tmp_path / "samples.npz"
    x = np.array([[1, 2, 3, 4], [-1, 0, 0, 0.5]] * 4, np.float32)[:, None]
    np.savez(samples, x=x)
    with pytest.raises(CalibrationError) as caught:
        compile_model(model_file(text, 13), tmp_path / "bundle", Options(calibrate=samples))
    assert str(caught.value) == (
        "node 'Div_1', tensor 's': a divisor may be 0; expected divisors that are all above 0, or "
        "all below; found -0.5 to 10 in the calibration data. Add a small number to the divisor or "
        "put a Max or Clip before the Div, or end the slice before it with --to."
    )
