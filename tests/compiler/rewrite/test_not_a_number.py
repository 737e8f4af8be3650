# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Guards against what no integer is: what becomes nothing, and what stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]

SEED = 20278

GUARDED = """
g (float[1, 4] x) => (float[1, 4] y) <float zero = {0}>
{ s = Softmax (x)  n = IsNaN (s)  y = Where (n, zero, s) }
"""


def test_becomes(model_file: ModelFile) -> None:
    assert (
        print_rewritten(rewrite(load_model(model_file(GUARDED))))
        == """\
Identity, spelled out in 2 nodes
  - n = IsNaN(s)
  - y = Where(n, 0, s)
  + y = Identity(s)
"""
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("n = IsNaN (x)  y = Where (n, zero, s)", id="of another tensor"),
        pytest.param("n = IsNaN (s)  y = Where (n, s, zero)", id="what is none is kept"),
        pytest.param("n = IsNaN (s)  y = Where (n, wide, s)", id="another shape"),
        pytest.param("n = Not (m)  m = IsNaN (s)  y = Where (n, zero, s)", id="the others"),
    ],
)
def test_stays(model_file: ModelFile, body: str) -> None:
    text = GUARDED.replace("n = IsNaN (s)  y = Where (n, zero, s)", body)
    text = text.replace(
        "float zero", "float[3, 4] wide = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, float zero"
    )
    text = text.replace("float[1, 4] y", "float[M, 4] y")
    assert not print_rewritten(rewrite(load_model(model_file(text))))


@pytest.mark.usefixtures("no_nic")
def test_in_rtl(model_file: ModelFile, tmp_path: Path) -> None:
    print("seed", SEED)
    x = np.random.default_rng(SEED).uniform(-2, 2, (40, 1, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", in0=x)
    options = Options(calibrate=tmp_path / "x.npz")
    made = compile_model(model_file(GUARDED.replace("IsNaN", "IsInf")), tmp_path / "b", options)
    assert verify(made.bundle, vectors=3, seed=SEED).passed
