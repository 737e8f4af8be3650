# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A compile after a change of one layer: what caches kept changes nothing of what is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler.map import fuse
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw import elaborate
from midwire.hw.finish import fit, steps
from midwire.hw.jobs import run_jobs

from ..small import without_shell

CHANNELS = 4


def network(path: Path, changed: int | None = None) -> Path:
    """A residual net of convolutions, of which one may have other weights: all scales behind it
    differ then.
    """
    rng = np.random.default_rng(5)
    constants = {
        name: rng.normal(0, 0.4, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32) for name in "uvw"
    }
    if changed is not None:
        constants["uvw"[changed]] *= 1.3
    constants["slope"] = np.linspace(0.1, 0.9, CHANNELS, dtype=np.float32)[:, None, None]
    model = onnx.parser.parse_model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        again (float[1, {CHANNELS}, 8, 8] x) => (float[1, {CHANNELS}, 8, 8] y) {{
            a = Conv <pads = [1, 1, 1, 1]> (x, u)
            b = Relu (a)
            c = Conv <pads = [1, 1, 1, 1]> (b, v)
            d = Add (c, x)
            e = PRelu (d, slope)
            f = Conv <pads = [1, 1, 1, 1]> (e, w)
            y = Add (f, e)
        }}"""
    )
    made = (numpy_helper.from_array(array, name) for name, array in constants.items())
    model.graph.initializer.extend(made)
    onnx.save(model, path)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What workers were asked to elaborate."""
    texts: list[str] = []

    def note(jobs: Any, **options: Any) -> None:
        for job in jobs:
            texts.extend(json.loads(Path(job.command[-2]).read_text()))
        run_jobs(jobs, **options)

    monkeypatch.setattr(elaborate, "run_jobs", note)
    return texts


def test_what_was_kept_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    """Byte by byte, whatever the cache has; and only what the change reaches is made again."""
    samples = np.random.default_rng(6).normal(0, 1, (6, 1, CHANNELS, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=samples)
    options = Options(calibrate=tmp_path / "samples.npz", min_sqnr=0.0)

    def built(model: Path, cache: str) -> dict[str, bytes]:
        for kept in (fuse._finisher, fit._search, steps.steps):
            kept.cache_clear()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / cache))
        del asked[:]
        root = compile_model(model, tmp_path / f"{model.stem}-{cache}", options).bundle.root
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root)): path.read_bytes() for path in files}

    first = network(tmp_path / "first.onnx")
    other = network(tmp_path / "model.onnx", changed=1)
    with without_shell():
        before = built(first, "warm")
        every = len(asked)
        warm = built(other, "warm")
        again = len(asked)
        assert built(other, "warm") == warm and not asked
        cold = built(other, "cold")
    assert warm.keys() == cold.keys() == before.keys()
    assert [name for name in warm if warm[name] != cold[name]] == []
    assert warm["program.npz"] != before["program.npz"]
    assert 0 < again < every
    assert len(asked) >= every - 1
