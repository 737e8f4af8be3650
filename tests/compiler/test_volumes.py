# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of volumes, (N, C, D, H, W), from the command line to the last bit of the RTL."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from midwire.host import cli

SEED = 20261127

CLIPS = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 1, 4, 6, 6] clip) => (float[N, 3] scores)
{ a = Conv <pads = [1, 1, 1, 1, 1, 1]> (clip, w1)
  b = BatchNormalization (a, gain, shift, mean, variance)
  c = Relu (b)
  d = MaxPool <kernel_shape = [2, 2, 2], strides = [2, 2, 2]> (c)
  e = Conv <pads = [0, 1, 1, 1, 1, 1], group = 4> (d, w2)
  f = Sigmoid (e)
  h = Add (f, d)
  i = AveragePool <kernel_shape = [1, 2, 2], pads = [0, 0, 0, 0, 1, 1]> (d)
  j = Concat <axis = 1> (h, i)
  k = Conv <strides = [1, 2, 2]> (j, w3, b3)
  l = GlobalAveragePool (k)
  m = Flatten (l)
  scores = Gemm <transB = 1> (m, w4, b4) }
"""
"""A classifier of clips: every kind of layer that a network of volumes has."""

SHAPES = {
    "w1": (4, 1, 3, 3, 3),
    "gain": (4,),
    "shift": (4,),
    "mean": (4,),
    "variance": (4,),
    "w2": (4, 1, 2, 3, 3),
    "w3": (5, 8, 2, 2, 2),
    "b3": (5,),
    "w4": (3, 5),
    "b4": (3,),
}


@pytest.fixture
def clips(model_file: Callable[..., Path]) -> Path:
    rng = np.random.default_rng(SEED)
    model = onnx.parser.parse_model(CLIPS)
    for name, shape in SHAPES.items():
        array = rng.standard_normal(shape).astype(np.float32)
        array /= np.float32(np.sqrt(np.prod(shape[1:])))
        if name in ("gain", "variance"):
            array = np.abs(array) + np.float32(0.5)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model_file(model)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What a command says with ``--json``; it must succeed."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        status = cli.main([str(word) for word in [*words, "--json"]])
        text = capsys.readouterr().out
        assert status == 0, text
        return dict(json.loads(text))

    return run


def test_a_classifier_of_clips(
    clips: Path, tmp_path: Path, told: Callable[..., dict[str, Any]], no_nic: None
) -> None:
    """All of it is in the slice; samples are (count, N, C, D, H, W); RTL, numpy reference and
    ``slice.onnx`` agree on every bit, in the cycles predicted.
    """
    del no_nic
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    data, bundle = tmp_path / "clips.npz", tmp_path / "clips.mw"
    np.savez(data, clip=rng.uniform(-1, 1, (48, 1, 1, 4, 6, 6)).astype(np.float32))
    seen = told("inspect", clips)
    assert all(node["supported"] for node in seen["nodes"])
    assert seen["slice"]["macs_share"] == 1.0
    made = told("compile", clips, "-o", bundle, "--calibrate", data)
    found = told("verify", bundle, "--inputs", data, "--vectors", 3, "--stall", 0.3)
    assert (found["rtl_mismatches"], found["onnx_mismatches"]) == (0, 0)
    for figure in ("cycles_per_inference", "latency_cycles"):
        assert found[figure] == made[figure]
