# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Real models by others, from ONNX to exact RTL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.npz import read_npz
from midwire.hw.session import open_session
from midwire.sim.execute import execute
from midwire.sim.vectors import wire_inputs
from midwire.sim.verify import verify

pytestmark = pytest.mark.models


@dataclass(frozen=True)
class Goal:
    """What a model must reach: top-1 agreement with ONNX Runtime, or a relative error without
    classes.
    """

    quantise: bool
    agreement: float | None = None
    relative_error: float | None = None
    slow: bool = False
    """Whether it takes minutes to build."""


GOALS = {
    "resnet8_int8": Goal(False, agreement=0.98),
    "kws_dscnn_int8": Goal(False, agreement=0.98),
    "ad_autoencoder_int8": Goal(False, relative_error=0.02),
    "vww_mobilenetv1_int8": Goal(False, agreement=0.98),
    "mnist8_cnn": Goal(True, agreement=0.97),
    "resnet8_fp32": Goal(True, agreement=0.97),
    "net_anomaly_ae": Goal(True, relative_error=0.02),
    "ppocr_cls": Goal(True, agreement=0.98, slow=True),  # the samples bind height and width
    "cct2_transformer": Goal(True, agreement=0.97, slow=True),
    "magika_bytes": Goal(True, agreement=0.97, slow=True),
    # Its first layer reads an image that has no grid of its own.
    "espcn_subpixel_q": Goal(True, relative_error=0.03, slow=True),
}


PARAMS = [
    pytest.param(name, marks=pytest.mark.sweep) if goal.slow else name
    for name, goal in GOALS.items()
]


@pytest.fixture(scope="module", params=PARAMS)
def compiled(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Bundle, float]:
    """A model's name, folder and bundle, and its slice's share of the multiply-accumulates."""
    name: str = request.param
    folder = models / name
    calibrate = folder / "ref.npz" if GOALS[name].quantise else None
    output = tmp_path_factory.mktemp(name) / "bundle"
    done = compile_model(folder / "model.onnx", output, Options(calibrate=calibrate))
    return name, folder, done.bundle, done.bundle.manifest.slice["macs_share"]


def test_slice_covers_the_model(compiled: tuple[str, Path, Bundle, float]) -> None:
    assert compiled[3] >= 0.95


def test_rtl_is_exact_and_as_fast_as_predicted(compiled: tuple[str, Path, Bundle, float]) -> None:
    _, folder, bundle, _ = compiled
    found = verify(bundle, inputs=folder / "ref.npz", vectors=3, stall=0.3, seed=7)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles
    noisy = verify(bundle, vectors=3, stall=0.5, seed=11)
    assert (noisy.rtl_mismatches, noisy.onnx_mismatches) == (0, 0)


def test_agrees_with_onnx_runtime(compiled: tuple[str, Path, Bundle, float]) -> None:
    """The slice in the reference, the rest of the model in ONNX Runtime, on all reference
    inputs.
    """
    name, folder, bundle, _ = compiled
    arrays = read_npz(folder / "ref.npz")
    samples = {key: array for key, array in arrays.items() if key.startswith("in")}
    wires = wire_inputs(bundle, samples, name)
    done = execute(bundle, wires, backend="reference")
    cloud = open_session(bundle.path("cloud.onnx"))
    names = [f"wire_out{i}" for i in range(len(done.wires))]
    wide = [
        wire.astype(spec.qtype.wire_dtype)
        for wire, spec in zip(done.wires, bundle.manifest.outputs, strict=True)
    ]
    results = [
        cloud.run(None, {name: wire[k] for name, wire in zip(names, wide, strict=True)})[0]
        for k in range(done.inferences)
    ]
    got = np.stack(results).astype(np.float64)
    want = arrays["out0"].astype(np.float64)
    got = got.reshape(want.shape)
    goal = GOALS[name]
    if goal.agreement is not None:
        flat = (len(want), -1)
        same = np.mean(got.reshape(flat).argmax(1) == want.reshape(flat).argmax(1))
        print(f"{name}: top-1 agreement {same:.4f}")
        assert same >= goal.agreement
    else:
        error = np.linalg.norm(got - want) / np.linalg.norm(want)
        print(f"{name}: relative error {error:.5f}")
        assert goal.relative_error is not None and error < goal.relative_error
