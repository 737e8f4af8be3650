# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.errors import CalibrationError, ModelError
from midwire.compiler.ir.graph import Value
from midwire.compiler.load.frontend import load_model
from midwire.compiler.quantise import calibrate as calibration
from midwire.compiler.quantise.calibrate import calibrate, load_samples
from midwire.compiler.quantise.grids import (
    HEADROOM,
    ROOMY_FROM,
    SAMPLE,
    Choice,
    Observed,
    choose_qtype,
    quantisation_error,
)
from midwire.hw.numeric import QType
from midwire.hw.session import open_session

ModelFile = Callable[..., Path]

X = Value("x", (1, 2, 3))
Q = Value("q", (1, 4), "int8")
HINT = "Save it with numpy.savez(path, in0=samples), the first axis counting samples."


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def refuse(path: Path, sentence: str, *inputs: Value) -> None:
    with pytest.raises(CalibrationError) as caught:
        load_samples(path, inputs or (X,))
    assert str(caught.value).replace(str(path), "FILE") == sentence


# Files


def test_by_position_and_by_name(tmp_path: Path) -> None:
    x = np.arange(30, dtype=np.float64).reshape(5, 1, 2, 3)
    q = np.arange(20, dtype=np.int64).reshape(5, 1, 4)
    samples = load_samples(saved(tmp_path, in0=x, q=q, label=np.arange(3)), (X, Q))
    assert samples["x"].dtype == np.float32 and samples["q"].dtype == np.int8
    np.testing.assert_array_equal(samples["x"], x)
    np.testing.assert_array_equal(samples["q"], q)


def test_without_the_batch_axis(tmp_path: Path) -> None:
    x = np.arange(30, dtype=np.float32).reshape(5, 2, 3)
    assert load_samples(saved(tmp_path, in0=x), (X,))["x"].shape == (5, 1, 2, 3)


def test_one_sample_without_the_batch_axis(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert load_samples(saved(tmp_path, in0=x), (X,))["x"].shape == (1, 1, 2, 3)


def test_missing_file(tmp_path: Path) -> None:
    refuse(
        tmp_path / "no.npz",
        "FILE: the arrays cannot be read; expected an .npz file of plain arrays; found no such "
        f"file. {HINT}",
    )


def test_plain_array_file(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.zeros(3))
    refuse(
        tmp_path / "data.npy",
        "FILE: the arrays cannot be read; expected an .npz file of plain arrays; found a file of "
        f"another kind. {HINT}",
    )


def test_pickled_objects(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, in0=np.array([{"a": 1}], dtype=object))
    refuse(
        path,
        "FILE: the arrays cannot be read; expected an .npz file of plain arrays; found an array "
        f"of Python objects. {HINT}",
    )


def test_damaged_files(tmp_path: Path) -> None:
    raw = saved(tmp_path, in0=np.arange(30, dtype=np.float32).reshape(5, 1, 2, 3)).read_bytes()
    rng = np.random.default_rng(5)
    read = 0
    for _ in range(200):
        damaged = bytearray(raw)
        damaged[int(rng.integers(len(raw)))] ^= int(rng.integers(1, 256))
        path = tmp_path / "damaged.npz"
        path.write_bytes(bytes(damaged[: int(rng.integers(20, 2 * len(raw)))]))
        try:
            load_samples(path, (X,))
            read += 1
        except CalibrationError:
            pass
    assert read < 100


def test_missing_key(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, images=np.zeros((5, 1, 2, 3)), label=np.zeros(5)),
        "FILE: there are no samples for the input 'x'; expected an array called 'in0' or 'x'; "
        f"found 'images', 'label'. {HINT}",
    )


def test_wrong_shape(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, in0=np.zeros((5, 1, 3, 2))),
        "FILE: array 'in0': samples of the wrong shape; expected [samples, 1, 2, 3]; found [5, 1, "
        "3, 2]. Give every sample as the model's input takes it, batch 1.",
    )


