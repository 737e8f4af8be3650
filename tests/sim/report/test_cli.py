# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The command's answers, and a real bundle's report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.errors import DataError
from midwire.hw.formats.bundle import Bundle
from midwire.sim.report.cli import report, write_report

from ...small import NET, without_rtl

SEED = 3


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("small")
    model = '<ir_version: 8, opset_import: ["" : 13]>' + NET
    onnx.save(onnx.parser.parse_model(model), folder / "net.onnx")
    samples = np.random.default_rng(SEED).normal(size=(8, 1, 2, 4, 4)).astype(np.float32)
    np.savez(folder / "in.npz", in0=samples)
    with without_rtl():
        options = Options(calibrate=folder / "in.npz", min_sqnr=1)
        return compile_model(folder / "net.onnx", folder / "b", options).bundle


def test_the_path_and_a_page_of_a_real_bundle(
    compiled: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "page.html"
    report(compiled.root, target, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found == {"path": str(target), "bytes": target.stat().st_size}
    text = target.read_text("utf-8")
    for layer in compiled.manifest.layers:
        assert layer["name"] in text
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]
    report(compiled.root, target)
    assert capsys.readouterr().out == f"report in {target}\n"
    assert target.read_text("utf-8") == text


def test_a_place_that_cannot_be_written(compiled: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        write_report(compiled, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the report cannot be written; expected a path that can be written, on a disk "
        "with room; found Is a directory. Choose another output file."
    )
