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
