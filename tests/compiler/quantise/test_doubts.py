# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Data from which no calibration is good, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.quantise import doubts
from midwire.compiler.quantise.holdout import Data, hold_out

Array = np.ndarray[Any, Any]
NOISE = np.random.default_rng(3).normal(size=(8, 1, 2, 5)).astype(np.float32)

NORMED = """
g (float[N, 2, 5] x) => (float[N, 2, 5] y)
<float[2] s = {1, 1}, float[2] b = {0, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>
{ a = Identity (x)
  y = BatchNormalization (a, s, b, m, v) }
"""


def of(samples: Array, share: float | None = None) -> list[str]:
    return doubts.of_samples(Data({"x": samples}, None, hold_out({"x": samples}, share)))


def test_good_samples_are_not_doubted() -> None:
    assert of(NOISE) == []
    assert doubts.of_clipping({"a": 0.01, "b": 0.0}) == []


def test_one_sample_and_constant_ones() -> None:
    (one,) = of(NOISE[:1])
    assert one == (
        "calibration data is one sample: the loss is measured on what calibration saw; give a few "
        "hundred typical samples"
    )
    times, constant = of(np.zeros_like(NOISE))
    assert times == one.replace("sample:", "sample, 8 times:")
    assert constant == (
        "input 'x' is 0 everywhere: the model never sees such data, so grids and loss say nothing; "
        "give typical samples"
    )


def test_nothing_held_out_is_said() -> None:
    (sentence,) = of(NOISE, 0.0)
    assert sentence == (
        "none of 8 samples is held out: the loss is measured on what calibration saw, and looks "
        "less than it is; give 8 or more typical samples"
    )


def test_one_input_of_several_that_never_changes() -> None:
    samples = {"x": NOISE, "t": np.broadcast_to(NOISE[0], NOISE.shape)}
    found = doubts.of_samples(Data(samples, None, hold_out(samples)))
    assert found == ["input 't' is the same in every sample; give samples that differ"]


def test_clipping_names_the_worst() -> None:
    shares = {"a": 0.02, "b": 0.5, "c": 0.03, "d": 0.04, "e": 0.001}
    (sentence,) = doubts.of_clipping(shares)
    assert sentence == (
        "held-out samples leave the calibrated ranges: 50.0 % of 'b', 4.0 % of 'd', 3.0 % of 'c' "
        "and 1 more, more than 1 %; give more and more typical samples"
    )


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (2.5, 2.0), (0.5, -3.0)])
def test_data_like_that_of_training(
    model_file: Callable[..., Path], scale: float, offset: float
) -> None:
    source = load_model(model_file(NORMED))
    assert doubts.of_source(source, {"x": scale * NOISE + np.float32(offset)}) == []


@pytest.mark.parametrize(("scale", "offset"), [(0.0, 0.0), (255.0, 0.0), (1.0, 40.0)])
def test_data_unlike_that_of_training(
    model_file: Callable[..., Path], scale: float, offset: float
) -> None:
    source = load_model(model_file(NORMED))
    (sentence,) = doubts.of_source(source, {"x": scale * NOISE + np.float32(offset)})
    assert sentence.startswith("calibration data is unlike what the model was trained on: its ")
    assert "at 'a') or mean, at 1 of 1; scale samples as in training" in sentence
