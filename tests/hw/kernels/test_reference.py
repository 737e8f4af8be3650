# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The integer program, step by step and as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.hw.errors import BundleError, DataError
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.formats.bundle import Described, Manifest, Step, write_bundle
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.kernels import convolve, eltwise
from midwire.hw.kernels import reference as reference_module
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.kernels.program import describe
from midwire.hw.kernels.reference import Operation, Reference, operations_of
from midwire.hw.numeric import IntType, QType

Array = np.ndarray[Any, Any]


INT8 = IntType(8, True)
IMAGE = Geometry((3, 2), (2, 1), pads=(1, 0, 0, 0))
WEIGHT = np.array([[[[1, -1]], [[2, 0]]], [[[0, 3]], [[1, 1]]]])


def clamp(channels: int, terms: int = 1, lo: int = -128, hi: int = 127) -> MultiplyShift:
    """A finisher that does nothing but clamp."""
    return MultiplyShift(
        multiplier=np.ones((channels, terms), np.int64),
        offset=np.zeros(channels, np.int64),
        shift=0,
        tie=0,
        parity=0,
        lo=np.full(channels, lo, np.int64),
        hi=np.full(channels, hi, np.int64),
    )


OPERATIONS = (
    Operation("c", ConvKernel(IMAGE, 2, INT8, WEIGHT, False, 7), (clamp(2),), ("x",), ("a",)),
    Operation("p", PoolKernel(IMAGE, 2, INT8, "max", -9), (clamp(2),), ("x",), ("b",)),
    Operation(
        "s",
        EltwiseKernel((INT8, INT8), 12, 2, 2),
        (clamp(2, terms=2, lo=-20, hi=100),),
        ("a", "b"),
        ("y",),
    ),
)

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
    return Reference(["x"], ["y"], OPERATIONS)


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


@pytest.mark.parametrize("size", [1, 5, 7])
def test_results_do_not_depend_on_the_parts_that_they_are_made_in(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    want = reference.run([images(5)], keep=True)
    for module, name in ((reference_module, "PART"), (eltwise, "PART"), (convolve, "_PART")):
        monkeypatch.setattr(module, name, size)
    found = reference.run_narrow([images(5)], keep=True)
    for name, values in want.items():
        assert found[name].dtype == np.int8
        np.testing.assert_array_equal(found[name], values)


def test_only_outputs_are_kept(reference: Reference) -> None:
    assert list(reference.run([images(2)])) == ["y"]
    both = Reference(["x"], ["y", "a"], OPERATIONS)
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


def test_a_tensor_that_nothing_makes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^nothing makes 'x', which operation 'c' reads$"):
        Reference(["z"], ["y"], OPERATIONS)
    with pytest.raises(ValueError, match=r"^nothing makes 'z', which is an output$"):
        Reference(["x"], ["y", "z"], OPERATIONS)
    with pytest.raises(ValueError, match=r"^nothing makes 'a', which operation 's' reads$"):
        Reference(["x"], ["y"], OPERATIONS[::-1])


def test_a_bundle_whose_program_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """A step's tensors, and the slice's, may be other ones than the manifest's author meant."""
    spec = TensorSpec("x", (1, 12), "int8", QType(8, True, 1.0), Layout.raster((1, 12)), 1)
    files = {f"{part}.onnx": b"" for part in ("edge", "slice", "cloud")}
    np.savez(tmp_path / "program.npz")
    files["program.npz"] = (tmp_path / "program.npz").read_bytes()
    manifest = Manifest(
        name="nowhere",
        model_sha256="0" * 64,
        inputs=(spec,),
        outputs=(spec,),
        steps=(),
        slice={"roots_in": ["x"], "roots_out": ["y"]},
        target="none",
        clock_mhz=250.0,
        cycles_per_inference=1,
        latency_cycles=1,
        resources={},
        sqnr_db=None,
        sqnr="not measured",
    )
    changed: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "ValueError: nothing makes 'y', which is an output"),
        ({"slice": {}}, "KeyError: 'roots_in'"),
    )
    for changes, found in changed:
        bundle = write_bundle(tmp_path / "nowhere", replace(manifest, **changes), files)
        with pytest.raises(BundleError) as caught:
            Reference.of_bundle(bundle)
        assert str(caught.value) == (
            f"{tmp_path}/nowhere: the program cannot be run; expected steps that lead from "
            f"roots_in to roots_out; found {found}. Compile the bundle again."
        )


def test_operations_come_back_from_json() -> None:
    """K1: what a bundle's program holds is the very same program."""
    arrays: dict[str, Any] = {}
    steps = tuple(
        Step(
            op.name,
            describe(op.kernel, f"{k}", arrays),
            tuple(describe(f, f"{k}.finish{n}", arrays) for n, f in enumerate(op.finishers)),
            op.inputs,
            op.outputs,
        )
        for k, op in enumerate(OPERATIONS)
    )
    again = operations_of(steps, arrays)
    kernel = again[0].kernel
    assert isinstance(kernel, ConvKernel)
    geometry = kernel.geometry
    assert (*geometry.size, geometry.kernel) == (3, 2, (2, 1))
    assert (geometry.pads, geometry.out_size[0]) == ((1, 0, 0, 0), 3)
    (fit,) = again[2].finishers
    assert isinstance(fit, MultiplyShift)
    assert (fit.channels, fit.multiplier.shape, fit.shift) == (2, (2, 2), 0)
    assert fit.multiplier.dtype == fit.hi.dtype == np.int64
    x = images(3)
    np.testing.assert_array_equal(
        Reference(["x"], ["y"], again).run([x])["y"],
        Reference(["x"], ["y"], OPERATIONS).run([x])["y"],
    )


def broken(**changes: Any) -> tuple[Step, ...]:
    kernel = Described("eltwise", {}, {})
    return (replace(Step("odd", kernel, (), ("x",), ("y",)), **changes),)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (broken(kernel=Described("fold", {}, {})), "KeyError: 'fold'"),
        (broken(kernel=Described("eltwise", {"elements": "12"}, {})), "TypeError: expected int"),
        (broken(kernel=Described("conv", {}, {"weight": "gone"})), "KeyError: 'gone'"),
        (broken(kernel=Described("eltwise", {"odd": 1}, {})), "KeyError: 'odd'"),
    ],
)
def test_a_program_of_another_version_is_refused(steps: tuple[Step, ...], found: str) -> None:
    with pytest.raises(BundleError) as caught:
        operations_of(steps, {}, "a bundle")
    assert str(caught.value).startswith(
        "a bundle, step 'odd': a step of the program cannot be read; expected a kernel and "
        f"finishers of this version of midwire; found {found}"
    )
    assert str(caught.value).endswith("Compile the bundle again.")
