# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The integer program, step by step and as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from midwire.hw.errors import DataError
from midwire.hw.formats.bundle import Step
from midwire.hw.kernels.reference import Reference, geometry_of, requantiser_of

Array = np.ndarray[Any, Any]


def step(name: str, kind: str, inputs: str, output: str, /, **attributes: Any) -> Step:
    """A step whose arrays are ``<name>.<parameter>``."""
    keys = ["requant_multiplier", "requant_offset", "requant_lo", "requant_hi"]
    keys += ["weight"] if kind == "conv" else []
    own = {"requant_shift": 0, "requant_tie": 0, "requant_parity": 0, **attributes}
    arrays = {key: f"{name}.{key}" for key in keys}
    return Step(name, kind, tuple(inputs), output, own, arrays)


def plain(
    name: str, channels: int, terms: int = 1, lo: int = -128, hi: int = 127
) -> dict[str, Array]:
    """A requantiser that does nothing but clamp."""
    return {
        f"{name}.requant_multiplier": np.ones((channels, terms), np.int8),
        f"{name}.requant_offset": np.zeros(channels, np.int8),
        f"{name}.requant_lo": np.full(channels, lo, np.int16),
        f"{name}.requant_hi": np.full(channels, hi, np.int16),
    }


IMAGE = {
    "image": [3, 2, 2],
    "kernel": [2, 1],
    "strides": [1, 1],
    "dilations": [1, 1],
    "pads": [1, 0, 0, 0],
}

STEPS = (
    step("c", "conv", "x", "a", **IMAGE, depthwise=False, pad_value=7),
    step("p", "pool", "x", "b", **IMAGE, mode="max", pad_value=-9),
    step("s", "add", "ab", "y"),
)

WEIGHT = np.array([[[[1, -1]], [[2, 0]]], [[[0, 3]], [[1, 1]]]], np.int8)

ARRAYS: Mapping[str, Array] = {
    **plain("c", 2),
    **plain("p", 2),
    **plain("s", 2, terms=2, lo=-20, hi=100),
    "c.weight": WEIGHT,
}

SEED = 1


def by_hand(x: Array) -> tuple[Array, Array, Array]:
    """The three results for one image (3, 2, 2), loop by loop."""
    a, b = np.zeros((3, 2, 2), int), np.zeros((3, 2, 2), int)
    for row in range(3):
        for column in range(2):
            above = [int(v) for v in x[row - 1, column]] if row else [7, 7]
            here = [int(v) for v in x[row, column]]
            for o in range(2):
                total = sum(int(WEIGHT[o, 0, 0, i]) * above[i] for i in range(2))
                total += sum(int(WEIGHT[o, 1, 0, i]) * here[i] for i in range(2))
                a[row, column, o] = max(-128, min(127, total))
                b[row, column, o] = max(here[o], above[o] if row else -9)
    return a, b, np.clip(a + b, -20, 100)


@pytest.fixture
def reference() -> Reference:
    return Reference(["x"], ["y"], STEPS, ARRAYS)


def images(count: int) -> Array:
    return np.random.default_rng(SEED).integers(-50, 51, (count, 12)).astype(np.int8)


def test_every_step_by_hand(reference: Reference) -> None:
    x = images(5)
    found = reference.run([x], keep=True)
    assert list(found) == ["x", "a", "b", "y"]
    for k in range(5):
        for name, want in zip("aby", by_hand(x[k].reshape(3, 2, 2)), strict=True):
            np.testing.assert_array_equal(found[name][k], want.ravel())
            assert found[name].dtype == np.int64


def test_only_outputs_are_kept(reference: Reference) -> None:
    assert list(reference.run([images(2)])) == ["y"]
    both = Reference(["x"], ["y", "a"], STEPS, ARRAYS)
    assert list(both.run([images(2)])) == ["y", "a"]


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_make_no_difference(chunk: int, reference: Reference) -> None:
    x = images(7)
    (whole,) = reference.run([x]).values()
    (parts,) = reference.run_wire([x], chunk=chunk)
    np.testing.assert_array_equal(parts, whole)


def test_inputs_are_counted(reference: Reference) -> None:
    with pytest.raises(DataError) as caught:
        reference.run([images(1), images(1)])
    assert str(caught.value).startswith(
        "the numpy reference: wrong number of inputs; expected 1 arrays; found 2"
    )


def test_geometry_and_requantiser_come_back_from_json() -> None:
    geometry = geometry_of(STEPS[0].attributes)
    assert (geometry.height, geometry.width, geometry.kernel) == (3, 2, (2, 1))
    assert (geometry.pads, geometry.out_height) == ((1, 0, 0, 0), 3)
    own = {key: ARRAYS[name] for key, name in STEPS[2].arrays.items()}
    fit = requantiser_of(STEPS[2], own)
    assert (fit.channels, fit.multiplier.shape, fit.shift) == (2, (2, 2), 0)
    assert fit.multiplier.dtype == fit.hi.dtype == np.int64
