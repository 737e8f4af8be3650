# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire compile`` and ``midwire run``: what they say, and what they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.ir import quant
from midwire.compiler.pipeline import CompilerBug, Options, compile_model
from midwire.host import cli
from midwire.hw.formats.bundle import Bundle

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]

FLOAT = """
g (float[N, 2, 4, 4] x) => (float[N, 3] y)
<float[3, 2, 3, 3] w = {W}, float[3, 3] m = {1, -2, 3, 0, 1, 2, 0.5, 0.25, -1}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu (a)
  p = GlobalAveragePool (b)
  q = Flatten (p)
  y = MatMul (q, m) }
""".replace("{W}", "{" + ", ".join(["0.5", "-1", "0.25"] * 18) + "}")

QDQ = """
g (float[N, 4] x) => (float[N, 2] y)
<float s = {0.5}, float r = {0.25}, uint8 z = {3}, int8[4, 2] k = {1, 2, 3, 4, 5, 6, 7, 8},
 int8 o = {0}>
{ e = Sin (x)
  p = QuantizeLinear (e, s, z)
  a = DequantizeLinear (p, s, z)
  w = DequantizeLinear (k, r, o)
  b = MatMul (a, w)
  c = QuantizeLinear (b, r, z)
  y = DequantizeLinear (c, r, z) }
"""


def samples(shape: Sequence[int] = (6, 1, 2, 4, 4)) -> Array:
    return np.random.default_rng(5).uniform(-1, 1, tuple(shape)).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "samples.npz"
    np.savez(path, in0=samples())
    return path


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """The one paragraph of an error, its path cut off, the same with ``--json``."""

    def run(*words: object) -> str:
        given = [str(word) for word in words]
        assert cli.main(given) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ") and err.count("\n") == 1
        assert cli.main([*given, "--json"]) == 1
        out, again = capsys.readouterr()
        assert again == err
        error = json.loads(out)["error"]
        assert f"error: {error['message']}\n" == err
        message: str = error["message"]
        return message.replace(f"{tmp_path}/", "")

    return run


@pytest.fixture
def model(model_file: ModelFile) -> Path:
    return model_file(FLOAT)


# What compile refuses


def test_a_float_model_needs_samples(model: Path, tmp_path: Path, refused: Refused) -> None:
    assert refused("compile", model, "-o", tmp_path / "b") == (
        "tensor 'x' and 3 more: the slice is not quantised, and there is no calibration data; "
        "expected quantised tensors, or --calibrate; found float tensors. "
        "Give typical samples of the model's inputs with --calibrate NPZ."
    )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("bits", [-1, 1, 17])
def test_bits_out_of_range(bits: int, model: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused("compile", model, "-o", tmp_path / "b", "--bits", bits)
    assert found.startswith("--bits: unusable bit width; expected 2 to 16; found ")


@pytest.mark.parametrize("rate", ["0", "-5", "nan"])
def test_a_rate_that_is_none(rate: str, model: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused("compile", model, "-o", tmp_path / "b", "--rate", rate)
    assert found.startswith("--rate: unusable rate; expected more than 0 Hz; found ")


def test_a_target_that_is_not_known(model: Path, tmp_path: Path, refused: Refused) -> None:
    assert refused("compile", model, "-o", tmp_path / "b", "--target", "abacus") == (
        "--target: unknown target; expected one of xcup, ecp5; found 'abacus'. "
        "Choose a family; parts of one family compile alike."
    )


def test_a_rate_that_is_too_high(model: Path, data: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused(
        "compile", model, "-o", tmp_path / "b", "--calibrate", data, "--rate", 10_000_000
    )
    assert found == (
        "node 'Conv_0': cannot keep the wanted rate; expected at most 25 cycles an inference; "
        "found 144 cycles at full parallelism. Ask for a rate of at most 0.173 times the wanted "
        "one."
    )


def test_a_loss_that_is_too_high(model: Path, data: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused(
        "compile", model, "-o", tmp_path / "b", "--calibrate", data, "--min-sqnr", "200"
    )
    assert found.startswith(
        "output 'y': the quantised slice loses more than was allowed; expected a signal to noise "
        "ratio of at least 200 dB; found "
    )
    assert found.endswith(". Give more bits with --bits, or better calibration data.")
    assert " dB; most is lost at 'LAYER'" in re.sub("at '[bpy]'", "at 'LAYER'", found)


def change(array: Array, index: tuple[int, ...], value: float) -> Array:
    copy = array.copy()
    copy[index] = value
    return copy


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"in0": change(samples(), (2, 0, 0, 0, 0), np.nan)}, "samples with NaN or infinity"),
        ({"in0": change(samples(), (2, 0, 0, 0, 0), np.inf)}, "samples with NaN or infinity"),
        ({"in0": samples((6, 1, 2, 4, 5))}, "samples of the wrong shape"),
        ({"in0": samples((0, 1, 2, 4, 4))}, "no samples"),
        ({"in0": np.array(["a", "b"])}, "samples of the wrong shape"),
        ({"other": samples()}, "there are no samples for the input 'x'"),
    ],
)
def test_samples_that_do_not_do(
    arrays: dict[str, Array], part: str, model: Path, tmp_path: Path, refused: Refused
) -> None:
    np.savez(tmp_path / "odd.npz", **arrays)  # type: ignore[arg-type]
    found = refused("compile", model, "-o", tmp_path / "b", "--calibrate", tmp_path / "odd.npz")
    assert part in found