def test_no_samples(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, in0=np.zeros((0, 1, 2, 3))),
        "FILE: array 'in0': no samples; expected at least one sample; found an empty array. Give "
        "a few hundred typical samples.",
    )


def test_wrong_type(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, q=np.zeros((5, 1, 4))),
        "FILE: array 'q': samples of the wrong type; expected int8 values; found float64. Convert "
        "them as the model's input takes them.",
        Q,
    )
    refuse(
        saved(tmp_path, in0=np.full((5, 1, 2, 3), "a")),
        "FILE: array 'in0': samples of the wrong type; expected float32 values; found <U1. "
        "Convert them as the model's input takes them.",
    )


def test_an_input_of_no_numbers(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, in0=np.full((5, 1), "a")),
        "input 't': the model has an input that takes no samples; expected an input of numbers; "
        "found string values. Export the model with numbers there.",
        Value("t", (1,), "string"),
    )


def test_integers_out_of_range(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, q=np.full((5, 1, 4), 200)),
        "FILE: array 'q': samples out of range; expected int8 values, -128 to 127; found 200 to "
        "200. Quantise them with the scale and zero point of the model's input.",
        Q,
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_not_finite(tmp_path: Path, bad: float) -> None:
    x = np.zeros((5, 1, 2, 3))
    x[2, 0, 1] = bad
    refuse(
        saved(tmp_path, in0=x),
        "FILE: array 'in0': samples with NaN or infinity; expected finite numbers; found 3 that "
        "are not, the first in sample 2. Clean the data.",
    )


def test_different_counts(tmp_path: Path) -> None:
    refuse(
        saved(tmp_path, x=np.zeros((5, 1, 2, 3)), q=np.zeros((4, 1, 4), np.int8)),
        "FILE: the inputs have different numbers of samples; expected the same first axis for "
        f"every input; found 5 of 'x', 4 of 'q'. {HINT}",
        X,
        Q,
    )


# Watching a model

NET = """
g (float[N, 4] x) => (float[N, 2] y)
<float[4, 2] w = {1, 0, 0, 1, 1, 0, 0, 1}>
{ h = Relu(x)
  y = MatMul(h, w) }
"""


def test_observed(model_file: ModelFile) -> None:
    source = load_model(model_file(NET))
    x = np.random.default_rng(3).standard_normal((40, 1, 4)).astype(np.float32)
    steps: list[tuple[int, int]] = []
    seen = calibrate(source, ["x", "h", "y"], {"x": x}, lambda *at: steps.append(at))
    assert steps[0] == (1, 40) and steps[-1] == (40, 40)
    assert (seen["x"].low, seen["x"].high) == (float(x.min()), float(x.max()))
    assert seen["h"].low == 0 and seen["h"].count == 160
    assert len(seen["y"].values) == 82
    again = calibrate(source, ["y"], {"x": x})
    np.testing.assert_array_equal(again["y"].values, seen["y"].values)


