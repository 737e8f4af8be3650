# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Single steps of recurrent layers, whose states come from outside and leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Written
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.support import import_all
from midwire.sim.verify import verify

SEED = 20264
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
WIDTH, UNITS = 3, 4


def one_step(
    kind: str, steps: int = 1, opset: int = 17, biased: bool = True, **attributes: Any
) -> onnx.ModelProto:
    """A layer whose states are inputs and outputs, as a controller in a loop calls it."""
    rows = GATES[kind] * UNITS
    rng = np.random.default_rng(rows)
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    shapes = {"w": (1, rows, WIDTH), "r": (1, rows, UNITS)} | (
        {"b": (1, 2 * rows)} if biased else {}
    )
    outputs = ["y", *(f"{state}_next" for state in states)]
    node = onnx.helper.make_node(
        kind,
        ["x", "w", "r", "b" if biased else "", "", *states],
        outputs,
        "layer",
        hidden_size=UNITS,
        **attributes,
    )

    def value(name: str, *shape: int) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = onnx.helper.make_graph(
        [node],
        "net",
        [value("x", steps, 1, WIDTH), *(value(name, 1, 1, UNITS) for name in states)],
        [value("y", steps, 1, 1, UNITS), *(value(name, 1, 1, UNITS) for name in outputs[1:])],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) / 2, name)
            for name, shape in shapes.items()
        ],
    )
    imports = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)


def samples(model: onnx.ModelProto, count: int) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    return {
        value.name: rng.uniform(
            -1, 1, (count, *(d.dim_value for d in value.type.tensor_type.shape.dim))
        ).astype(np.float32)
        for value in model.graph.input
    }


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize(
    "model",
    [
        ("LSTM", {}),
        ("LSTM", {"biased": False}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {}),
        ("RNN", {}),
    ],
)
def test_they_mean_the_same(
    model: tuple[str, dict[str, Any]],
    opset: int,
    model_file: Callable[..., Path],
    run_onnx: Callable[..., Any],
) -> None:
    """Rule X1, in ONNX Runtime."""
    kind, more = model
    given = one_step(kind, opset=opset, **more)
    source = load_model(model_file(given))
    assert "layer" in source.written and kind not in {n.op_type for n in source.nodes}
    assert set(source.written.values()) == {Written("layer", kind)}
    assert all(verdict.supported for verdict in import_all(source))
    feed = {name: array[0] for name, array in samples(given, 1).items()}
    wanted = run_onnx(given, feed)
    for name, found in run_onnx(source.model, feed).items():
        np.testing.assert_allclose(found, wanted[name], atol=1e-6, err_msg=f"seed {SEED}, {name}")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_step_in_rtl(
    kind: str, model_file: Callable[..., Path], tmp_path: Path, no_nic: None
) -> None:
    """All of it is in the slice, states included, and ``inspect`` counts every product once."""
    del no_nic
    print(f"seed {SEED}")
    model = one_step(kind)
    path, data = model_file(model), tmp_path / "samples.npz"
    np.savez(data, **samples(model, 64))
    report = inspect_model(path)
    (layer,) = report["nodes"]
    assert layer["op"] == kind and layer["supported"]
    assert layer["macs"] == report["macs"] >= GATES[kind] * UNITS * (WIDTH + UNITS)
    bundle = compile_model(path, tmp_path / "bundle", Options(calibrate=data, max_error=10)).bundle
    assert bundle.manifest.slice["macs_share"] == 1.0
    found = verify(bundle, vectors=3, stall=0.3, seed=SEED)
    assert found.passed, found


OTHERS: list[dict[str, Any]] = [
    {"steps": 2},
    {"clip": 2.0},
    {"activations": ["HardSigmoid", "Tanh", "Tanh"]},
]


@pytest.mark.parametrize("more", OTHERS)
def test_others_keep_the_layers_kernel(
    more: dict[str, Any], model_file: Callable[..., Path]
) -> None:
    """Longer sequences, and steps that are not plain."""
    source = load_model(model_file(one_step("LSTM", **more)))
    assert [node.op_type for node in source.nodes] == ["LSTM"]
    assert all(verdict.supported for verdict in import_all(source))


def test_constant_states_keep_the_layers_kernel(model_file: Callable[..., Path]) -> None:
    """A step of a layer that begins anew is what the kernel does."""
    model = one_step("GRU")
    del model.graph.input[1:]
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, UNITS), np.float32), "h"))
    source = load_model(model_file(model))
    assert [node.op_type for node in source.nodes] == ["GRU"]
