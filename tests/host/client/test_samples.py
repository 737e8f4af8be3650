# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of the edge: one request each, whatever batch the model was exported with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.host.client.samples import read_samples
from midwire.host.errors import StartError
from midwire.host.model_parts import Part
from midwire.hw.errors import DataError

IMAGE = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) { y = Relu (x) }
"""

EDGE = """<ir_version: 8, opset_import: ["" : 13]>
edge (float[1, 3] x) => (float[1, 3] wire_in0) { wire_in0 = Relu (x) }"""


@pytest.fixture
def part(tmp_path: Path) -> Part:
    onnx.save(onnx.parser.parse_model(EDGE), tmp_path / "edge.onnx")
    return Part(tmp_path / "edge.onnx")


@pytest.mark.parametrize("shape", [(2, 4, 3), (8, 1, 3), (8, 3)])
def test_samples_of_a_fixed_batch_are_taken_one_by_one(
    shape: tuple[int, ...], part: Part, tmp_path: Path
) -> None:
    x = np.arange(24, dtype=np.float32).reshape(shape)
    np.savez(tmp_path / "in.npz", in0=x)
    (found,) = read_samples(tmp_path / "in.npz", part, batch=4)
    np.testing.assert_array_equal(found, x.reshape(8, 1, 3))


def test_samples_in_another_order_are_refused_though_they_are_as_large(tmp_path: Path) -> None:
    """Channels last for a model that takes channels first: by element count they would pass."""
    onnx.save(onnx.parser.parse_model(IMAGE), tmp_path / "edge.onnx")
    part = Part(tmp_path / "edge.onnx")
    np.savez(tmp_path / "in.npz", in0=np.zeros((5, 4, 4, 2), np.float32))
    with pytest.raises(DataError, match=r"wrong shape; expected samples of shape \[1, 2, 4, 4\]"):
        read_samples(tmp_path / "in.npz", part)
    with pytest.raises(
        DataError, match=r"expected shape \[1, 2, 4, 4\]; found shape \[1, 4, 4, 2\]"
    ):
        part.run([np.zeros((1, 4, 4, 2), np.float32)])


def test_samples_of_another_batch_are_refused(part: Part, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", in0=np.zeros((2, 5, 3), np.float32))
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path / "in.npz", part, batch=4)
    assert str(caught.value).endswith(
        "in.npz, input 'x': wrong shape; expected samples of shape [4, 3] along a first axis; "
        "found shape [2, 5, 3]. Give every sample as the model's input takes it."
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([[300.0, 1, 2]], "values that the model's input cannot take; expected int8 values; found"),
        ([[0.5, -1.5, 2]], "found 2 others, the first being 0.5."),
        ([[1j, 0, 0]], "not numbers; expected integers, floats or booleans; found dtype complex"),
    ],
)  # fmt: skip
def test_values_that_the_input_cannot_hold_are_refused(
    values: list[list[complex]], problem: str, tmp_path: Path
) -> None:
    text = EDGE.replace("float", "int8").replace("13]", "14]")
    onnx.save(onnx.parser.parse_model(text), tmp_path / "edge.onnx")
    np.savez(tmp_path / "in.npz", in0=np.array(values))
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path / "in.npz", Part(tmp_path / "edge.onnx"))
    assert problem in str(caught.value)


def test_a_model_of_what_numpy_lacks_is_not_started(tmp_path: Path) -> None:
    text = EDGE.replace("float[1, 3] x", "string[1, 3] x").replace("Relu", "Cast<to = 1>")
    onnx.save(onnx.parser.parse_model(text), tmp_path / "edge.onnx")
    with pytest.raises(StartError, match=r"input 'x': no NumPy array .* found tensor\(string\)\."):
        Part(tmp_path / "edge.onnx")
