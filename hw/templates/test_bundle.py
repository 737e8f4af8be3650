# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs this bundle's golden vectors through its RTL under cocotb: `pytest test_bundle.py`.

The vectors pass four times: with no pauses, with pauses of the sources, of the sinks, and of both.
The manifest holds this file's hash, so extend it in a copy beside it, `test_mine.py`: with wire
tensors of your own (`spec.to_wire`), or with a cocotb module of your own
(`midwire.sim.runner.run_cocotb`).
"""

from pathlib import Path

import numpy as np
import pytest

from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import as_frames
from midwire.sim.runner import run_bench
from midwire.sim.toolchain import bench_obstacle

VECTORS = 2  # cocotb runs some ten thousand cycles a second; `midwire verify` runs millions

OBSTACLE = bench_obstacle()


@pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
def test_golden_vectors():
    """The RTL gives the golden outputs, byte for byte, whatever pauses."""
    bundle = Bundle.load(Path(__file__).parent)
    manifest = bundle.manifest
    with np.load(bundle.path("golden.npz"), allow_pickle=False) as golden:
        inputs = [as_frames(golden[f"in{i}"][:VECTORS]) for i in range(len(manifest.inputs))]
        outputs = [as_frames(golden[f"out{i}"][:VECTORS]) for i in range(len(manifest.outputs))]
    run_bench(
        list(bundle.slice_verilog),
        bundle.slice_top,
        inputs,
        outputs,
        images_dir=bundle.images_dir,
        cycles=100_000 + 10 * (manifest.latency_cycles + VECTORS * manifest.cycles_per_inference),
    )
