# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Signal to quantisation noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.errors import CalibrationError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.quantise.loss import Loss, measure, random_samples, worst
from midwire.hw.numeric import QType
from midwire.hw.sqnr import Sqnr

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
    measured = measure(source, low.integers, {"x": samples}, lambda *step: calls.append(step))
    losses, wires = measured.losses, measured.wires
    assert measured.accuracy is None and measured.clipped == {"x": 0, "b": 0, "y": 0}
    assert [loss.tensor for loss in losses] == ["b", "y"]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    first = np.rint(samples * 64) / 64
    assert wires[0].tolist() == (first * 64).reshape(3, 2).tolist()
    want = np.maximum(samples, 0)
    b = np.rint(np.maximum(first, 0) / 0.25) * 0.25
    for loss, got in zip(losses, (b, b), strict=True):
        ratio = power(want) / power(want - got)
        assert loss.sqnr.db == pytest.approx(10 * np.log10(ratio), abs=1e-6)


def test_no_noise_is_no_number(lower: Callable[..., Any], tmp_path: Path) -> None:
    low = lower(NET, {"x": FINE, "b": FINE, "y": FINE})
    source = load_model(tmp_path / "net.onnx")
    samples = np.full((2, 1, 2), 0.5, np.float32)
    losses = measure(source, low.integers, {"x": samples}).losses
    assert list(losses) == [Loss("b", Sqnr(None)), Loss("y", Sqnr(None))]
    assert worst(losses, ["b", "y"]) == Loss("b", Sqnr(None)) and worst([], ["y"]) is None


def test_places_are_judged_by_what_they_are_places_in(
    lower: Callable[..., Any], tmp_path: Path
) -> None:
    """L1: a place that differs is no amount."""
    text = """
    g (float[N, 2] x) => (int64[N] y) <float[2, 2] w = {1, 0, 0, 1}>
    { a = MatMul (x, w)
      y = ArgMax <axis = 1, keepdims = 0> (a) }
    """
    low = lower(text, {"x": FINE, "a": COARSE})
    source = load_model(tmp_path / "net.onnx")
    samples = np.array([[[0.3, 0.35]], [[-0.4, 1.1]]], np.float32)
    found = {
        loss.tensor: loss.sqnr for loss in measure(source, low.integers, {"x": samples}).losses
    }
    assert found["a"] == found["y"] and found["y"].db is not None


def test_infinity_at_an_input_of_the_slice(model_file: Callable[..., Path], tmp_path: Path) -> None:
    """Its grid is the model's own, so that calibration had no reason to look at it."""
    text = """
    g (float[N, 2] x) => (float[N, 2] y)
    <float s = {0.5}, int8 z = {0}, int8[2, 2] k = {1, 2, 3, 4}>
    { l = Log (x)
      q = QuantizeLinear (l, s, z)
      a = DequantizeLinear (q, s, z)
      w = DequantizeLinear (k, s, z)
      b = MatMul (a, w)
      c = QuantizeLinear (b, s, z)
      y = DequantizeLinear (c, s, z) }
    """
    np.savez(tmp_path / "in.npz", in0=np.zeros((3, 1, 2), np.float32))
    options = Options(calibrate=tmp_path / "in.npz", from_="l")
    with pytest.raises(CalibrationError) as caught:
        compile_model(model_file(text), tmp_path / "b", options)
    assert str(caught.value) == (
        "tensor 'l': the model computes NaN or infinity for a sample; expected finite numbers; "
        "found NaN or infinity. Give samples as the model was trained on: scaled alike."
    )


def test_noise_only_for_integer_inputs(model_file: Callable[..., Path]) -> None:
    ends = "g (int8[N, 2] x, TYPE[3] t) => (int8[N, 2] y, TYPE[3] u) { y = Abs(x) u = Identity(t) }"
    for other in ("float", "string", "bool"):
        assert random_samples(load_model(model_file(ends.replace("TYPE", other)))) is None
    found = random_samples(load_model(model_file(ends.replace("TYPE", "uint16"))), 9)
    assert found is not None
    kinds = {name: (array.shape, str(array.dtype)) for name, array in found.items()}
    assert kinds == {"x": ((9, 1, 2), "int8"), "t": ((9, 3), "uint16")}