def test_one_thread(model_file: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many share a sum must not depend on the machine."""
    opened: list[Any] = []

    def watched(*given: Any, **options: Any) -> Any:
        opened.append(open_session(*given, **options))
        return opened[-1]

    monkeypatch.setattr(calibration, "open_session", watched)
    source = load_model(model_file("g (float[4] x) => (float[4] y) { y = Relu(x) }"))
    calibrate(source, ["y"], {"x": np.ones((1, 4), np.float32)})
    assert [session.get_session_options().intra_op_num_threads for session in opened] == [1]


def test_scalars(model_file: ModelFile) -> None:
    source = load_model(model_file("g (float x) => (float y) { y = Abs(x) }"))
    seen = calibrate(source, ["y"], {"x": np.array([-3, 2], np.float32)})["y"]
    assert (seen.low, seen.high, seen.count) == (2, 3, 2)


def test_large_tensors_are_sampled(model_file: ModelFile) -> None:
    source = load_model(model_file("g (float[N, 90000] x) => (float[N, 90000] y) { y = Relu(x) }"))
    x = np.random.default_rng(3).standard_normal((3, 1, 90000)).astype(np.float32)
    seen = calibrate(source, ["y"], {"x": x})["y"]
    assert seen.high == float(x.max())
    assert seen.count == 270000 and SAMPLE <= len(seen.values) < SAMPLE + 8


@pytest.mark.parametrize("count", [1025, SAMPLE + 1])
def test_many_samples_give_no_more_values(model_file: ModelFile, count: int) -> None:
    """Each gives its share; and one value, where there are more samples than values wanted."""
    source = load_model(model_file("g (float[N, 90] x) => (float[N, 90] y) { y = Relu(x) }"))
    x = np.broadcast_to(np.arange(90, dtype=np.float32), (count, 1, 90))
    seen = calibrate(source, ["x"], {"x": x})["x"]
    assert seen.count == 90 * count
    assert SAMPLE <= len(seen.values) <= SAMPLE + count + 2


def test_model_that_overflows(model_file: ModelFile) -> None:
    source = load_model(model_file("g (float[N, 4] x) => (float[N, 4] y) { y = Mul(x, x) }"))
    with pytest.raises(CalibrationError) as caught:
        calibrate(source, ["y"], {"x": np.full((1, 1, 4), 1e30, np.float32)})
    assert str(caught.value) == (
        "tensor 'y': the model computes NaN or infinity for a sample; expected finite numbers; "
        "found NaN or infinity. Give samples as the model was trained on: scaled alike."
    )


def test_a_meaning_that_only_onnx_runtime_knows(model_file: ModelFile) -> None:
    """A slope may not have more axes or elements than what it is for."""
    text = "g (float[1, 4, 1, 1] x) => (float[1, 4, A, B] y) <float[4, 3] s = {%s}>"
    source = load_model(
        model_file(f"{text % ', '.join('0123456789' + '12')} {{ p = PRelu (x, s) y = Relu (p) }}")
    )
    x = np.ones((2, 1, 4, 1, 1), np.float32)
    with pytest.raises(CalibrationError) as caught:
        calibrate(source, ["p"], {"x": x})
    assert str(caught.value) == (
        "tensor 'p': ONNX Runtime computes another shape than the model's types say; expected the "
        "shape [1, 4, 1, 1], as ONNX infers it; found [1, 4, 4, 3]. See whether the operator that "
        "makes it may broadcast what it gets."
    )


def test_model_that_onnx_runtime_does_not_know(model_file: ModelFile) -> None:
    text = "g (float[N, 4] x) => (float[N, 4] y) { h = own.Strange(x) y = Relu(x) }"
    source = load_model(model_file(text, imports=', "own" : 1'))
    with pytest.raises(CalibrationError, match="ONNX Runtime does not take the model; expected a"):
        calibrate(source, ["y"], {"x": np.zeros((1, 1, 4), np.float32)})


def test_model_with_a_quantiser_that_means_nothing(model_file: ModelFile) -> None:
    """The node and what is wrong with it, not that ONNX Runtime lacks its domain."""
    text = """
        g (float[N, 4] x) => (float[N, 4] y) <float one = {1}, float zero = {0}>
        { y = onnx.brevitas.Quant <signed = 1, narrow = 1> (x, one, zero, zero) }"""
    source = load_model(model_file(text, imports=', "onnx.brevitas" : 1'))
    with pytest.raises(CalibrationError) as caught:
        calibrate(source, ["y"], {"x": np.zeros((1, 1, 4), np.float32)})
    assert str(caught.value) == (
        "node 'Quant_0' (onnx.brevitas.Quant): nothing can be calibrated, for ONNX Runtime does "
        "not know the node, and it has no form in standard operators; expected a whole number of "
        "at least 1 as the bit width; found 0. Export the model with that mended; midwire inspect "
        "lists all such nodes."
    )


# Grids


def seen(values: np.ndarray[Any, Any]) -> Observed:
    single = values.astype(np.float32)
    return Observed(float(single.min()), float(single.max()), single.size, single)


@pytest.mark.parametrize("bits", [2, 3, 4, 8, ROOMY_FROM - 1])
@pytest.mark.parametrize("signed", [False, True])
def test_grid_is_about_the_best(bits: int, signed: bool) -> None:
    values = np.random.default_rng(bits).standard_normal(4000) * 3 + 1
    observed = seen(values if signed else np.abs(values))
    grid = choose_qtype(observed, bits)
    assert (grid.bits, grid.signed) == (bits, signed)
    assert grid.dequantise(grid.quantise([0.0])) == [0.0]
    # Never worse than the plain range of the values, and within 15 % of a fine search of scales.
    error = quantisation_error(observed.values, grid)
    low, high = min(observed.low, 0.0), observed.high
    best = np.inf
    for shrink in np.geomspace(1.05, 0.1, 300):
        step = (high - low) * shrink / (grid.hi - grid.lo)
        zero = round(min(max(grid.lo - low * shrink / step, grid.lo), grid.hi))
        trial = type(grid)(bits, grid.signed, float(np.float32(step)), int(zero))
        best = min(best, quantisation_error(observed.values, trial))
    assert error <= 1.15 * best


def test_long_tail_is_clipped() -> None:
    values = np.random.default_rng(1).standard_normal(50000)
    values[0] = 60
    grid = choose_qtype(seen(values), 4)
    assert grid.scale * (grid.hi - grid.zero_point) < 8


@pytest.mark.parametrize("bits", [ROOMY_FROM, 16])
@pytest.mark.parametrize("symmetric", [False, True])
def test_wide_grids_have_room(bits: int, symmetric: bool) -> None:
    """For half as much again as was seen, on either side, and no more than a power of two needs."""
    values = np.random.default_rng(bits).standard_normal(4000) * 3 + 1
    observed = seen(values)
    grid = choose_qtype(observed, bits, dyadic=True, choice=Choice(symmetric=symmetric))
    low, high = ends(grid)
    assert low <= HEADROOM * observed.low + grid.scale
    assert high >= HEADROOM * observed.high - grid.scale
    most = 2 * max(-observed.low, observed.high) if symmetric else observed.high - observed.low
    assert high - low <= 2.01 * HEADROOM * most
    # Whoever says which range gets that one.
    for method in ("min-max", "percentile"):
        low, high = ends(choose_qtype(observed, bits, choice=Choice(method)))
        assert high - low <= 1.01 * (observed.high - observed.low)


@pytest.mark.parametrize("bits", [2, 9, 16])
def test_dyadic_scales_are_powers_of_two(bits: int) -> None:
    values = np.random.default_rng(bits).standard_normal(4000) * 3 + 1
    fine, dyadic = (choose_qtype(seen(values), bits, dyadic=d) for d in (False, True))
    assert np.frexp(dyadic.scale)[0] == 0.5 != np.frexp(fine.scale)[0]
    assert fine.scale / 2 < dyadic.scale < fine.scale * 2


def test_positive_values_are_unsigned() -> None:
    grid = choose_qtype(seen(np.linspace(0, 10, 999)), 8)
    assert (grid.signed, grid.zero_point) == (False, 0)


def test_range_that_leaves_out_zero() -> None:
    for values in (np.linspace(5, 6, 99), np.linspace(-6, -5, 99)):
        grid = choose_qtype(seen(values), 8)
        assert grid.dequantise(grid.quantise([0.0])) == [0.0]
        assert np.abs(grid.dequantise(grid.quantise(values)) - values).max() < 6 / 255


def test_constant_zero() -> None:
    grid = choose_qtype(seen(np.zeros(9)), 8)
    assert (grid.scale, grid.zero_point) == (1.0, 0)


@pytest.mark.parametrize("size", [1e-44, 1e-38, 1e38])
def test_extreme_values(size: float) -> None:
    grid = choose_qtype(seen(np.array([-size, 0, size])), 8)
    assert np.isfinite(grid.scale) and grid.scale > 0


@pytest.mark.parametrize("bits", [2, 8, 12, 16])
@pytest.mark.parametrize("dyadic", [False, True])
@pytest.mark.parametrize("low", [-1.0, -0.5, 0.0])
def test_all_integers_of_a_grid_are_finite(bits: int, dyadic: bool, low: float) -> None:
    """Also where what masks an attention was seen, the lowest float32."""
    largest = float(np.finfo(np.float32).max)
    for values in (np.array([low, 1.0]), np.array([-1.0, -low])):
        for method in ("mse", "min-max"):
            grid = choose_qtype(seen(values * largest), bits, dyadic=dyadic, choice=Choice(method))
            assert np.isfinite(grid.dequantise(np.array([grid.lo, grid.hi]))).all()


@pytest.mark.parametrize("bits", [1, 17])
def test_bits_are_checked(bits: int) -> None:
    with pytest.raises(ValueError, match=rf"^bits must be 2 to 16, not {bits}$"):
        choose_qtype(seen(np.zeros(9)), bits)


# Other ways to find a range


def ends(grid: QType) -> tuple[float, float]:
    low, high = (grid.scale * (end - grid.zero_point) for end in (grid.lo, grid.hi))
    return low, high


def test_all_that_was_seen() -> None:
    values = np.random.default_rng(6).normal(size=20_000)
    low, high = ends(choose_qtype(seen(values), 8, choice=Choice("min-max")))
    step = (high - low) / 255
    assert abs(low - values.min()) <= step and abs(high - values.max()) <= step


def test_all_but_the_outermost() -> None:
    values = np.random.default_rng(6).uniform(-1, 3, 100_000)
    values[:2] = -50, 70
    low, high = ends(choose_qtype(seen(values), 8, choice=Choice("percentile")))
    assert low == pytest.approx(-1, abs=0.02) and high == pytest.approx(3, abs=0.02)
    # Nearly all are zero: the others are not cut off.
    values = np.zeros(100_000)
    values[:3] = 5
    assert ends(choose_qtype(seen(values), 8, choice=Choice("percentile")))[1] > 4.9


@pytest.mark.parametrize("method", ["mse", "min-max", "percentile"])
@pytest.mark.parametrize("bits", [4, 8, 12])
def test_symmetric_grids(method: str, bits: int) -> None:
    values = np.random.default_rng(6).uniform(-1, 3, 5_000)
    choice = Choice(method, symmetric=True)
    grid = choose_qtype(seen(values), bits, dyadic=bits > 8, choice=choice)
    assert (grid.zero_point, grid.signed) == (0, True)
    assert method == "mse" or ends(grid)[1] >= 2.99
    assert not choose_qtype(seen(np.abs(values)), bits, choice=choice).signed


def test_no_other_way() -> None:
    with pytest.raises(ModelError) as caught:
        Choice("entropy")
    assert str(caught.value) == (
        "--calibration: unknown calibration; expected one of mse, min-max, percentile; found "
        "'entropy'. Leave it out for mse."
    )


def test_means(model_file: ModelFile) -> None:
    source = load_model(model_file("g (float[N, 3] x) => (float[N, 3] y) { y = Neg (x) }"))
    x = np.random.default_rng(7).normal(size=(20, 1, 3)).astype(np.float32)
    found = calibrate(source, ["y"], {"x": x}, averaged=["y"])["y"].mean
    assert found is not None and found.shape == (1, 3)
    np.testing.assert_allclose(found, -x.mean(axis=0), atol=1e-6)
