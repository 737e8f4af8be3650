# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Open dimensions: bound by a shape, by samples, or refused (rules D1 to D4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.compiler.errors import CalibrationError, ModelError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.shapes import parse_shapes
from midwire.compiler.pipeline import Options, compile_model
from midwire.host import cli
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]

SEED = 20261125

IMAGE = "g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Relu(x) }"
TWO = "g (float[N, H, H] x, float[N, H, L] z) => (float[N, H, L] y) { y = MatMul(x, z) }"
POOLED = """
g (float[N, 2, H, W] x) => (float[N, 3] y)
<int64[2] k = {0, -1}, float[2, 3] w = {0.5, -0.25, 0.125, 0.75, -0.5, 0.25}>
{ p = GlobalAveragePool(x) r = Reshape(p, k) y = MatMul(r, w) }
"""


def paddle(model_file: ModelFile, dims: Sequence[str | int]) -> Path:
    """A Relu whose input has these dimensions, as they stand in the file."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{IMAGE}')
    for dim, text in zip(model.graph.input[0].type.tensor_type.shape.dim, dims, strict=True):
        dim.Clear()
        if isinstance(text, int):
            dim.dim_value = text
        elif text:
            dim.dim_param = text
    return model_file(model)


def shapes_of(path: Path, *texts: str) -> list[tuple[int, ...]]:
    return [value.shape for value in load_model(path, parse_shapes(texts)).inputs]


def test_parse() -> None:
    assert parse_shapes(["x=1,3, 48,192", "a=b=7"]) == {"x": (1, 3, 48, 192), "a=b": (7,)}
    for text in ("x", "=1,2", "x=", "x=1,", "x=-1,3", "x=1,a", "x=1.5", f"x={10**12}"):
        with pytest.raises(ModelError) as caught:
            parse_shapes([text])
        assert str(caught.value) == (
            f"--shape: unusable shape; expected NAME=1,3,48,192; found {text!r}. Give an input "
            "that leaves dimensions open one shape, as in --shape x=1,3,48,192."
        )
    with pytest.raises(ModelError, match=r"an input has two shapes; .* found a second of 'x'"):
        parse_shapes(["x=1", "x=1"])


@pytest.mark.parametrize("dims", [(-1, 3, "?", "?"), ("N", 3, "H", "W"), ("", 3, "", ""), (0,) * 4])
def test_a_shape(model_file: ModelFile, dims: Sequence[str | int]) -> None:
    """Whatever an exporter writes for a dimension that may be anything; Paddle writes ``?`` for
    both.
    """
    assert shapes_of(paddle(model_file, dims), "x=1,3,4,6") == [(1, 3, 4, 6)]


def test_a_name_binds_all_that_have_it(model_file: ModelFile) -> None:
    path = model_file(TWO)
    assert shapes_of(path, "z=1,4,5") == [(1, 4, 4), (1, 4, 5)]
    assert shapes_of(path, "x=1,4,4", "z=1,4,5") == [(1, 4, 4), (1, 4, 5)]
    for texts in (["x=1,4,5"], ["x=1,4,4", "z=1,5,5"]):
        with pytest.raises(ModelError, match="the shape does not suit the input"):
            shapes_of(path, *texts)


def test_a_fixed_batch_is_taken_apart(model_file: ModelFile) -> None:
    source = load_model(model_file(IMAGE), {"x": (4, 3, 2, 2)})
    assert (source.batch, source.inputs[0].shape) == (4, (1, 3, 2, 2))


def test_no_shape_at_all(model_file: ModelFile) -> None:
    model = onnx.load(model_file(IMAGE))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert shapes_of(model_file(model), "x=1,3,4,6") == [(1, 3, 4, 6)]
    with pytest.raises(ModelError) as caught:
        load_model(model_file(model))
    assert str(caught.value) == (
        "input 'x': the model leaves dimensions open; expected numbers for all dimensions but the "
        "first (the batch); found no shape. Bind them with --shape x=1,3,48,192, a number for each "
        "N, or with samples (--calibrate)."
    )


REFUSED = {
    "y=1,3,4,6": "--shape: there is no input 'y'; expected one of 'x'; found 'y'. Give an input "
    "that leaves dimensions open one shape, as in --shape x=1,3,48,192.",
    "x=1,4,4,6": "input 'x': the shape does not suit the input; expected numbers for [N, 3, H, W], "
    "each number in it kept, and one for each name; found [1, 4, 4, 6]. Give the shape as the "
    "model's input takes it, the batch included.",
    "x=3,4,6": "found [3, 4, 6]",
    "x=1,3,0,6": "found [1, 3, 0, 6]",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(model_file: ModelFile, text: str) -> None:
    with pytest.raises(ModelError) as caught:
        shapes_of(model_file(IMAGE), text)
    assert REFUSED[text] in str(caught.value)


def test_samples_bind_what_is_open(model_file: ModelFile, tmp_path: Path) -> None:
    path = model_file(IMAGE)
    samples = tmp_path / "samples.npz"
    for shape in ((5, 1, 3, 4, 6), (5, 3, 4, 6)):
        np.savez(samples, in0=np.zeros(shape, np.float32))
        assert load_model(path, samples=samples).inputs[0].shape == (1, 3, 4, 6)
    assert load_model(path, {"x": (1, 3, 8, 8)}, samples).inputs[0].shape == (1, 3, 8, 8)
    np.savez(samples, other=np.zeros(3, np.float32))
    with pytest.raises(ModelError, match="leaves dimensions open"):
        load_model(path, samples=samples)
    with pytest.raises(CalibrationError, match="no such file"):
        load_model(path, samples=tmp_path / "none.npz")
    assert load_model(path, {"x": (1, 3, 8, 8)}, tmp_path / "none.npz").inputs


def test_compiled_exactly(model_file: ModelFile, tmp_path: Path, no_nic: None) -> None:
    """Bound by the samples, and by the option, to the same bundle but for nothing."""
    del no_nic
    path, samples = model_file(POOLED), tmp_path / "samples.npz"
    rng = np.random.default_rng(SEED)
    np.savez(samples, in0=rng.normal(0, 1, (8, 1, 2, 3, 5)).astype(np.float32))
    done = compile_model(path, tmp_path / "bound.mw", Options(calibrate=samples))
    found = verify(done.bundle, vectors=20, stall=0.3, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    again = compile_model(
        path, tmp_path / "given.mw", Options(calibrate=samples, shapes={"x": (1, 2, 3, 5)})
    )
    assert again.bundle.model_hash == done.bundle.model_hash


def test_command_line(model_file: ModelFile, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(model_file(POOLED))
    assert cli.main(["inspect", path, "--shape", "x=1,2,3,5"]) == 0
    assert "1x2x3x5" in capsys.readouterr().out
    assert cli.main(["inspect", path]) == 1
    assert "Bind them with --shape x=1,2,N,N, a number for each N, or with samples" in " ".join(
        capsys.readouterr().err.split()
    )
