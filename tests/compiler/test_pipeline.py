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
import onnx
import pytest

from midwire.compiler import trials
from midwire.compiler.errors import CompilerBug, ModelError
from midwire.compiler.ir import quant
from midwire.compiler.pipeline import Options, compile_model
from midwire.host import cli
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.reference import Reference

from ..small import NET

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]

QDQ = """
g (float[N, 4] x) => (float[N, 2] y)
<float s = {0.5}, float r = {0.25}, uint8 z = {3}, int8[4, 2] k = {1, 2, 3, 4, 5, 6, 7, 8},
 int8 o = {0}, int64 along = {1}>
{ e = CumSum (x, along)
  p = QuantizeLinear (e, s, z)
  a = DequantizeLinear (p, s, z)
  w = DequantizeLinear (k, r, o)
  b = MatMul (a, w)
  c = QuantizeLinear (b, r, z)
  y = DequantizeLinear (c, r, z) }
"""


def samples(shape: Sequence[int] = (80, 1, 2, 4, 4)) -> Array:
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
        status = cli.main(given)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ") and err.count("\n") == 1
        assert cli.main([*given, "--json"]) == status
        out, again = capsys.readouterr()
        assert again == err
        error = json.loads(out)["error"]
        assert status in ((2,) if error["type"] in ("CutError", "OptionError") else (1, 2))
        assert f"error: {error['message']}\n" == err
        message: str = error["message"]
        return message.replace(f"{tmp_path}/", "")

    return run


@pytest.fixture
def model(model_file: ModelFile) -> Path:
    return model_file(NET)


# What compile refuses


def test_a_float_model_needs_samples(model: Path, tmp_path: Path, refused: Refused) -> None:
    assert refused("compile", model, "-o", tmp_path / "b") == (
        "tensor 'x' and 3 more: the slice is not quantised, and there is no calibration data; "
        "expected quantised tensors, or --calibrate; found float tensors. "
        "Give typical samples of the model's inputs with --calibrate NPZ."
    )
    assert not (tmp_path / "b").exists()


def test_a_name_that_the_parts_need_is_refused_before_any_work(
    model_file: ModelFile, tmp_path: Path
) -> None:
    path = model_file(NET.replace("Relu (a)", "Relu (wire_in0)").replace("a = ", "wire_in0 = "))
    phases: list[str] = []
    with pytest.raises(ModelError, match=r"^tensor 'wire_in0': the model uses a name"):
        compile_model(path, tmp_path / "b", progress=lambda phase, *_: phases.append(phase))
    assert phases == ["load"]


