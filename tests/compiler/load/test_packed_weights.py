# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Products with packed weights: what ONNX Runtime computes with them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from midwire import inspect_model
from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import Options, compile_model

SEED = 20279
Array = np.ndarray[Any, Any]


def packed(
    folder: Path,
    bits: int,
    *,
    rows: int = 40,
    columns: int = 6,
    block: int = 16,
    points: str = "",
    bias: bool = False,
    computed: bool = False,
) -> Path:
    """A model with one product, whose last block is not full where ``block`` does not divide."""
    rng = np.random.default_rng(SEED)
    count = -(-rows // block)
    stored: dict[str, Array] = {
        "w": rng.integers(0, 256, (columns, count, block * bits // 8), np.uint8),
        "s": rng.uniform(0.01, 0.02, (columns, count)).astype(np.float32),
    }
    names = ["x", "w", "s"]
    if points == "packed":
        wide = -(-count * bits // 8)
        stored["z"] = rng.integers(0, 256, (columns, wide), np.uint8)
    if points == "real":
        stored["z"] = rng.uniform(0, 1 << bits, (columns, count)).astype(np.float32)
    if points or bias:
        names.append("z" if points else "")
    if bias:
        stored["b"] = rng.uniform(-1, 1, columns).astype(np.float32)
        names += ["", "b"]
    entries = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, rows])]
    if computed:
        shape = list(stored.pop("s").shape)
        entries.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, shape))
    node = helper.make_node(
        "MatMulNBits",
        names,
        ["y"],
        "n",
        domain="com.microsoft",
        K=rows,
        N=columns,
        bits=bits,
        block_size=block,
    )
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, columns])
    known = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph([node], "g", entries, [y], known)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = folder / "packed.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("points", ["", "packed"])
@pytest.mark.parametrize("bias", [False, True])
def test_meaning(tmp_path: Path, bits: int, points: str, bias: bool) -> None:
    path = packed(tmp_path, bits, points=points, bias=bias)
    check(path)
    (node,) = inspect_model(path)["nodes"]
    assert (node["op"], node["supported"], node["macs"]) == (
        "com.microsoft.MatMulNBits",
        True,
        3 * 40 * 6,
    )


def test_points_that_are_reals(tmp_path: Path) -> None:
    check(packed(tmp_path, 4, points="real"))


def check(path: Path) -> None:
    """The model means what it was before."""
    print("seed", SEED)
    x = np.random.default_rng(SEED).uniform(-1, 1, (1, 3, 40)).astype(np.float32)
    (want,), (got,) = (
        onnxruntime.InferenceSession(model).run(None, {"x": x})
        for model in (path.read_bytes(), load_model(path).model.SerializeToString())
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"computed": True}, "expected stored weights, found 's' computed"),
        ({"bits": 1}, "expected weights of 2, 4 or 8 bits, found 1"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    path = packed(tmp_path, **{"bits": 4, **options})
    (node,) = inspect_model(path)["nodes"]
    assert node["reason"].endswith(reason)


def test_blocks_of_inputs_are_reals(tmp_path: Path, no_rtl: None) -> None:
    """A scale for each block is none for each output, so weights get one of their own."""
    del no_rtl
    rng = np.random.default_rng(SEED)
    stored: dict[str, Array] = {
        "q": rng.integers(-8, 8, (32, 4)).astype(np.int8),
        "s": rng.uniform(0.01, 0.02, (2, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], "d", axis=0, block_size=16),
        helper.make_node("MatMul", ["x", "w"], ["y"], "m"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, size])
        for name, size in (("x", 32), ("y", 4))
    )
    known = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], known),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "blocks.onnx")
    assert inspect_model(tmp_path / "blocks.onnx")["slice"]["macs_share"] == 1
    np.savez(tmp_path / "x.npz", in0=rng.uniform(-1, 1, (60, 1, 3, 32)).astype(np.float32))
    made = compile_model(
        tmp_path / "blocks.onnx", tmp_path / "b", Options(calibrate=tmp_path / "x.npz")
    )
    assert (made.bundle.manifest.sqnr_db or 0) > 35
