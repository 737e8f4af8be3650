# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Signal to quantisation noise, and the refusal that names a layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.errors import LossError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.quantise.loss import Loss, check, measure
from midwire.hw.numeric import QType

NET = """
g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, 0, 0, 1}>
{ a = MatMul (x, w)
  b = Relu (a)
  y = MatMul (b, w) }
"""

FINE, COARSE = QType(8, True, 2.0**-6), QType(8, True, 0.25)


def power(values: Any) -> float:
    return float(np.square(np.asarray(values, np.float64)).sum())


def test_measured_by_its_definition(lower: Callable[..., Any], tmp_path: Path) -> None:
    """An identity, so that each rounding can be done by hand."""
    low = lower(NET, {"x": FINE, "b": COARSE, "y": FINE})
    source = load_model(tmp_path / "net.onnx")
    samples = np.array([[[0.3, 0.9]], [[-0.4, 1.1]], [[0.0, 0.55]]], np.float32)
    calls: list[tuple[int, int]] = []
    losses, wires = measure(
        source, low.rounded, low.integers, {"x": samples}, lambda *step: calls.append(step)
    )
    assert [loss.tensor for loss in losses] == ["b", "y"]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    first = np.rint(samples * 64) / 64
    assert wires[0].tolist() == (first * 64).reshape(3, 2).tolist()
    want = np.maximum(samples, 0)
    b = np.rint(np.maximum(first, 0) / 0.25) * 0.25
    for loss, got in zip(losses, (b, b), strict=True):
        ratio = power(want) / power(want - got)
        assert loss.sqnr_db == pytest.approx(10 * np.log10(ratio), abs=1e-6)


def test_no_noise_is_no_number(lower: Callable[..., Any], tmp_path: Path) -> None:
    low = lower(NET, {"x": FINE, "b": FINE, "y": FINE})
    source = load_model(tmp_path / "net.onnx")
    samples = np.full((2, 1, 2), 0.5, np.float32)
    losses, _ = measure(source, low.rounded, low.integers, {"x": samples})
    assert losses == [Loss("b", None), Loss("y", None)]
    check(losses, ["y"], 200.0)


@pytest.mark.parametrize(
    ("levels", "worst"),
    [
        ({"a": 40.0, "b": 20.0, "y": 19.0}, "b"),
        ({"a": 19.5, "b": 19.2, "y": 19.0}, "a"),
        ({"a": 40.0, "b": None, "y": 19.0}, "y"),
        ({"a": 10.0, "b": 30.0, "y": 19.0}, "a"),
    ],
)
def test_the_refusal_names_where_most_is_lost(levels: dict[str, Any], worst: str) -> None:
    losses = [Loss(name, level) for name, level in levels.items()]
    with pytest.raises(LossError) as caught:
        check(losses, ["y"], 25)
    assert str(caught.value) == (
        "output 'y': the quantised slice loses more than was allowed; expected a signal to noise "
        f"ratio of at least 25 dB; found 19.0 dB; most is lost at {worst!r}. "
        "Give more bits with --bits, or better calibration data."
    )
    check(losses, ["y"], 19.0)
    check(losses, ["y"], None)
