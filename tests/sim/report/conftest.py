# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A manifest of four layers with a branch, that tests change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.hw.formats.bundle import Bundle, Described, Manifest, Step
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType
from midwire.sim.report.facts import ReportFacts, facts_of

MadeBundle = Callable[..., Bundle]
MadeFacts = Callable[..., ReportFacts]

SPEC = TensorSpec("x", (1, 2, 3), "float32", QType(8, True, 0.5, 3), Layout.raster((1, 2, 3)), 2)
STEPS = {
    "a": (("x",), ("ya",)),
    "b": (("ya",), ("yb",)),
    "c": (("yb", "ya"), ("yc",)),
    "d": (("yc",), ("yd",)),
}


def layer(name: str, /, **changes: Any) -> dict[str, Any]:
    place = list(STEPS).index(name)
    return {
        "name": name,
        "kernel": "conv",
        "sources": [f"onnx_{name}"],
        "macs": 1200 * place,
        "strategy": "folded",
        "pe": 2,
        "simd": 3,
        "cycles": 100 * (place + 1),
        "first_in": 50 * place,
        "last_out": 50 * place + 449,
        "accumulator_bits": 20,
        "finishers": ["multiply_shift"],
        "sqnr_db": 40.0 - 10 * place,
        "sqnr": f"{40 - 10 * place}.0 dB",
        **changes,
    }


POINT = {"interval": 40, "cost": 900, "lut": 800, "lutram": 0, "ff": 5, "dsp": 6, "bram": 1}


@pytest.fixture
def bundle() -> MadeBundle:
    def make(**changes: Any) -> Bundle:
        described = Described("conv", {}, {})
        fields: dict[str, Any] = {
            "name": "net",
            "model_sha256": "0" * 64,
            "inputs": (SPEC,),
            "outputs": (SPEC,),
            "steps": tuple(Step(name, described, (), *ends) for name, ends in STEPS.items()),
            "slice": {"macs_share": 0.75, "roots_in": ["x"], "roots_out": ["yd"]},
            "target": "xcup",
            "clock_mhz": 250.0,
            "cycles_per_inference": 400,
            "latency_cycles": 600,
            "resources": {"lut": 1000, "lutram": 10, "dsp": 6},
            "sqnr_db": 10.0,
            "sqnr": "10.0 dB",
            "layers": tuple(layer(name) for name in STEPS),
            "fifos": ({"source": "a", "sink": "c", "depth": 37, "bits": 9},),
            "pareto": (POINT, {**POINT, "interval": 4000, "lut": 80, "dsp": 1}),
            "device": {"name": "part7", "lut": 8000, "ff": 9, "dsp": 12, "bram": 4},
        }
        return Bundle(Path("net.mw"), Manifest(**{**fields, **changes}), "ab" * 32)

    return make


@pytest.fixture
def facts(bundle: MadeBundle) -> MadeFacts:
    return lambda **changes: facts_of(bundle(**changes))
