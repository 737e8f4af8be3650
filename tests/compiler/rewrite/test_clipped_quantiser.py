# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Integers of fewer bits than their type has (Brevitas's QCDQ): what they become, to which bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import compile_model
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.hw.kernels.reference import Reference
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
RunOnnx = Callable[..., dict[str, Any]]

SEED = 31

# Activations of 4 bits, then 3 bits in a narrow range from an odd zero point; weights of 4 bits.
# All that float32 computes here is exact.
NET = """
g (float[N, 6] x) => (float[N, 3] y)
<float s = {0.25}, uint8 z = {0}, float t = {0.5}, int8 odd = {1}, int8 none = {0},
 uint8 low4 = {0}, uint8 high4 = {15}, int8 low3 = {-3}, int8 high3 = {3},
 int8 wl = {-8}, int8 wh = {7}, float ws = {0.125},
 float[6, 3] w = {0.6, -0.6, 0.2, -1.5, 1, -1, 0.5, 0.51, -0.4, 0.9, 0, 1, -1, 1, 0.7, -0.7,
                  0.3, 2}>
{ q = QuantizeLinear (x, s, z)
  c = Clip (q, low4, high4)
  a = DequantizeLinear (c, s, z)
  wq = QuantizeLinear (w, ws, none)
  wc = Clip (wq, wl, wh)
  wd = DequantizeLinear (wc, ws, none)
  m = MatMul (a, wd)
  q2 = QuantizeLinear (m, t, odd)
  c2 = Clip (q2, low3, high3)
  y = DequantizeLinear (c2, t, odd) }
"""

GOLDEN = """\
QuantizeLinear, spelled out in 3 nodes
  - q = QuantizeLinear(x, 0.25, 0)
  - c = Clip(q, 0, 15)
  - a = DequantizeLinear(c, 0.25, 0)
  + DequantizeLinear_2::integers = QuantizeLinear(x, 0.25, 0)
  + a = DequantizeLinear(DequantizeLinear_2::integers, 0.25, 0)
QuantizeLinear, spelled out in 3 nodes
  - q2 = QuantizeLinear(m, 0.5, 1)
  - c2 = Clip(q2, -3, 3)
  - y = DequantizeLinear(c2, 0.5, 1)
  + DequantizeLinear_9::clamped = Clip(m, -2, 1)
  + DequantizeLinear_9::integers = QuantizeLinear(DequantizeLinear_9::clamped, 0.5, 1)
  + y = DequantizeLinear(DequantizeLinear_9::integers, 0.5, 1)
"""


def test_text_form(model_file: ModelFile) -> None:
    assert print_rewritten(rewrite(load_model(model_file(NET)))) == GOLDEN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("y = DequantizeLinear (c2, t, odd)", "y = DequantizeLinear (c2, s, odd)"),
        ("Clip (q2, low3, high3)", "Clip (q2, low3)"),
        ("=> (float[N, 3] y)", "=> (float[N, 3] y, int8[N, 3] c2)"),
    ],
)
def test_what_is_something_else(model_file: ModelFile, old: str, new: str) -> None:
    """Another grid, one bound, integers that somebody else reads."""
    printed = print_rewritten(rewrite(load_model(model_file(NET.replace(old, new)))))
    assert printed.startswith("QuantizeLinear, spelled out in 3 nodes\n  - q = ")
    assert "  - q2 = " not in printed


def test_in_rtl(model_file: ModelFile, run_onnx: RunOnnx, tmp_path: Path, no_nic: None) -> None:
    """Tensors as narrow as they are, and the integers that ONNX Runtime has."""
    del no_nic
    path = model_file(NET)
    bundle = compile_model(path, tmp_path / "net.mw").bundle
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    assert [(t.name, t.qtype.bits, t.qtype.signed) for t in (spec, out)] == [
        ("a", 4, False),
        ("y", 3, True),
    ]
    found = verify(bundle, vectors=8, stall=0.4, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    model = load_model(path).model
    model.graph.output.append(onnx.ValueInfoProto(name="a"))
    rng = np.random.default_rng(SEED)
    reference = Reference.of_bundle(bundle)
    for _ in range(40):
        real = run_onnx(model, {"x": rng.normal(1, 2, (1, 6)).astype(np.float32)})
        wire = spec.layout.to_stream(spec.qtype.quantise(real["a"]))
        (result,) = reference.run_wire([wire.reshape(1, -1)])
        got = out.qtype.dequantise(out.layout.from_stream(result[0], out.shape))
        np.testing.assert_array_equal(got, real["y"])
