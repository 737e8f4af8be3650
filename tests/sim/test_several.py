# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices with two inputs and two outputs of different sizes, types and rates, without a compiler.

The Verilog is written by hand: ``m0 = s0 + low byte of s1[0]``, ``m1 = sum of s0``. What is tested
is that every step of ``verify`` and ``run`` keeps the tensors apart.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import midwire.hw
from midwire.hw.elaborate import prefixed
from midwire.hw.formats.bundle import Bundle, Manifest, write_bundle
from midwire.hw.formats.tensor import AnyArray, Layout, TensorSpec
from midwire.hw.numeric import QType
from midwire.sim.execute import execute
from midwire.sim.vectors import random_wire, wire_inputs
from midwire.sim.verify import verify

from .conftest import RATES, module

BYTE, WORD = QType(8, False, 0.5, 0), QType(16, False, 0.25, 3)
SUM = QType(32, True, 0.5, 0)


def spec(name: str, count: int, qtype: QType) -> TensorSpec:
    return TensorSpec(name, (1, count), "float32", qtype, Layout.raster((1, count)), 1)


INPUTS = (spec("a", 6, BYTE), spec("b", 2, WORD))
OUTPUTS = (spec("c", 6, BYTE), spec("d", 1, SUM))

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
SLICE = """slice (uint8[6] wire_in0, uint16[2] wire_in1) => (uint8[6] wire_out0, int32[1] wire_out1)
<int64[1] zero = {0}, int64[1] one = {1}, int32 m = {256}>
{ a = Cast <to = 6> (wire_in0)
  w = Cast <to = 6> (wire_in1)
  b = Slice (w, zero, one)
  s = Add (a, b)
  t = Mod (s, m)
  wire_out0 = Cast <to = 2> (t)
  wire_out1 = ReduceSum (a) }"""
# The original wraps around nowhere, and its second output is off by a quarter of a unit.
ORIGINAL = """original (float[1, 6] a, float[1, 2] b) => (float[1, 6] c, float[1, 1] d)
<int64[1] axis = {1}, float x = {0.125}>
{ c = Identity (a)
  e = ReduceSum (a, axis)
  d = Add (e, x) }"""
EDGE = """edge (float[1, 6] a, float[1, 2] b) => (uint8[6] wire_in0, uint16[2] wire_in1)
<float s = {0.5}, float r = {0.25}, float z = {3}, int64[1] six = {6}, int64[1] two = {2}>
{ p = Div (a, s)
  q = Reshape (p, six)
  wire_in0 = Cast <to = 2> (q)
  t = Div (b, r)
  u = Add (t, z)
  v = Reshape (u, two)
  wire_in1 = Cast <to = 4> (v) }"""


class Numpy:
    """Stands in for the program's reference: a bundle made by hand has no program."""

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Numpy:
        del bundle
        return cls()

    def run_wire(self, wires: Sequence[AnyArray]) -> list[AnyArray]:
        a, b = wires
        low = (b[:, :1] & 0xFF).astype(np.uint8)
        return [a + low, a.sum(1, np.int32)[:, None]]


def arrays(wires: Sequence[AnyArray]) -> dict[str, AnyArray]:
    return {f"in{i}": wire for i, wire in enumerate(wires)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    verilog = module(RATES, inputs=2, outputs=2, wide={"s1": 16, "m1": 32})
    memories = sorted((Path(midwire.hw.__file__).parent / "verilog").glob("*.v"))
    folder = tmp_path_factory.mktemp("several")
    rng = np.random.default_rng(8)
    golden = [random_wire(one, 4, rng) for one in INPUTS]
    np.savez(folder / "golden.npz", realistic=np.array(0), **arrays(golden))  # type: ignore[arg-type]
    files = {
        "rtl/midwire_slice.v": verilog.replace("module dut(", "module midwire_slice(").encode(),
        **{f"rtl/{prefixed(path.stem, 'midwire')}.v": path.read_bytes() for path in memories},
        "golden.npz": (folder / "golden.npz").read_bytes(),
    }
    for name, text in (("slice", SLICE), ("original", ORIGINAL), ("edge", EDGE), ("cloud", EDGE)):
        model = onnx.parser.parse_model(HEADER + text)
        onnx.checker.check_model(model, full_check=True)
        files[f"{name}.onnx"] = model.SerializeToString()
    manifest = Manifest(
        name="several",
        model_sha256="0" * 64,
        inputs=INPUTS,
        outputs=OUTPUTS,
        steps=(),
        slice={},
        target="none",
        clock_mhz=250.0,
        cycles_per_inference=9,
        latency_cycles=9,
        resources={},
        sqnr_db=None,
        sqnr="not measured",
    )
    return write_bundle(folder / "bundle", manifest, files)


@pytest.fixture(autouse=True)
def _numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("verify", "execute"):
        monkeypatch.setattr(importlib.import_module(f"midwire.sim.{name}"), "Reference", Numpy)


def test_verify_compares_every_output(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verify(bundle, vectors=12, stall=0.4, seed=2)
    assert found.passed and found.vectors == 12
    assert (found.cycles_per_inference, found.latency_cycles) == (9, 9)
    # The worst output counts: `c` is far off, `d` is not.
    assert found.sqnr_db is not None and found.sqnr_db < 10

    class Wrong(Numpy):
        def run_wire(self, wires: Sequence[AnyArray]) -> list[AnyArray]:
            first, second = super().run_wire(wires)
            return [first, second + 1]

    monkeypatch.setattr(importlib.import_module("midwire.sim.verify"), "Reference", Wrong)
    wrong = verify(bundle, vectors=12, stall=0.4, seed=2)
    assert (wrong.rtl_mismatches, wrong.onnx_mismatches) == (12 + 4, 12)


def test_noise_without_signal_is_the_worst(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that should be zero and is not, beside one that can be measured."""
    verifying = importlib.import_module("midwire.sim.verify")
    opened = verifying.open_session

    class Silent:
        def __init__(self, session: Any) -> None:
            self.session = session

        def run(self, names: Sequence[str], feeds: dict[str, AnyArray]) -> list[AnyArray]:
            first, *rest = self.session.run(names, feeds)
            return [np.zeros_like(first), *rest]

    def open_silent(model: Path, *, exact: bool = False) -> Any:
        session = opened(model, exact=exact)
        return Silent(session) if exact else session

    monkeypatch.setattr(verifying, "open_session", open_silent)
    found = verify(bundle, vectors=4)
    assert found.passed
    assert (found.sqnr_db, found.sqnr) == (None, "noise and no signal")


def test_run_gives_every_output_its_own_type(bundle: Bundle) -> None:
    rng = np.random.default_rng(9)
    samples = {
        "a": (rng.integers(0, 256, (7, 1, 6)) * 0.5).astype(np.float32),
        "b": ((rng.integers(3, 600, (7, 1, 2)) - 3) * 0.25).astype(np.float32),
    }
    wires = wire_inputs(bundle, samples, "samples")
    assert [wire.dtype for wire in wires] == [np.uint8, np.uint16]
    results: list[Any] = [execute(bundle, wires, backend=name) for name in ("rtl", "reference")]
    for key, shape in (("out0", (7, 1, 6)), ("out1", (7, 1, 1))):
        np.testing.assert_array_equal(results[0].outputs[key], results[1].outputs[key])
        assert results[0].outputs[key].shape == shape
    np.testing.assert_array_equal(
        results[0].outputs["out1"][:, 0], samples["a"].sum(2, dtype=np.float64)
    )
