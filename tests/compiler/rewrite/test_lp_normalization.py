# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Division by a norm, spelled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops.lp_normalization import LpNormalization
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import rewrite
from midwire.compiler.select.support import import_all
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]

SEED = 38

TORCH = """
n = ReduceL2<axes = [1]>(x) m = Clip(n, floor) s = Shape(x) e = Expand(m, s) y = Div(x, e)
"""
SPELLINGS = {
    "torch": (TORCH, 2, [1]),
    "torch, the sum of sizes": (TORCH.replace("L2", "L1"), 1, [1]),
    "a maximum": ("n = ReduceL2<axes = [-1]>(x) m = Max(floor, n) y = Div(x, m)", 2, [2]),
    "no floor": ("n = ReduceL2<axes = [1, 2]>(x) y = Div(x, n)", 2, [1, 2]),
    "tensorflow": (
        "q = Mul(x, x) t = ReduceSum(q, last) m = Max(t, floor) r = Pow(m, root) y = Mul(x, r)",
        2,
        [2],
    ),
    "an epsilon": (
        "t = ReduceSumSquare<axes = [1]>(x) m = Add(t, small) r = Sqrt(m) y = Div(x, r)",
        2,
        [1],
    ),
    "sizes by hand": ("a = Abs(x) t = ReduceSum(a, last) y = Div(x, t)", 1, [2]),
}


def model(body: str) -> str:
    return (
        "g (float[1, 4, 3] x) => (float[1, 4, 3] y)"
        " <float floor = {1e-12}, float high = {0.5}, float small = {0.001}, int64[1] last = {2},"
        f" float two = {{2}}, float nought = {{0}}, float root = {{-0.5}}> {{ {body} }}"
    )


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings(model_file: ModelFile, run_onnx: RunOnnx, name: str) -> None:
    """Each is one operator of all nodes, which computes the same."""
    body, power, axes = SPELLINGS[name]
    source = load_model(model_file(model(body)))
    (verdict,) = [found for found in import_all(source) if not found.constant]
    assert verdict.supported and "LpNormalization" in verdict.label
    (op,) = [piece.op for piece in verdict.pieces]
    assert isinstance(op, LpNormalization)
    assert (op.power, list(op.axes)) == (power, axes)
    print(f"seed {SEED}")
    x = np.random.default_rng(SEED).normal(1, 2, (1, 4, 3)).astype(np.float32)
    size = np.abs(x) if power == 1 else x.astype(np.float64) ** 2
    norm = size.sum(axis=tuple(axes), keepdims=True) + float(op.epsilon)
    norm = np.maximum(norm if power == 1 else np.sqrt(norm), float(op.floor))
    np.testing.assert_allclose(run_onnx(source.model, {"x": x})["y"], x / norm, rtol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("n = ReduceL2<axes = [1]>(x) m = Min(n, two) y = Div(x, m)", id="high"),
        pytest.param("n = ReduceL2<axes = [1]>(x) m = Mul(n, two) y = Div(x, m)", id="twice"),
        pytest.param("n = ReduceL2<axes = [1]>(x) m = Add(n, small) y = Div(x, m)", id="behind"),
        pytest.param("n = ReduceSum(x, last) y = Div(x, n)", id="no sizes"),
        pytest.param("a = Neg(x) n = ReduceL1<axes = [1]>(a) y = Div(x, n)", id="of another"),
        pytest.param("n = ReduceL2<axes = [1]>(x) y = Mul(n, nought)", id="nothing"),
    ],
)
def test_what_is_none(model_file: ModelFile, body: str) -> None:
    found = rewrite(load_model(model_file(model(body))))
    assert "LpNormalization" not in {unit.operator for unit in found.units}


def test_a_floor_that_matters(model_file: ModelFile, tmp_path: Path) -> None:
    """Norms on the grid that are below it would be another function."""
    body = "n = ReduceL2<axes = [1]>(x) m = Clip(n, high) y = Div(x, m)"
    np.savez(tmp_path / "in.npz", in0=np.linspace(-1, 1, 96).reshape(8, 1, 4, 3).astype("f4"))
    options = Options(["x"], ["y"], tmp_path / "in.npz")
    with pytest.raises(ModelError, match=r"expected a least norm of at most a step of its input's"):
        compile_model(model_file(model(body)), tmp_path / "b", options)


@pytest.mark.usefixtures("no_nic")
def test_in_rtl(model_file: ModelFile, tmp_path: Path) -> None:
    """An embedding of length 1, as torch exports it, behind a layer."""
    path = model_file(
        "g (float[1, 6] x) => (float[1, 5] y) <float floor = {1e-12}>"
        "{ d = Gemm <transB = 1> (x, w) n = ReduceL2<axes = [1]>(d) m = Clip(n, floor)"
        " s = Shape(d) e = Expand(m, s) y = Div(d, e) }"
    )
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    net = onnx.load(path)
    weights = rng.standard_normal((5, 6)).astype(np.float32)
    net.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    path.write_bytes(net.SerializeToString())
    np.savez(tmp_path / "in.npz", in0=rng.standard_normal((16, 1, 6)).astype(np.float32))
    compiled = compile_model(
        path, tmp_path / "b", Options(calibrate=tmp_path / "in.npz", max_error=10)
    )
    assert compiled.bundle.manifest.slice["macs_share"] == 1
    assert [spec.name for spec in compiled.bundle.manifest.outputs] == ["y"]
    assert verify(compiled.bundle, vectors=6, stall=0.4, seed=SEED).passed
