# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of layers, from a bundle's own golden inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.bundle import Bundle
from midwire.sim.report.cli import write_report
from midwire.sim.report.histograms import BINS, Histogram, errors_of

from ...small import NET, without_rtl

SEED = 11


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("report")
    header = '<ir_version: 8, opset_import: ["" : 13]>\n'
    onnx.save(onnx.parser.parse_model(header + NET), folder / "net.onnx")
    samples = np.random.default_rng(SEED).normal(size=(8, 1, 2, 4, 4)).astype(np.float32)
    np.savez(folder / "in.npz", in0=samples)
    with without_rtl():
        options = Options(calibrate=folder / "in.npz", bits=12)
        return compile_model(folder / "net.onnx", folder / "b", options).bundle


def test_each_layer_has_one(bundle: Bundle) -> None:
    """At 12 bits, a layer is off by its own rounding and little more."""
    found = errors_of(bundle)
    assert set(found) == {step.outputs[0] for step in bundle.manifest.steps}
    for name, errors in found.items():
        assert len(errors.counts) == BINS
        elements = sum(errors.counts)
        assert elements and elements % errors.samples == 0, name
        assert errors.reach >= 0.5 and errors.deviation <= errors.largest < 8, name
        assert abs(errors.bias) <= errors.largest


def test_nothing_without_realistic_inputs(bundle: Bundle, tmp_path: Path) -> None:
    header = '<ir_version: 8, opset_import: ["" : 13]>\n'
    text = """g (float[N, 4] x) => (float[N, 4] y)
<float s = {0.5}, int8 z = {0}, int8[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}>
{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) v = DequantizeLinear(w, s, z)
  m = MatMul(d, v) r = QuantizeLinear(m, s, z) y = DequantizeLinear(r, s, z) }"""
    onnx.save(onnx.parser.parse_model(header + text), tmp_path / "net.onnx")
    with without_rtl():
        without = compile_model(tmp_path / "net.onnx", tmp_path / "b").bundle
    assert errors_of(without) == {}
    assert "<h2>Errors</h2>" not in write_report(without, tmp_path / "a.html").read_text("utf-8")
    assert "<h2>Errors</h2>" in write_report(bundle, tmp_path / "b.html").read_text("utf-8")


def test_ends_have_what_lies_beyond() -> None:
    errors = np.zeros(2000)
    errors[0], errors[1] = 90.0, -70.0
    found = Histogram.of(errors, 2)
    assert found.reach == 0.5 and found.largest == 90.0
    assert found.counts[0] == found.counts[-1] == 1
    assert found.counts[BINS // 2] == 1998
    assert found.bias == pytest.approx(0.01)
