# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of the model's or of the slice's inputs, as wire tensors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest

from midwire.hw.errors import DataError
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType
from midwire.sim.vectors import wire_batches, wire_inputs

GRID = QType(8, False, 0.5, 10)
REAL = np.array([[[0.0, 0.5, -1.0, 20.0]], [[1.0, 1.5, 2.0, -7.0]]], np.float32)
WIRE = [[10, 11, 8, 50], [12, 13, 14, 0]]


def bundle(folder: Path, name: str, dtype: str, edge: str, batch: int = 1) -> Bundle:
    """A bundle of just what is asked: an input tensor and ``edge.onnx``."""
    header = '<ir_version: 8, opset_import: ["" : 13]>\n'
    onnx.save(onnx.parser.parse_model(header + edge), folder / "edge.onnx")
    spec = TensorSpec(name, (1, 4), dtype, GRID, Layout.raster((1, 4)), 1)
    manifest = SimpleNamespace(inputs=(spec,), batch=batch)
    return cast(Bundle, SimpleNamespace(manifest=manifest, path=lambda part: folder / part))


def quantised(folder: Path, batch: int = 1) -> Bundle:
    """The slice starts behind the model's QuantizeLinear: its input has the model's shape."""
    return bundle(
        folder,
        "q",
        "uint8",
        """edge (float[1, 4] x) => (uint8[4] wire_in0)
        <float s = {0.5}, uint8 z = {10}, int64[1] t = {4}>
        { q = QuantizeLinear(x, s, z) wire_in0 = Reshape(q, t) }""",
        batch,
    )


def at_the_input(folder: Path, batch: int = 1) -> Bundle:
    """The slice starts at the model's input."""
    return bundle(
        folder,
        "x",
        "float32",
        """edge (float[1, 4] x) => (uint8[4] wire_in0)
        <float s = {0.5}, uint8 z = {10}, int64[1] t = {4}>
        { q = QuantizeLinear(x, s, z) wire_in0 = Reshape(q, t) }""",
        batch,
    )


@pytest.mark.parametrize("key", ["in0", "x"])
@pytest.mark.parametrize("make", [quantised, at_the_input])
def test_samples_of_the_model(make: Any, key: str, tmp_path: Path) -> None:
    (wire,) = wire_inputs(make(tmp_path), {key: REAL}, "data.npz")
    assert wire.tolist() == WIRE


def test_samples_of_the_model_without_its_batch_axis(tmp_path: Path) -> None:
    (wire,) = wire_inputs(quantised(tmp_path), {"in0": REAL[:, 0]}, "data.npz")
    assert wire.tolist() == WIRE


def test_the_name_of_the_slices_input_says_that_it_is_meant(tmp_path: Path) -> None:
    integers = np.array(WIRE, np.uint8)[:, None]
    (wire,) = wire_inputs(quantised(tmp_path), {"q": integers}, "data.npz")
    assert wire.tolist() == WIRE


@pytest.mark.parametrize("make", [quantised, at_the_input])
def test_a_sample_of_a_fixed_batch_is_several_inferences(make: Any, tmp_path: Path) -> None:
    """Its samples in turn; samples that come one by one are told from them by their shape."""
    batched = make(tmp_path, 2)
    wires, batch = wire_batches(batched, {"in0": REAL.reshape(1, 2, 4)}, "data.npz")
    assert (wires[0].tolist(), batch) == (WIRE, 2)
    for single in (REAL, REAL[:, 0]):
        wires, batch = wire_batches(batched, {"in0": single}, "data.npz")
        assert (wires[0].tolist(), batch) == (WIRE, 1)
    with pytest.raises(
        DataError, match=r"expected in0 \(or '[qx]'\) \[N, 2, 4\].*found in0 \[2, 3"
    ):
        wire_batches(batched, {"in0": np.zeros((2, 3, 4), np.float32)}, "data.npz")


def test_samples_that_fit_neither(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        wire_inputs(quantised(tmp_path), {"in0": np.zeros((2, 5))}, "data.npz")
    assert str(caught.value) == (
        "data.npz: input data does not fit the slice; expected in0 (or 'q') [N, 1, 4]; or the "
        "model's in0 (or 'x') [N, 1, 4]; found in0 [2, 5]. The first axis counts samples; each "
        "sample keeps the model's own batch axis."
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            quantised,
            (
                "data.npz: input 'x': values that the model's input cannot take; expected finite "
                "numbers; found 1 others, the first being nan. Prepare the samples as for ONNX "
                "Runtime."
            ),
        ),
        (
            at_the_input,
            (
                "tensor 'x': values are not finite; expected numbers; found NaN or infinity. Clean "
                "the input data."
            ),
        ),
    ],
)
def test_nan_is_refused_on_either_way(make: Any, sentence: str, tmp_path: Path) -> None:
    samples = REAL.copy()
    samples[1, 0, 2] = np.nan
    with pytest.raises(DataError) as caught:
        wire_inputs(make(tmp_path), {"in0": samples}, "data.npz")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("dtype", ["U1", "S1", "complex64"])
@pytest.mark.parametrize("name", ["q", "x"])
def test_what_is_no_number_is_refused_on_either_way(name: str, dtype: str, tmp_path: Path) -> None:
    """As samples of the slice's own input, of integers or of reals."""
    made = (quantised if name == "q" else at_the_input)(tmp_path)
    samples = np.ones((2, 1, 4), np.int8).astype(dtype)
    with pytest.raises(DataError) as caught:
        wire_inputs(made, {name: samples}, "data.npz")
    assert str(caught.value) == (
        f"data.npz: input {name!r}: not numbers; expected integers, floats or booleans; found "
        f"dtype {samples.dtype}. Convert them as the model's input takes them."
    )


def test_an_integer_input_refuses_fractions(tmp_path: Path) -> None:
    behind = bundle(
        tmp_path,
        "d",
        "float32",
        """edge (int8[1, 4] x) => (int8[4] wire_in0)
        <int64[1] t = {4}> { wire_in0 = Reshape(x, t) }""",
    )
    with pytest.raises(DataError) as caught:
        wire_inputs(behind, {"in0": REAL}, "data.npz")
    assert str(caught.value) == (
        "data.npz: input 'x': values that the model's input cannot take; expected int8 values; "
        "found 2 others, the first being 0.5. Prepare the samples as for ONNX Runtime."
    )


def test_a_sample_of_the_slice_has_its_shape_or_is_flat(tmp_path: Path) -> None:
    integers = np.array(WIRE, np.uint8)
    for taken in (integers, integers[:, None, None]):
        (wire,) = wire_inputs(quantised(tmp_path), {"q": taken}, "data.npz")
        assert wire.tolist() == WIRE
    with pytest.raises(
        DataError, match=r"expected in0 \(or 'q'\) \[N, 1, 4\].*found q \[2, 2, 2\]"
    ):
        wire_inputs(quantised(tmp_path), {"q": integers.reshape(2, 2, 2)}, "data.npz")