@pytest.mark.parametrize("bits", [-1, 1, 17])
def test_bits_out_of_range(bits: int, model: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused("compile", model, "-o", tmp_path / "b", "--bits", bits)
    assert found.startswith("--bits: unusable bit width; expected 2 to 16; found ")


@pytest.mark.parametrize("rate", ["0", "-5", "nan", "inf"])
def test_a_rate_that_is_none(rate: str, model: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused("compile", model, "-o", tmp_path / "b", "--rate", rate)
    assert found.startswith("--rate: unusable rate; expected more than 0 Hz; found ")


def test_a_target_that_is_not_known(model: Path, tmp_path: Path, refused: Refused) -> None:
    assert refused("compile", model, "-o", tmp_path / "b", "--target", "abacus") == (
        "--target: unknown target; expected one of xcup, xc7, ecp5, corundum-25g, corundum-100g, "
        "opennic-250; found 'abacus'. Choose a family, whose parts compile alike, or a shell to be "
        "built into."
    )


def test_a_rate_that_is_too_high(model: Path, data: Path, tmp_path: Path, refused: Refused) -> None:
    found = refused(
        "compile", model, "-o", tmp_path / "b", "--calibrate", data, "--rate", 100_000_000
    )
    assert found == (
        "node 'Conv_0': cannot keep the wanted rate; expected at most 2 cycles an inference; "
        "found 16 cycles at full parallelism. Ask for a rate of at most 0.125 times the wanted "
        "one."
    )


def test_a_loss_that_is_too_high(model: Path, data: Path, tmp_path: Path, refused: Refused) -> None:
    words = ("compile", model, "-o", tmp_path / "b", "--calibrate", data, "--bits", "8")
    found = refused(*words, "--min-sqnr", "200")
    assert found.startswith(
        "output 'y': the quantised slice loses more than was allowed; expected a signal to noise "
        "ratio of at least 200 dB; found "
    )
    assert re.search(
        r" dB; most is lost at '([bpxy])'\. Widen that layer with --bits 8,\1=12 \(relative error "
        r"\S+ %\), or let midwire choose the widths with --bits auto, or leave more layers to the "
        r"edge with --from, or to the cloud with --to; --min-sqnr allows more\.$",
        found,
    )


# The first feature is a hundred times the others and takes the grid of `a` to itself; the result
# is made of the others.
UNEVEN = """
g (float[N, 4] x) => (float[N, 1] y)
<float[4, 4] w = {100, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, float[4, 1] v = {0, 1, 1, 1}>
{ a = MatMul (x, w)
  y = MatMul (a, v) }
"""


@pytest.fixture
def uneven(model_file: ModelFile, tmp_path: Path, no_rtl: None) -> list[str]:
    """The command that compiles it, without labels."""
    del no_rtl
    net = model_file(UNEVEN)
    x = np.random.default_rng(4).uniform(-1, 1, (50, 1, 4)).astype(np.float32)
    np.savez(tmp_path / "in.npz", in0=x)
    words = ("compile", net, "-o", tmp_path / "b", "--calibrate", tmp_path / "in.npz")
    return list(map(str, words))


def test_a_loss_that_nobody_asked_about(uneven: list[str], refused: Refused) -> None:
    """Refused by default, naming the layer; taken where the user allows it (L2)."""
    # The noise shows at y; the grid that makes it is that of a.
    assert re.fullmatch(
        r"the model's outputs: the quantised slice loses more than was allowed; expected a "
        r"relative error of at most 1 % \(the default without labels\); found \d+\.?\d* %; most is "
        r"lost at 'a'\. Widen that layer with --bits 8,a=12 \(relative error \d\.\d+ %\), or let "
        r"midwire choose the widths with --bits auto, or leave more layers to the edge with --from,"
        r" or to the cloud with --to; --max-error allows more\.",
        refused(*uneven, "--bits=8"),
    )
    assert cli.main([*uneven, "--bits=8", "--max-error=60"]) == 0
    assert cli.main([*uneven, "--bits=8", "--min-sqnr=-20"]) == 0
    assert cli.main([*uneven, "--bits=16"]) == 0


@pytest.mark.parametrize("searched", [trials.SEARCHED, 0])
def test_widths_are_chosen_where_the_usual_ones_lose_too_much(
    searched: float,
    uneven: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By layer, or the same for all where the search would take long."""
    monkeypatch.setattr(trials, "SEARCHED", searched)
    assert cli.main([*uneven, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["end_to_end"]["relative_error"] <= 0.01
    assert found["bits"] != "8" and (found["bits"] in ("11", "13", "16")) == (not searched)
    (sentence,) = found["warnings"]
    assert f"warning: {sentence}." in err
    assert re.fullmatch(
        r"8 bits lose more than was allowed \(a relative error of at most 1 % \(the default without"
        r" labels\); found \d+\.?\d* % of one sample\), so (layers got others|all layers got "
        r"1\d): --bits 8 and --max-error make the slice smaller"
        + ("" if searched else ", and --bits auto may"),
        sentence,
    )
    # Where 8 are enough, it stays with them, whatever would do with fewer.
    assert cli.main([*uneven, "--json", "--max-error=60"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bits"], found["warnings"]) == ("8", [])


# Features as they are on the wire, scaled by the model: the first leaves no bits to the others.
UNSCALED = """
g (float[N, 4] x) => (float[N, 1] y)
<float[4] s = {0.0001, 1, 1, 1}, float[4, 1] v = {1, 1, -1, 1}>
{ a = Mul (x, s)
  y = MatMul (a, v) }
"""


def test_a_loss_that_no_width_mends_ends_with_a_later_start(
    model_file: ModelFile, tmp_path: Path, refused: Refused, no_rtl: None
) -> None:
    """No width does, and the edge has floats."""
    del no_rtl
    net = model_file(UNSCALED)
    x = np.random.default_rng(5).uniform(-1, 1, (50, 1, 4)) * [30000, 1, 1, 1]
    np.savez(tmp_path / "in.npz", in0=x.astype(np.float32))
    words = ("compile", net, "-o", tmp_path / "b", "--calibrate", tmp_path / "in.npz")
    advice = ", or leave more layers to the edge with --from, or to the cloud with --to; "
    for bits in ((), ("--bits=8",), ("--bits=auto",)):
        assert refused(*words, *bits).endswith(advice + "--max-error allows more.")
    assert cli.main([*map(str, words), "--from=a"]) == 0


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


def test_a_limit_with_nothing_to_measure(
    model_file: ModelFile, tmp_path: Path, refused: Refused
) -> None:
    """A quantised model with float inputs, and no samples of them."""
    net = model_file(QDQ)
    assert refused("compile", net, "-o", tmp_path / "b", "--min-sqnr", "30") == (
        "--min-sqnr: there is nothing to measure the loss on; expected samples of the model's "
        "inputs, which are not integers; found no calibration data. Give typical samples with "
        "--calibrate NPZ, or leave --min-sqnr out."
    )
    assert refused("compile", net, "-o", tmp_path / "b", "--min-sqnr", "nan") == (
        "--min-sqnr: unusable limit; expected a ratio in dB; found nan. "
        "Leave it out for the default."
    )
    assert refused("compile", net, "-o", tmp_path / "b", "--max-error", "-1") == (
        "--max-error: unusable limit; expected a share in percent, 0 or more; found -1.0. "
        "Leave it out for the default."
    )


@pytest.mark.parametrize("name", ["", "9to5", "a-b", "midwire slice", "x" * 41, "\u00e9"])
def test_a_name_that_is_no_identifier(
    name: str, model: Path, tmp_path: Path, refused: Refused
) -> None:
    assert refused("compile", model, "-o", tmp_path / "b", "--name", name) == (
        "--name: unusable name; expected a letter, then letters, digits and underscores, 40 in "
        f"all; found {name!r}. Choose one such as digits: modules are then digits_slice and so on."
    )


def test_files_that_are_not_there(model: Path, tmp_path: Path, refused: Refused) -> None:
    assert "none.onnx" in refused("compile", tmp_path / "none.onnx", "-o", tmp_path / "b")
    found = refused("compile", model, "-o", tmp_path / "b", "--calibrate", tmp_path / "none.npz")
    assert found == (
        "none.npz: the arrays cannot be read; expected an .npz file of plain arrays; found no such "
        "file. Save it with numpy.savez(path, in0=samples), the first axis counting samples."
    )


def test_a_folder_that_is_no_bundle_stays(
    model_file: ModelFile, tmp_path: Path, refused: Refused
) -> None:
    """It is looked at before anything that takes long: here not even the model is."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").write_text("precious")
    found = refused("compile", model_file(b"damaged"), "-o", tmp_path / "thesis")
    assert found == (
        "thesis: will not overwrite what is not a bundle; expected no such path, an empty folder "
        "or an old bundle; found other files. Choose another output folder."
    )
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
    assert [layer["kernel"] for layer in found["layers"]] == ["conv", "reduce", "conv"]
    assert found["model_hash"] == Bundle.load(tmp_path / "b").model_hash.hex()
    assert found["sqnr_db"] > 25
    assert list(found["phases"]) == [
        "load",
        "rewrite",
        "select",
        "calibrate",
        "choose widths",
        "quantise",
        "implement",
        "measure loss",
        "balance",
        "compare rates",
        "emit",
    ]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == (f"{tmp_path / 'b'}: x to y, 100.0 % of the multiply-accumulates")


@pytest.mark.usefixtures("no_rtl")
def test_a_part_and_a_budget(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was named is what the bundle is for; status 1 where nothing fits, 2 for wrong usage."""
    words = ["compile", str(model), "-o", str(tmp_path / "b"), "--calibrate", str(data), "--json"]
    assert cli.main([*words, "--part", "XC7A35T"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device"]["name"], found["clock_mhz"]) == ("xc7a35t", 150.0)
    assert cli.main([*words, "--budget", "dsp=12"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["resources"]["dsp"] <= 12 and found["device"]["name"] == "xcu50, dsp=12"
    for options, status in (
        (["--budget", "ff=1"], 1),
        (["--budget", "ff=x"], 2),
        (["--part", "none"], 2),
        (["--target", "none"], 2),
        (["--bits", "40"], 2),
        (["--rate", "-1"], 2),
    ):
        assert cli.main([*words, *options]) == status, options
        assert json.loads(capsys.readouterr().out)["error"]["remedy"]


@pytest.mark.usefixtures("no_rtl")
def test_noise_without_signal_is_not_called_bit_equal(
    model_file: ModelFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime rounds the product of the scales, and finds a tie just below; exactly, it is
    just above: 0 there, 1 here.
    """
    first = np.float32(0.1)
    exact = float(first) * float(first)
    single = first * first
    while not exact > float(single):
        first = np.nextafter(first, np.float32(1))
        exact, single = float(first) * float(first), first * first
    text = f"""
    g (float[N, 1] x) => (float[N, 1] y)
    <float s = {{{float(first)!r}}}, float r = {{{2 * float(single)!r}}}, int8 z = {{0}},
     int8[1, 1] k = {{1}}, int64 along = {{1}}>
    {{ e = CumSum (x, along)
      p = QuantizeLinear (e, s, z)
      a = DequantizeLinear (p, s, z)
      w = DequantizeLinear (k, s, z)
      b = MatMul (a, w)
      c = QuantizeLinear (b, r, z)
      y = DequantizeLinear (c, r, z) }}
    """
    np.savez(tmp_path / "in.npz", in0=np.full((3, 1, 1), 0.1, np.float32))
    words = ["compile", str(model_file(text)), "-o", str(tmp_path / "b")]
    words += ["--calibrate", str(tmp_path / "in.npz")]
    assert cli.main(words) == 0
    assert "signal to noise       noise and no signal on 3 calibration samples\n" in (
        capsys.readouterr().out
    )
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sqnr_db"], found["silent"]) == (None, True)
    assert found["sqnr"] == found["layers"][-1]["sqnr"] == "noise and no signal"


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
    assert ("calibrate", 60, 60) in calls  # a quarter is held out
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
    q = np.clip(np.rint(np.cumsum(x, axis=-1) / 0.5) + 3, 0, 255).astype(np.uint8)
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


# A fixed batch: torch's default export


FIXED = """
g (float[4, 2, 4, 4] x) => (float[4, 3] y)
<float[3, 2, 3, 3] w = {W}, float[48, 3] m = {M}, float[3] c = {1, -1, 0.5}, int64[2] s = {4, 48}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu (a)
  q = Reshape (b, s)
  y = Gemm (q, m, c) }
"""
for _name, _count in (("{W}", 54), ("{M}", 144)):
    _values = np.random.default_rng(_count).uniform(-1, 1, _count)
    FIXED = FIXED.replace(_name, "{" + ", ".join(f"{x:.5f}" for x in _values) + "}")


@pytest.fixture
def fixed(model_file: ModelFile, tmp_path: Path, no_rtl: None) -> Bundle:
    """Compiled with forty samples, of four each."""
    del no_rtl
    np.savez(tmp_path / "samples.npz", in0=samples((40, 4, 2, 4, 4)))
    options = Options(calibrate=tmp_path / "samples.npz")
    return compile_model(model_file(FIXED), tmp_path / "bundle", options).bundle


def test_a_fixed_batch_is_that_many_inferences(
    fixed: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], run_onnx: Any
) -> None:
    manifest = fixed.manifest
    assert (manifest.batch, manifest.inputs[0].shape, manifest.outputs[0].shape) == (
        4,
        (1, 2, 4, 4),
        (1, 3),
    )
    x = samples((5, 4, 2, 4, 4))
    assert cli.main([*run(fixed, tmp_path, in0=x), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inferences"] == 20
    with np.load(tmp_path / "out" / "o.npz") as stored:
        whole = stored["out0"]
    assert whole.shape == (5, 4, 3)
    model = onnx.load(tmp_path / "net.onnx")
    want = np.stack([run_onnx(model, {"x": sample})["y"] for sample in x])
    noise = np.square(want - whole).sum() / np.square(want).sum()
    assert 10 * np.log10(1 / noise) > 30
    assert cli.main(run(fixed, tmp_path, in0=x.reshape(20, 1, 2, 4, 4))) == 0
    with np.load(tmp_path / "out" / "o.npz") as stored:
        np.testing.assert_array_equal(stored["out0"], whole.reshape(20, 1, 3))


def test_every_sample_of_a_batch_calibrates(
    fixed: Bundle, model_file: ModelFile, tmp_path: Path
) -> None:
    """As if the model had batch 1 and its samples came one by one: the same parts, bit for bit."""
    single = FIXED.replace("[4, ", "[1, ").replace("{4, 48}", "{1, 48}")
    np.savez(tmp_path / "single.npz", in0=samples((40, 4, 2, 4, 4)).reshape(160, 1, 2, 4, 4))
    options = Options(calibrate=tmp_path / "single.npz")
    other = compile_model(model_file(single, name="one.onnx"), tmp_path / "one", options).bundle
    for name in ("program.npz", "golden.npz"):
        assert other.path(name).read_bytes() == fixed.path(name).read_bytes()


def test_golden_answers_are_the_reference(fixed: Bundle) -> None:
    """Those of realistic inputs are kept from measuring, those of noise are computed."""
    with np.load(fixed.path("golden.npz")) as golden:
        assert 0 < int(golden["realistic"]) < len(golden["in0"])
        (wanted,) = Reference.of_bundle(fixed).run_wire([golden["in0"]])
        np.testing.assert_array_equal(golden["out0"], wanted)


def test_inspect_says_the_batch(model_file: ModelFile, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(model_file(FIXED))
    assert cli.main(["inspect", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["batch"], found["inputs"][0]["shape"]) == (4, [1, 2, 4, 4])
    assert all(node["supported"] for node in found["nodes"])
    assert cli.main(["inspect", path]) == 0
    assert "batch 4, each sample an inference; float" in capsys.readouterr().out


def test_samples_that_meet_are_one_inference(
    model_file: ModelFile, tmp_path: Path, no_rtl: None, capsys: pytest.CaptureFixture[str]
) -> None:
    del no_rtl
    meeting = FIXED.replace("q = Reshape (b, s)", "t = CumSum (b, k) q = Reshape (t, s)")
    path = str(model_file(meeting.replace("int64[2] s", "int64 k = {0}, int64[2] s")))
    assert cli.main(["inspect", path]) == 0
    assert (
        "An inference takes the whole batch: the 4 samples of the batch cannot be told apart: it "
        "is not known whether node 'CumSum_2' (CumSum) treats every sample by itself."
    ) in " ".join(capsys.readouterr().out.split())
    np.savez(tmp_path / "in.npz", in0=samples((20, 4, 2, 4, 4)))
    words = ["compile", path, "-o", str(tmp_path / "b"), "--calibrate", str(tmp_path / "in.npz")]
    assert cli.main([*words, "--to", "b"]) == 0
    manifest = Bundle.load(tmp_path / "b").manifest
    assert (manifest.batch, [tuple(t.shape) for t in manifest.inputs]) == (1, [(4, 2, 4, 4)])
