# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GroupNormalization as torch exports it, and of opset 18."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import Unit, print_rewritten, rewrite
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]

SEED = 37

# scale, bias : of six channels; ones, zeros, twos : of three groups
CONSTANTS = """
int64[3] split = {0, 3, -1}, int64[4] whole = {1, 6, 2, 4}, int64[3] odd = {0, 4, -1},
float[3] ones = {1, 1, 1}, float[3] zeros = {0, 0, 0}, float[3] twos = {2, 1, -0.5},
float[6, 1, 1] scale = {0.5, -1, 2, 1, 0.25, 3}, float[1, 6, 1, 1] bias = {1, 0, -1, 2, 0.5, 0},
float[6] units = {1, 1, 1, 1, 1, 1}, float[6] none = {0, 0, 0, 0, 0, 0},
float[6] gains = {0.5, -1, 2, 1, 0.25, 3}, float[4] columns = {1, 2, 3, 4},
float[1] half = {0.5}
"""
TORCH = """
g = Reshape(x, split) n = InstanceNormalization<epsilon = 0.01>(g, ones, zeros)
s = Shape(x) b = Reshape(n, s)
"""
SPELLINGS = {
    "torch": f"{TORCH} m = Mul(b, scale) y = Add(m, bias)",
    "constants first": f"{TORCH} m = Mul(scale, b) y = Add(bias, m)",
    "no bias": f"{TORCH} y = Mul(b, scale)",
    "no scale": f"{TORCH} y = Add(b, bias)",
    "one number for all": f"{TORCH} m = Mul(b, half) y = Add(m, bias)",
    "neither": "g = Reshape(x, split) n = InstanceNormalization(g, ones, zeros)"
    " y = Reshape(n, whole)",
    "of the groups": "g = Reshape(x, split) n = InstanceNormalization(g, twos, ones)"
    " y = Reshape(n, whole)",
    "a scale of the groups": "g = Reshape(x, split) n = InstanceNormalization(g, twos, zeros)"
    " b = Reshape(n, whole) y = Add(b, bias)",
    "a group a channel": "n = InstanceNormalization(x, units, none) m = Mul(n, scale)"
    " y = Add(m, bias)",
    "a bias behind": "n = InstanceNormalization(x, gains, none) y = Add(n, bias)",
}


def model(body: str, shape: str = "6, 2, 4") -> str:
    """From ``x`` to ``y``, both of a shape behind the batch."""
    ends = (f"float[1, {shape}] {name}" for name in ("x", "y"))
    return f"g ({next(ends)}) => ({next(ends)}) <{CONSTANTS}> {{ {body} }}"


def units_of(path: Path) -> list[Unit]:
    found = rewrite(load_model(path))
    return [unit for unit in found.units if unit.operator == "GroupNormalization"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings(model_file: ModelFile, run_onnx: RunOnnx, name: str) -> None:
    """Each is one operator of all nodes, and computes the same but for float32's rounding."""
    source = load_model(model_file(model(SPELLINGS[name]), 18))
    found = rewrite(source)
    (unit,) = [unit for unit in found.units if unit.operator]
    assert (unit.operator, len(unit.nodes)) == ("GroupNormalization", 1)
    computed = [node for node in source.nodes if not source.is_constant_node(node)]
    assert [node.name for node in unit.sources] == [node.name for node in computed]
    (node,) = unit.nodes
    print(f"seed {SEED}")
    x = np.random.default_rng(SEED).normal(1, 2, (1, 6, 2, 4)).astype(np.float32)
    wanted = run_onnx(source.model, {"x": x})["y"]
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, x.shape)],
        [
            onnx.numpy_helper.from_array(found.source.initialisers[each], each)
            for each in node.input[1:]
        ],
    )
    imports = [onnx.helper.make_opsetid("", 21)]
    own = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
    np.testing.assert_allclose(run_onnx(own, {"x": x})["y"], wanted, rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"{TORCH} m = Mul(b, columns) y = Add(m, bias)", id="a scale of columns"),
        pytest.param(
            "g = Reshape(x, split) n = InstanceNormalization(g, twos, zeros) b = Reshape(n, whole)"
            " m = Mul(b, scale) y = Add(m, bias)",
            id="scales of groups and channels",
        ),
        pytest.param(
            "g = Reshape(x, split) n = InstanceNormalization(g, ones, twos) b = Reshape(n, whole)"
            " y = Add(b, bias)",
            id="biases of groups and channels",
        ),
    ],
)
def test_near_misses(model_file: ModelFile, body: str) -> None:
    """What has parameters behind the pattern that it has no place for keeps them as they are."""
    for unit in units_of(model_file(model(body), 18)):
        assert unit.sources[-1].op_type == "Reshape"


def test_groups_that_cut_through_channels(model_file: ModelFile) -> None:
    body = """g = Reshape(x, odd) n = InstanceNormalization(g, columns, columns)
    y = Reshape(n, whole)"""
    assert not units_of(model_file(model(body), 18))


GOLDEN = """\
GroupNormalization, spelled out in 5 nodes
  - g = Reshape(x, split)
  - n = InstanceNormalization<epsilon = 0.009999999776482582>(g, ones, zeros)
  - b = Reshape(n, s)
  - m = Mul(b, scale)
  - y = Add(m, bias)
  + y = GroupNormalization<epsilon = 0.009999999776482582, num_groups = 3>(x, y::scale, y::bias)
"""


def test_text_form(model_file: ModelFile) -> None:
    found = rewrite(load_model(model_file(model(SPELLINGS["torch"]), 18)))
    assert print_rewritten(found) == GOLDEN


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(SPELLINGS["torch"], id="torch"),
        pytest.param("y = GroupNormalization<num_groups = 3>(x, twos, ones)", id="opset 18"),
    ],
)
def test_it_is_compiled(model_file: ModelFile, tmp_path: Path, body: str) -> None:
    print(f"seed {SEED}")
    samples = np.random.default_rng(SEED).normal(0, 1, (64, 1, 6, 2, 4)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=samples)
    options = Options(["x"], ["y"], tmp_path / "samples.npz", 8, max_error=5)
    compiled = compile_model(model_file(model(body), 18), tmp_path / "bundle", options)
    assert compiled.worst is not None and compiled.worst.sqnr.level > 30
    assert verify(compiled.bundle, vectors=5, stall=0.4, seed=SEED).passed
