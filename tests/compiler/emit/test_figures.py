# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the manifest says of layers and FIFOs, for reports."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from midwire.compiler.map.targets import TARGETS
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.bundle import Manifest

from ...small import without_rtl

SEED = 5

# The window of one branch waits for rows, so a FIFO stands in the other.
RESIDUAL = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 2, 5, 5] x) => (float[N, 2, 5, 5] y)
<float[2, 2, 3, 3] w = {W}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu (a)
  c = Conv <pads = [1, 1, 1, 1]> (b, w)
  y = Add (c, b) }
""".replace("{W}", "{" + ", ".join(["1", "-0.5", "0.25"] * 12) + "}")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("residual")
    onnx.save(onnx.parser.parse_model(RESIDUAL), folder / "net.onnx")
    samples = np.random.default_rng(SEED).normal(size=(8, 1, 2, 5, 5)).astype(np.float32)
    np.savez(folder / "in.npz", in0=samples)
    with without_rtl():
        options = Options(calibrate=folder / "in.npz", max_error=10)
        return compile_model(folder / "net.onnx", folder / "b", options).bundle.manifest


def test_fifos_stand_between_layers(manifest: Manifest) -> None:
    first, _, join = manifest.layers
    (fifo,) = manifest.fifos
    assert (fifo["source"], fifo["sink"]) == (first["name"], join["name"])
    assert fifo["depth"] > 0 and fifo["bits"] > 1


def test_spans_follow_the_data_and_end_with_the_latency(manifest: Manifest) -> None:
    first, second, join = manifest.layers
    assert first["first_in"] == 0
    assert first["first_in"] < second["first_in"] < join["first_in"]
    assert first["last_out"] < second["last_out"] < join["last_out"]
    assert join["last_out"] + 1 == manifest.latency_cycles


def test_the_front_has_what_was_built(manifest: Manifest) -> None:
    """Its costs are those of layers: what stands between them comes on top."""
    intervals = [point["interval"] for point in manifest.pareto]
    costs = [point["cost"] for point in manifest.pareto]
    assert intervals == sorted(set(intervals)) and costs == sorted(costs, reverse=True)
    assert manifest.pareto[-1]["dsp"] <= manifest.resources["dsp"] <= manifest.pareto[0]["dsp"]


def test_the_device_is_the_target_s(manifest: Manifest) -> None:
    assert manifest.device["lut"] == TARGETS[manifest.target].device.lut
    assert set(manifest.resources) - {"lutram"} <= set(manifest.device)