def test_files_that_are_not_there(model: Path, tmp_path: Path, refused: Refused) -> None:
    assert "none.onnx" in refused("compile", tmp_path / "none.onnx", "-o", tmp_path / "b")
    found = refused("compile", model, "-o", tmp_path / "b", "--calibrate", tmp_path / "none.npz")
    assert found == (
        "none.npz: the arrays cannot be read; expected an .npz file of plain arrays; found no such "
        "file. Save it with numpy.savez(path, in0=samples), the first axis counting samples."
    )


def test_a_folder_that_is_no_bundle_stays(
    model: Path, data: Path, tmp_path: Path, refused: Refused, no_rtl: None
) -> None:
    del no_rtl
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").write_text("precious")
    found = refused("compile", model, "-o", tmp_path / "thesis", "--calibrate", data)
    assert "will not overwrite what is not a bundle" in found
    assert (tmp_path / "thesis" / "one.tex").read_text() == "precious"


# What compile says


@pytest.mark.usefixtures("no_rtl")
def test_compile_says_what_it_did(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compile", str(model), "-o", str(tmp_path / "b"), "--calibrate", str(data)]
    assert cli.main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.count("\n") == 1
    found = json.loads(out)
    assert found["slice"] == {"inputs": ["x"], "outputs": ["y"], "macs_share": 1.0}
    assert [tensor["name"] for tensor in found["tensors"]] == ["x", "y"]
    assert [layer["kernel"] for layer in found["layers"]] == ["conv", "pool", "conv"]
    assert found["model_hash"] == Bundle.load(tmp_path / "b").model_hash.hex()
    assert found["sqnr_db"] > 25
    assert list(found["phases"]) == [
        "load",
        "rewrite",
        "select",
        "calibrate",
        "quantise",
        "fuse",
        "measure loss",
        "fold",
        "balance",
        "emit",
    ]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == (f"{tmp_path / 'b'}: x to y, 100.0 % of the multiply-accumulates")


@pytest.mark.usefixtures("no_rtl")
def test_the_same_model_makes_the_same_bundle(model: Path, data: Path, tmp_path: Path) -> None:
    options = Options(calibrate=data)
    first = compile_model(model, tmp_path / "first", options).bundle
    second = compile_model(model, tmp_path / "second", options).bundle
    assert first.sha256 == second.sha256


@pytest.mark.usefixtures("no_rtl")
def test_progress_names_every_phase(model: Path, data: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    done = compile_model(
        model, tmp_path / "b", Options(calibrate=data), lambda *step: calls.append(step)
    )
    assert list(dict.fromkeys(what for what, _, _ in calls)) == list(done.phases)
    assert ("calibrate", 6, 6) in calls
    assert done.seconds == sum(done.phases.values())


def test_an_illegal_program_is_a_bug_with_every_rule(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quant, "verify", lambda graph: ["Q1: this", "Q2: that"])
    with pytest.raises(CompilerBug, match=r"^Q1: this; Q2: that$"):
        compile_model(model, tmp_path / "b", Options(calibrate=data))


# Run, on inputs of the slice and of the whole model


@pytest.fixture
def quantised(model_file: ModelFile, tmp_path: Path, no_rtl: None) -> Bundle:
    """The slice begins in the middle of the model, at ``p``."""
    del no_rtl
    bundle = compile_model(model_file(QDQ), tmp_path / "bundle").bundle
    assert bundle.manifest.slice["inputs"] == ["p"]
    return bundle


def run(bundle: Bundle, folder: Path, **arrays: Array) -> list[str]:
    np.savez(folder / "in.npz", **arrays)  # type: ignore[arg-type]
    words = ["run", bundle.root, "--inputs", folder / "in.npz", "-o", folder / "out" / "o.npz"]
    return [*(str(word) for word in words), "--backend", "reference"]


def test_run_of_the_model_and_of_the_slice(
    quantised: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(5).uniform(-3, 3, (5, 1, 4)).astype(np.float32)
    q = np.clip(np.rint(np.sin(x) / 0.5) + 3, 0, 255).astype(np.uint8)
    weights = np.arange(1, 9).reshape(4, 2) * 0.25
    want = np.rint(((q.astype(float) - 3) * 0.5) @ weights / 0.25)
    want = (np.clip(want + 3, 0, 255) - 3) * 0.25
    for arrays in ({"in0": x}, {"x": x}, {"p": q}):
        assert cli.main([*run(quantised, tmp_path, **arrays), "--json"]) == 0
        out, _ = capsys.readouterr()
        found = json.loads(out)
        assert (found["inferences"], found["backend"]) == (5, "reference")
        assert found["cycles_per_second"] is None
        with np.load(tmp_path / "out" / "o.npz") as stored:
            np.testing.assert_array_equal(stored["out0"], want)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["o.npz"]


@pytest.mark.parametrize(
    "arrays",
    [
        {"nothing": np.zeros((2, 1, 4), np.float32)},
        {"in0": np.zeros((2, 1, 5), np.float32)},
        {"in0": np.zeros((0, 1, 4), np.float32)},
        {"in0": np.array(["a", "b"])},
        {},
    ],
)
def test_run_refuses_what_does_not_fit(
    arrays: dict[str, Array], quantised: Bundle, tmp_path: Path, refused: Refused
) -> None:
    found = refused(*run(quantised, tmp_path, **arrays))
    assert found.startswith("in.npz: input data does not fit the slice; expected in0 (or 'p') ")
    assert not (tmp_path / "out").exists()


def test_run_refuses_an_unknown_backend(
    quantised: Bundle, tmp_path: Path, refused: Refused
) -> None:
    words = run(quantised, tmp_path, in0=np.zeros((2, 1, 4), np.float32))
    assert refused(*words[:-1], "abacus") == (
        "--backend: unknown backend; expected rtl or reference; found 'abacus'. "
        "Choose one of them; both give the same bits."
    )
