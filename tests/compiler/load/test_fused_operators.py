# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.select.inspection import inspect_model

OURS = "com.microsoft"
Constants = dict[str, tuple[int, ...]]


def written(
    tmp_path: Path,
    kind: str,
    inputs: list[str],
    constants: Constants,
    shape: tuple[int, ...] = (1, 4, 6),
    *,
    domain: str = OURS,
    opset: int = 17,
    outputs: tuple[str, ...] = ("y",),
    **options: Any,
) -> Path:
    """A node between two operators, as ONNX Runtime's optimiser leaves it: no shapes of its own."""
    rng = np.random.default_rng(20263)
    arrays = {n: rng.normal(0, 1, s).astype(np.float32) for n, s in constants.items()}
    open_shape = [f"n{axis}" for axis in range(len(shape))]
    last = next(name for name in reversed(outputs) if name)
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "first"),
        helper.make_node(kind, inputs, list(outputs), "fused", domain=domain, **options),
        helper.make_node("Neg", [last], ["z"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "fused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, open_shape)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(OURS, 1)]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def check_meaning(path: Path, shape: tuple[int, ...] = (1, 4, 6)) -> None:
    """ONNX Runtime computes the same of both, and midwire takes every node."""
    x = np.random.default_rng(20264).normal(0, 1, shape).astype(np.float32)
    (want,), (got,) = (
        onnxruntime.InferenceSession(model).run(None, {"x": x})
        for model in (path.read_bytes(), load_model(path).model.SerializeToString())
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    report = inspect_model(path)
    refused = [(node["op"], node["reason"]) for node in report["nodes"] if not node["supported"]]
    assert refused == []
    assert len(report["nodes"]) == 3  # people are shown their own


@pytest.mark.parametrize(
    ("kind", "inputs", "constants", "options"),
    [
        ("Gelu", ["r"], {}, {}),
        ("BiasGelu", ["r", "b"], {"b": (6,)}, {}),
        ("FastGelu", ["r"], {}, {}),
        ("FastGelu", ["r", "b"], {"b": (6,)}, {}),
        ("QuickGelu", ["r"], {}, {"alpha": 1.0}),
        ("QuickGelu", ["r"], {}, {"alpha": 1.5}),
        ("SkipLayerNormalization", ["r", "x", "g", "b"], {"g": (6,), "b": (6,)}, {}),
        (
            "SkipLayerNormalization",
            ["r", "x", "g", "b", "c"],
            {"g": (6,), "b": (6,), "c": (6,)},
            {"epsilon": 1e-3},
        ),
        ("SkipSimplifiedLayerNormalization", ["r", "x", "g"], {"g": (6,)}, {"epsilon": 1e-3}),
        ("FusedMatMul", ["r", "w"], {"w": (6, 5)}, {"alpha": 0.25}),
        ("FusedMatMul", ["r", "w"], {"w": (5, 6)}, {"transB": 1}),
        ("FusedMatMul", ["r", "x"], {}, {"transB": 1, "alpha": 0.5}),
        (
            "FusedGemm",
            ["r", "w", "b"],
            {"w": (6, 5), "b": (5,)},
            {"activation": "LeakyRelu", "activation_alpha": 0.125},
        ),
        (
            "Attention",
            ["r", "w", "b"],
            {"w": (6, 18), "b": (18,)},
            {"num_heads": 2},
        ),
        ("MultiHeadAttention", ["r", "x", "r", "b"], {"b": (18,)}, {"num_heads": 3}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("opset", [14, 17, 20])
def test_fused_operators_mean_what_they_were_before(
    kind: str,
    inputs: list[str],
    constants: Constants,
    options: dict[str, Any],
    opset: int,
    tmp_path: Path,
) -> None:
    shape = (1, 6) if kind == "FusedGemm" else (1, 4, 6)
    path = written(tmp_path, kind, inputs, constants, shape, opset=opset, **options)
    check_meaning(path, shape)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", []),
        ("LeakyRelu", [0.125]),
        ("HardSigmoid", [0.25, 0.5]),
        ("Clip", [-0.5, 0.75]),
    ],
)
@pytest.mark.parametrize("added", [False, True])
def test_fused_convolutions(
    activation: str, parameters: list[float], added: bool, tmp_path: Path
) -> None:
    inputs = ["r", "w", "b", "x"] if added else ["r", "w", "b"]
    constants: Constants = {"w": (3, 3, 3, 3), "b": (3,)}
    shape = (1, 3, 5, 4)
    options: dict[str, Any] = {"activation_params": parameters} if parameters else {}
    path = written(
        tmp_path,
        "FusedConv",
        inputs,
        constants,
        shape,
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        activation=activation,
        **options,
    )
    check_meaning(path, shape)


@pytest.mark.parametrize("opset", [14, 17])
@pytest.mark.parametrize(
    ("kind", "inputs"),
    [("LayerNormalization", ["r", "g", "b"]), ("SimplifiedLayerNormalization", ["r", "g"])],
)
def test_norms_in_the_default_domain_of_any_opset(
    kind: str, inputs: list[str], opset: int, tmp_path: Path
) -> None:
    constants: Constants = dict.fromkeys(inputs[1:], (6,))
    path = written(tmp_path, kind, inputs, constants, domain="", opset=opset, axis=-1, epsilon=1e-3)
    check_meaning(path)


def test_a_skip_hands_on_its_sum(tmp_path: Path) -> None:
    constants: Constants = {"g": (6,), "b": (6,)}
    outputs = ("y", "", "", "sum")
    path = written(
        tmp_path, "SkipLayerNormalization", ["r", "x", "g", "b"], constants, outputs=outputs
    )
    x = np.random.default_rng(20265).normal(0, 1, (1, 4, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(load_model(path).model.SerializeToString())
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], -(np.maximum(x, 0) + x))


@pytest.mark.parametrize(
    ("kind", "inputs", "constants", "options", "reason"),
    [
        (
            "Attention",
            ["r", "w", "b", "m"],
            {"w": (6, 18), "b": (18,), "m": (1, 4)},
            {"num_heads": 2},
            "expected an Attention of all positions, found a mask or a past",
        ),
        (
            "Attention",
            ["r", "w", "b"],
            {"w": (6, 18), "b": (18,)},
            {"num_heads": 4},
            "expected heads that share 6 columns, found 4",
        ),
        (
            "FusedGemm",
            ["r", "w"],
            {"w": (6, 5)},
            {"activation": "Celu"},
            (
                "expected one of the activations HardSigmoid, LeakyRelu, Relu, Sigmoid, Tanh, "
                "Clip, found Celu"
            ),
        ),
    ],
    ids=["mask", "heads", "activation"],
)
def test_what_has_no_such_form_says_why(
    kind: str,
    inputs: list[str],
    constants: Constants,
    options: dict[str, Any],
    reason: str,
    tmp_path: Path,
) -> None:
    report = inspect_model(written(tmp_path, kind, inputs, constants, **options))
    assert [node["reason"] for node in report["nodes"] if node["name"] == "fused"] == [reason]
