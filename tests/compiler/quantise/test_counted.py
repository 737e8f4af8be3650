# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Masked attention: what a mask takes out has no part in choosing a grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.ops.softmax import DEEPEST, Softmax
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.quantise.counted import counted
from midwire.hw.kernels.reference import Reference

SEED = 20266
ModelFile = Callable[..., Path]


def test_softmax_counts_what_is_near_the_largest() -> None:
    x = np.array([[3.0, -1e4, 2.0], [-40.0, -41.0, -60.0]], np.float32)
    found = Softmax((1,)).told_apart(x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[3, 3 - DEEPEST, 2], [-40, -41, -40 - DEEPEST]])


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("out", ["-10000", "-3e38", "-inf"])
def test_a_mask_leaves_the_others_their_steps(
    model_file: ModelFile, tmp_path: Path, out: str
) -> None:
    """The model's own values with a mask of -10000 on a grid of 8 bits: steps of 39, one class."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    w = ", ".join(f"{value:.3f}" for value in rng.normal(size=36))
    text = f"""g (float[1, 5, 6] x) => (float[1, 5, 6] y)
        <float[6, 6] w = {{{w}}}, float[6] mask = {{0, 0, {out}, 0, 0, {out}}}>
        {{ h = MatMul (x, w) m = Add (h, mask) y = Softmax <axis = -1> (m) }}"""
    samples = rng.normal(size=(64, 1, 5, 6)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=samples)
    options = Options(calibrate=tmp_path / "samples.npz")
    done = compile_model(model_file(text), tmp_path / "bundle", options)
    losses: dict[str, Any] = {loss.tensor: loss.sqnr.level for loss in done.losses}
    assert min(losses.values()) > 25
    assert not any("leave the calibrated ranges" in sentence for sentence in done.warnings)
    wire = rng.integers(-128, 128, (20, 30))
    (found,) = Reference.of_bundle(done.bundle).run_wire([wire])
    (spec,) = done.bundle.manifest.outputs
    shares = spec.qtype.dequantise(found).reshape(20, 5, 6)
    assert (shares[..., [2, 5]] == 0).all() and (shares.sum(-1) > 0.9).all()


@pytest.mark.usefixtures("no_rtl")
def test_integers_of_the_model_are_measured_as_they_are(
    model_file: ModelFile, tmp_path: Path
) -> None:
    """A model with grids of 16 bits, whose Softmax reads integers that are thousands apart."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    w = ", ".join(f"{value:.3f}" for value in rng.normal(size=36))
    text = f"""g (float[1, 5, 6] x) => (float[1, 5, 6] y)
        <float[6, 6] w = {{{w}}}, float s = {{0.001}}, uint16 z = {{30000}}> {{
        q = QuantizeLinear (x, s, z) r = DequantizeLinear (q, s, z)
        h = MatMul (r, w) i = QuantizeLinear (h, s, z) j = DequantizeLinear (i, s, z)
        p = Softmax <axis = -1> (j)
        o = QuantizeLinear (p, s, z) y = DequantizeLinear (o, s, z) }}"""
    np.savez(tmp_path / "in.npz", in0=rng.normal(size=(16, 1, 5, 6)).astype(np.float32))
    options = Options(calibrate=tmp_path / "in.npz")
    done = compile_model(model_file(text, opset=21), tmp_path / "bundle", options)
    assert min(loss.sqnr.level for loss in done.losses) > 40


@pytest.mark.parametrize(
    "views",
    [
        "v = Reshape (m, s)",
        "t = Transpose <perm = [0, 2, 1, 3]> (m) v = Reshape (t, s)",
    ],
)
def test_behind_views(views: str, lower: Any) -> None:
    """Heads that are joined between the mask and its Softmax."""
    text = f"""g (float[1, 2, 3, 4] x, float[1, 2, 4, 5] z) => (float[1, 6, 5] y)
        <int64[3] s = {{0, 6, 5}}> {{ m = MatMul (x, z) {views} y = Softmax <axis = -1> (v) }}"""
    real = lower(text).real
    found = counted(real)
    assert set(found) == {"m", "v", *(["t"] if "t =" in views else [])}
    x = np.zeros((1, 2, 3, 5), np.float32)
    x[0, 1, 2] = [3, -1e4, 2, 0, -9e9]
    told = x.copy()
    told[0, 1, 2, [1, 4]] = 3 - DEEPEST
    np.testing.assert_array_equal(found["m"](x), told)


def test_only_where_nothing_else_reads(lower: Any) -> None:
    text = """g (float[1, 6] x) => (float[1, 2, 3] v, float[1, 2, 3] y)
        <int64[3] s = {0, 2, 3}> { m = Relu (x) v = Reshape (m, s) y = Softmax (v) }"""
    assert not counted(lower(text).real)
