# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Trunc of QONNX behind a pool: what it becomes, to which bits, and in RTL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import compile_model
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.reference import Reference
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

IMPORTS = ', "qonnx.custom_op.general" : 1'
SEED = 29
SCALE = 0.3

# As Brevitas exports its pool: a mean times the size of the window is a sum again.
POOL = """
g (float[N, 3, 4, 4] x) => (float[N, 3, 2, 2] y)
<float s = {0.3}, float r = {2.4}, float z = {0}, float b = {4}, float i = {6}, float o = {3},
 float k = {4}>
{ a = qonnx.custom_op.general.Quant <signed = 0> (x, s, z, b)
  p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a)
  m = Mul (p, k)
  y = qonnx.custom_op.general.Trunc (m, s, z, i, o) }
"""

GOLDEN = """\
Trunc, spelled out in 6 nodes
  - Trunc_3::steps = Div(m, 0.3)
  - Trunc_3::whole = Round(Trunc_3::steps)
  - Trunc_3::bounded = Clip(Trunc_3::whole, -64, 63)
  - Trunc_3::shifted = Div(Trunc_3::bounded, 8)
  - Trunc_3::truncated = Floor(Trunc_3::shifted)
  - y = Mul(Trunc_3::truncated, 0.3)
  + Trunc_3::integers = QuantizeLinear(m, 0.3, 0)
  + Trunc_3::counts = DequantizeLinear(Trunc_3::integers, 1, 0)
  + Trunc_3::parts = Mul(Trunc_3::counts, 0.125)
  + Trunc_3::nearest = Add(Trunc_3::parts, -0.4375)
  + Trunc_3::kept = QuantizeLinear(Trunc_3::nearest, 1, 0)
  + y = DequantizeLinear(Trunc_3::kept, 0.3, 0)
"""

FLOOR = "Trunc (m, s, z, i, o)"
FORMS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "floor": (FLOOR, lambda q: np.floor(q / 8)),
    "ceil": ('Trunc <rounding_mode = "CEIL"> (m, s, z, i, o)', lambda q: np.ceil(q / 8)),
    "round": ('Trunc <rounding_mode = "ROUND"> (m, s, z, i, o)', lambda q: np.rint(q / 8)),
    "bounded": (
        "Trunc <signed = 0, narrow = 1> (m, s, z, i, r, z, o)",
        lambda q: np.floor(np.clip(q / 8, 0, 6)),
    ),
}


def test_text_form(model_file: ModelFile) -> None:
    printed = print_rewritten(rewrite(load_model(model_file(POOL, imports=IMPORTS))))
    assert printed.endswith(GOLDEN)


@pytest.mark.parametrize("form", FORMS)
def test_every_integer(model_file: ModelFile, tmp_path: Path, form: str, no_rtl: None) -> None:
    """Of the sums of all windows that there are, by the reference."""
    del no_rtl
    text, exact = FORMS[form]
    bundle = compile_model(
        model_file(POOL.replace(FLOOR, text), imports=IMPORTS), tmp_path / "net.mw"
    ).bundle
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    assert (spec.name, out.name) == ("a", "y")
    rng = np.random.default_rng(SEED)
    q = rng.integers(0, 16, (60, *spec.shape))
    q[0], q[1] = 15, 0
    wires = np.stack([spec.layout.to_stream(sample) for sample in q])
    (got,) = Reference.of_bundle(bundle).run_wire([wires])
    sums = q.reshape(60, 1, 3, 2, 2, 2, 2).sum(axis=(4, 6))
    real = np.stack([out.layout.from_stream(stream, out.shape) for stream in got])
    np.testing.assert_array_equal(real, exact(sums))
    step = np.float32(2.4) if form == "bounded" else np.float32(SCALE)
    assert (out.qtype.scale, out.qtype.zero_point) == (float(step), 0)


def test_in_rtl(model_file: ModelFile, tmp_path: Path, no_nic: None) -> None:
    del no_nic
    bundle = compile_model(model_file(POOL, imports=IMPORTS), tmp_path / "net.mw").bundle
    found = verify(bundle, vectors=12, stall=0.4, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("i = {6}", "i = {16}", "expected integers of 1 to 16 bits, found the element type int17"),
        ("float s = {0.3}", "float[1, 3, 1, 1] s = {1, 2, 3}", "expected one scale for the tensor"),
    ],
)
def test_refusals_name_the_node(model_file: ModelFile, old: str, new: str, reason: str) -> None:
    text = POOL.replace(old, new).replace("o = {3}", "o = {13}" if "16" in new else "o = {3}")
    support = import_all(load_model(model_file(text, imports=IMPORTS)))
    (bad,) = [verdict for verdict in support if verdict.name == "Trunc_3"]
    assert not bad.supported
    assert bad.reason.startswith(reason)
