# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Signal to quantisation noise, and the refusal that names a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.errors import CalibrationError, LossError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.quantise.loss import (
    Loss,
    check,
    default_limit,
    limit,
    measure,
    random_samples,
    worst,
)
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
    check(losses, ["y"], 200.0)


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
    losses = [Loss(name, Sqnr(level)) for name, level in levels.items()]
    with pytest.raises(LossError) as caught:
        check(losses, ["y"], 25)
    assert str(caught.value) == (
        "output 'y': the quantised slice loses more than was allowed; expected a signal to noise "
        f"ratio of at least 25 dB; found 19.0 dB; most is lost at {worst!r}. "
        "Give more bits with --bits, better calibration data, or another --min-sqnr."
    )
    check(losses, ["y"], 19.0)
    check(losses, ["y"], None)


def test_the_worst_output_counts() -> None:
    """L4."""
    losses = [Loss("y", Sqnr(30.0)), Loss("z", Sqnr(12.0)), Loss("a", Sqnr(5.0))]
    assert worst(losses, ["y", "z"]) == Loss("z", Sqnr(12.0))
    assert worst([], ["y"]) is None
    with pytest.raises(LossError, match=r"^output 'z': .* found 12\.0 dB; most is lost at 'a'"):
        check(losses, ["y", "z"], 20.0)


def test_noise_without_signal_is_the_greatest_loss() -> None:
    losses = [Loss("a", Sqnr(30.0)), Loss("y", Sqnr(None, silent=True))]
    with pytest.raises(LossError, match="found noise and no signal; most is lost at 'y'"):
        check(losses, ["y"], -100.0)
    check(losses, ["y"], -math.inf)


def test_the_default_depends_on_the_bits_and_on_who_quantises() -> None:
    """L2."""
    assert [default_limit(bits) for bits in (2, 4, 6, 8, 12, 16)] == [-10, 0, 10, 15, 15, 15]
    assert limit(None, bits=8, quantising=True, measured=True) == (
        15.0,
        " (the default for 8 bits)",
    )
    assert limit(None, bits=8, quantising=False, measured=True) == (None, "")
    for asked in (-5.0, 60.0):
        assert limit(asked, bits=8, quantising=True, measured=True) == (asked, "")
        assert limit(asked, bits=8, quantising=False, measured=True) == (asked, "")


def test_a_limit_that_cannot_be_checked_is_refused() -> None:
    """L3."""
    with pytest.raises(LossError) as caught:
        limit(30.0, bits=8, quantising=False, measured=False)
    assert str(caught.value) == (
        "--min-sqnr: there is nothing to measure the loss on; expected samples of the model's "
        "inputs, which are not integers; found no calibration data. Give typical samples with "
        "--calibrate NPZ, or leave --min-sqnr out."
    )
    assert limit(None, bits=8, quantising=True, measured=False) == (None, "")
