# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire verify`` proves a sound bundle, and sees any damage that is put into one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.pipeline import Options, compile_model
from midwire.host import cli
from midwire.hw.formats.bundle import MANIFEST, Bundle, file_sha256
from midwire.sim.execute import execute
from midwire.sim.verify import verify

from ..small import NET, without_shell


def samples(count: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(5)
    return rng.uniform(-1, 1, (count, 1, 2, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small net's bundle, without the NIC shell."""
    folder = tmp_path_factory.mktemp("net")
    onnx.save(
        onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{NET}'),
        folder / "net.onnx",
    )
    np.savez(folder / "samples.npz", x=samples(8))
    with without_shell():
        options = Options(calibrate=folder / "samples.npz")
        return compile_model(folder / "net.onnx", folder / "bundle", options).bundle


@pytest.fixture
def damaged(sound: Bundle, tmp_path: Path) -> Callable[[str, Callable[[Path], object]], Bundle]:
    """A copy with one file changed, by somebody who can compute hashes."""

    def make(name: str, spoil: Callable[[Path], object]) -> Bundle:
        folder = tmp_path / "copy"
        shutil.copytree(sound.root, folder)
        spoil(folder / name)
        data = json.loads((folder / MANIFEST).read_text())
        if name != MANIFEST:
            data["files"][name] = file_sha256(folder / name)
            (folder / MANIFEST).write_text(json.dumps(data))
        return Bundle.load(folder)

    return make


def test_a_sound_bundle_passes(sound: Bundle) -> None:
    seen: list[str] = []
    found = verify(sound, vectors=9, stall=0.5, seed=3, report=lambda what, *_: seen.append(what))
    assert found.passed
    assert (found.vectors, found.rtl_mismatches, found.onnx_mismatches) == (9, 0, 0)
    assert found.cycles_per_inference == sound.manifest.cycles_per_inference
    assert found.latency_cycles == sound.manifest.latency_cycles
    assert found.sqnr_db is not None and found.sqnr_db > 25
    assert found.sqnr == f"{found.sqnr_db:.1f} dB"
    assert found.top1_agreement is not None and found.top1_agreement >= 0.75
    assert list(dict.fromkeys(seen))[-4:] == [
        "counting cycles",
        "simulating with stalls",
        "numpy reference",
        "slice.onnx",
    ]
    assert found.as_json()["passed"] is True


@pytest.mark.parametrize("vectors", [1, 2, 5])
def test_any_number_of_vectors(sound: Bundle, vectors: int) -> None:
    found = verify(sound, vectors=vectors)
    assert (found.passed, found.vectors) == (True, vectors)


def test_own_samples(sound: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", in0=samples(3))
    found = verify(sound, inputs=tmp_path / "own.npz", vectors=16)
    assert (found.passed, found.vectors) == (True, 3)


def negate(path: Path) -> None:
    """Turn every bit of every word of a memory image over."""
    table = str.maketrans("0123456789abcdef", "fedcba9876543210")
    path.write_text(path.read_text().translate(table))


def test_a_wrong_weight_in_the_hardware_is_seen(
    sound: Bundle, damaged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(name for name in sound.manifest.images if "weight" in name)
    bundle = damaged(f"rtl/{image}", negate)
    found = verify(bundle, vectors=4)
    assert found.rtl_mismatches > 0 and found.onnx_mismatches == 0
    assert not found.passed
    assert cli.main(["verify", str(bundle.root), "--vectors", "4", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["passed"] is False and err == ""


def test_a_wrong_constant_in_slice_onnx_is_seen(damaged: Any) -> None:
    def spoil(path: Path) -> None:
        model = onnx.load(path)
        tensor = next(
            t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and t.dims
        )
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(-values, tensor.name))
        onnx.save(model, path)

    found = verify(damaged("slice.onnx", spoil), vectors=4)
    assert found.onnx_mismatches > 0 and found.rtl_mismatches == 0
    assert not found.passed


@pytest.mark.parametrize("field", ["cycles_per_inference", "latency_cycles"])
def test_a_wrong_prediction_is_seen(field: str, damaged: Any) -> None:
    def spoil(path: Path) -> None:
        data = json.loads(path.read_text())
        data[field] += 1
        path.write_text(json.dumps(data))

    found = verify(damaged(MANIFEST, spoil), vectors=2)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert not found.passed


# Execute


def test_both_backends_give_the_same(sound: Bundle) -> None:
    spec, out = sound.manifest.inputs[0], sound.manifest.outputs[0]
    wires = [np.stack([spec.to_wire(sample) for sample in samples(5)])]
    results = {name: execute(sound, wires, backend=name) for name in ("rtl", "reference")}
    rtl, reference = results["rtl"], results["reference"]
    np.testing.assert_array_equal(rtl.wires[0], reference.wires[0])
    np.testing.assert_array_equal(rtl.outputs["out0"], reference.outputs["out0"])
    assert rtl.outputs["out0"].shape == (5, *out.shape)
    assert rtl.outputs["out0"].dtype == np.float32
    assert rtl.cycles is not None and rtl.cycles > 5 * sound.manifest.cycles_per_inference // 2
    assert rtl.cycles_per_second is not None and rtl.inferences_per_second > 0
    assert (reference.cycles, reference.cycles_per_second) == (None, None)


def test_run_in_rtl_by_the_command(
    sound: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", in0=samples(3))
    words = ["run", str(sound.root), "--inputs", str(tmp_path / "in.npz")]
    for backend in ("rtl", "reference"):
        output = str(tmp_path / f"{backend}.npz")
        assert cli.main([*words, "-o", output, "--backend", backend]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("3 inferences, ") and err == ""
    with np.load(tmp_path / "rtl.npz") as a, np.load(tmp_path / "reference.npz") as b:
        np.testing.assert_array_equal(a["out0"], b["out0"])
