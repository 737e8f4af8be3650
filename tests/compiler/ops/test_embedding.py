# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Look-ups among other operators: what is in their tables, and what a request carries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops.embedding import Embedding
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.quantise.insert import missing_grids
from midwire.compiler.select.buildable import plan
from midwire.compiler.select.cuts import find_cuts
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType
from midwire.hw.session import open_session
from midwire.sim.vectors import wire_inputs
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

SEED = 20270

CURVE = """
g (int64[N, 6] x) => (float[N, 6, 3] y)
<float[5, 3] t = {0.5, -1, 2, 0.25, -0.75, 1, 0, 3, -2, 1, 1, 1, -0.5, 0.125, 4},
 float[3] b = {0.25, 1, -0.5}>
{ e = Gather (t, x)  f = Add (e, b)  y = Tanh (f) }
"""

SHARED = """
g (uint8[N, 4] z) => (float[N, 4, 2] y)
<float[3, 2] t = {1, 2, 3, 4, 5, 6}, float[20, 2] u = {
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  0, 2, 0, 4, 0, 6, 0, 8, 0, 10, 0, 2, 0, 4, 0, 6, 0, 8, 0, 10}>
{ x = Cast <to = 7> (z)  e = Gather (t, x)  f = Gather (u, x)  y = Add (e, f) }
"""


def compiled(path: Path, tmp_path: Path, x: Array) -> Any:
    np.savez(tmp_path / "samples.npz", in0=x)
    options = Options(calibrate=tmp_path / "samples.npz", hold_out=0)
    return compile_model(path, tmp_path / "bundle", options).bundle


def test_what_follows_is_in_the_table(model_file: ModelFile, tmp_path: Path, no_nic: None) -> None:
    """N17: bias and curve cost nothing, and the result is rounded once."""
    print(f"seed {SEED}")
    path = model_file(CURVE)
    x = np.random.default_rng(SEED).integers(-5, 5, (9, 1, 6))
    bundle = compiled(path, tmp_path, x)
    (step,) = bundle.manifest.steps
    assert (step.kernel.kind, [f.kind for f in step.finishers]) == ("rows", ["table"])
    (entry,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    assert (entry.qtype, entry.wire_bytes) == (QType(4, True, 1.0), 6)
    (got,) = Reference.of_bundle(bundle).run_wire(wire_inputs(bundle, {"in0": x}, "samples"))
    session = open_session(path)
    for sample, row in zip(x, got, strict=True):
        real = session.run(["y"], {"x": sample})[0]
        q = out.layout.from_stream(row, out.shape)
        np.testing.assert_array_equal(q, out.qtype.quantise(real))
    found = verify(bundle, vectors=5, stall=0.4, seed=SEED)
    assert found.passed, found


def test_readers_share_integers(model_file: ModelFile) -> None:
    """As many bits as the larger table needs, and no sign where the model's type has none."""
    source = load_model(model_file(SHARED))
    cuts = find_cuts(source, import_all(source))
    assert cuts.grids["z"] == QType(5, False, 1.0)
    assert cuts.grids["x"] == QType(6, True, 1.0)
    graph = plan(source, "z", "y").selection.graph
    assert graph.indices == {"z", "x"} and graph.given == frozenset()
    assert missing_grids(graph) == ["e", "f", "y"]


def test_an_output_of_the_model_is_not_narrowed(model_file: ModelFile) -> None:
    """Who reads it may tell all integers apart."""
    text = CURVE.replace("(float[N, 6, 3] y)", "(float[N, 6, 3] y, int64[N, 6] w)")
    text = text.replace("{ e = Gather (t, x)", "{ w = Identity (x)  e = Gather (t, w)")
    source = load_model(model_file(text))
    assert "w" not in find_cuts(source, import_all(source)).grids


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_the_same_at_any_width(
    model_file: ModelFile, tmp_path: Path, no_rtl: None, bits: int
) -> None:
    """Entries are rounded to the grid of the result, whatever it is."""
    path = model_file(CURVE.replace("y = Tanh (f)", "y = Exp (f)"))
    x = np.random.default_rng(SEED).integers(0, 5, (9, 1, 6))
    np.savez(tmp_path / "samples.npz", in0=x)
    options = Options(calibrate=tmp_path / "samples.npz", hold_out=0, bits=bits, min_sqnr=1)
    bundle = compile_model(path, tmp_path / "bundle", options).bundle
    (out,) = bundle.manifest.outputs
    assert out.qtype.bits == bits
    (got,) = Reference.of_bundle(bundle).run_wire(wire_inputs(bundle, {"in0": x}, "samples"))
    session = open_session(path)
    for sample, row in zip(x, got, strict=True):
        real = session.run(["y"], {"x": sample})[0]
        np.testing.assert_array_equal(
            out.layout.from_stream(row, out.shape), out.qtype.quantise(real)
        )


def test_it_says_how_large_it_is() -> None:
    assert repr(Embedding(np.zeros((7, 3)), -1, 5)) == "Embedding(7 rows from -1, 3 columns)"
    assert Embedding(np.zeros((7, 3)), 100).integers == QType(7, False, 1.0)
