# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Functions behind a MaxPool move before it, into the sum there, and every value stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.ir.graph import print_graph, verify
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.quantise.insert import grids_of, missing_grids
from midwire.hw.numeric import QType
from midwire.sim.verify import verify as verify_bundle

Lower = Callable[..., Any]

SEED = 20261126

NET = """
g (float[N, 2, 4, 4] x) => (float[N, 2, 2, 2] y)
<float[2, 2, 3, 3] w = {1, -1, 1, 1, -1, 1, -1, -1, 1, 1, 1, -1, -1, -1, 1, -1, 1, 1,
                        -1, 1, 1, -1, 1, -1, 1, 1, 1, -1, -1, 1, 1, 1, -1, -1, -1, 1},
 float[2] scale = {0.7, SECOND}, float[2] shift = {0.11, -0.2}, float[2] mean = {0.3, 0.1},
 float[2] var = {0.8, 1.2}, float zero = {0}, float one = {1}, float minus = {-1}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
  b = BatchNormalization (p, scale, shift, mean, var)
  LAST }
"""
SIGN = "y = Sign (b)"
CHOICE = "c = GreaterOrEqual (b, zero) y = Where (c, one, minus)"
RELU = "y = Relu (b)"


def text(last: str, second: float = 0.3) -> str:
    """With that behind the pool; the second channel's factor has a sign."""
    return NET.replace("LAST", last).replace("SECOND", str(second))


def test_what_moves(lower: Lower) -> None:
    """The sum has no grid of its own then, and the step's is known."""
    low = lower(text(SIGN))
    assert verify(low.real) == []
    lines = print_graph(low.real).splitlines()[2:]
    assert lines == [
        "  b:unpooled: float32[1x2x4x4] = Scale(shape=(2, 1, 1))(a)",
        "  y:unpooled: float32[1x2x4x4] = Sign()(b:unpooled)",
        f"  y: float32[1x2x2x2] = {low.real.producer('y').op!r}(y:unpooled)",
        "  return y",
    ]
    assert missing_grids(low.real) == ["x", "y:unpooled"]
    assert grids_of(low.rounded)["y"] == QType(2, True, 1.0)
    kinds = [node.kernel.name for node in low.integers.nodes]
    assert kinds == ["conv", "pool"]


def test_channels_that_fall_are_negated_twice(lower: Lower) -> None:
    low = lower(text(CHOICE, -0.3))
    assert verify(low.real) == []
    lines = [line.split(" = ")[1] for line in print_graph(low.real).splitlines()[3:-1]]
    before, negated, pool, again = lines
    assert before.startswith("Formula(") and pool.endswith("(y:unpooled*)")
    assert negated == "Scale(shape=(2, 1, 1))(y:unpooled)"
    assert again == "Scale(shape=(2, 1, 1))(y:unpooled**)"
    sign = low.real.producer("y").op
    assert sign.factor == (1, -1) and sign.offset == (0, 0)
    assert grids_of(low.rounded)["y:unpooled**"] == QType(2, True, 1.0)


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("last", [SIGN, CHOICE])
@pytest.mark.parametrize("second", [0.3, -0.3])
def test_nothing_is_lost(last: str, second: float, model_file: Any, tmp_path: Path) -> None:
    """Inputs are on their grid, so every step is the float model's: every result is its very own,
    ties aside, which there are none of.
    """
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    samples = tmp_path / "x.npz"
    x = rng.integers(-127, 128, (64, 2, 4, 4))
    x[:, 0, 0, 0] = 127
    np.savez(samples, x=(x / 64).astype(np.float32))
    options = Options(calibrate=samples, calibration="min-max", symmetric=True)
    compiled = compile_model(model_file(text(last, second)), tmp_path / "bundle", options)
    (loss,) = (loss for loss in compiled.losses if loss.tensor == "y")
    assert loss.sqnr.level == np.inf


@pytest.mark.parametrize(
    ("last", "second", "moved"),
    [
        (RELU, 0.3, True),
        (RELU, -0.3, False),
        ("y = Sigmoid (b)", 0.3, True),
        ("c = Relu (b) y = Add (b, c)", 0.3, True),
        ("c = Relu (p) y = Add (b, c)", 0.3, False),
    ],
)
def test_what_else_moves(last: str, second: float, moved: bool, lower: Lower) -> None:
    """What never falls, up to a curve or a value that is read twice; not behind a pool that is."""
    real = lower(text(last, second)).real
    assert verify(real) == []
    assert any("unpooled" in name for name in real.values) is moved
    assert ("a" in missing_grids(real)) is not moved


def test_a_network_in_rtl(model_file: Any, tmp_path: Path, no_nic: None) -> None:
    """Two layers, one with a factor that falls, an overlapping window with a border."""
    del no_nic
    print(f"seed {SEED}")
    more = """
      d = Conv <pads = [1, 1, 1, 1]> (c, w)
      q = MaxPool <kernel_shape = [3, 3], strides = [1, 1], pads = [1, 1, 1, 1]> (d)
      y = Relu (q)"""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]>\n{text("c = Sign (b)" + more, -0.3)}'
    )
    samples = tmp_path / "x.npz"
    rng = np.random.default_rng(SEED)
    np.savez(samples, x=rng.uniform(-1, 1, (64, 2, 4, 4)).astype(np.float32))
    bundle = compile_model(
        model_file(model), tmp_path / "bundle", Options(calibrate=samples)
    ).bundle
    assert [step.kernel.kind for step in bundle.manifest.steps] == [
        "conv",
        "pool",
        "eltwise",
        "conv",
        "pool",
    ]
    found = verify_bundle(bundle, vectors=3, stall=0.3, seed=SEED)
    assert found.passed, found
