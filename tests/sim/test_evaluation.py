# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What splitting costs, from the bundle alone: rules E1 to E3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.pipeline import Compiled, Options, compile_model
from midwire.hw.errors import DataError
from midwire.sim import cli
from midwire.sim.evaluation import LAYER_SAMPLES, evaluate

from ..classical import ml_model, ml_node, with_maps, zipped
from ..small import without_rtl

Array = np.ndarray[Any, Any]

SEED = 71

NET = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 2, 4, 4] x) => (float[N, 3] y)
<float[3, 2, 3, 3] w = {W}, float[3, 3] m = {1, -2, 3, 0, 1, 2, 0.5, 0.25, -1},
 int64 along = {2}, int64 last = {1}>
{ e = CumSum (x, along)
  a = Conv <pads = [1, 1, 1, 1]> (e, w)
  b = Relu (a)
  c = Conv <pads = [1, 1, 1, 1]> (b, v)
  d = Add (c, b)
  p = GlobalAveragePool (d)
  q = Flatten (p)
  z = MatMul (q, m)
  y = CumSum (z, last) }
""".replace("{W}", "{" + ", ".join(["0.5", "-1", "0.25"] * 18) + "}")


@pytest.fixture(autouse=True)
def no_rtl() -> Iterator[None]:
    """:func:`without_rtl`: no hardware is looked at."""
    with without_rtl():
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(40, 1, 2, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "in.npz", in0=x, label=rng.integers(0, 3, 40))
    return tmp_path / "in.npz"


def compiled(data: Path, **options: Any) -> Compiled:
    model = onnx.parser.parse_model(NET)
    values = np.random.default_rng(SEED).normal(0, 0.4, (3, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "v"))
    path = data.parent / "net.onnx"
    onnx.save(model, path)
    chosen = Options(calibrate=data, hold_out=0, max_drop=100, **options)
    return compile_model(path, data.parent / "b", chosen)


@pytest.mark.parametrize("cut", [{}, {"from_": "b", "to": "p"}, {"to": "q"}])
@pytest.mark.parametrize("bits", [4, 12])
def test_the_figures_of_the_compiler(data: Path, cut: dict[str, str], bits: int) -> None:
    """The same samples, once from the model and once from the bundle's parts alone."""
    done = compiled(data, bits=bits, **cut)
    found = evaluate(done.bundle, data)
    assert done.accuracy is not None and found.accuracy.samples == 40
    assert found.accuracy.relative_error == pytest.approx(done.accuracy.relative_error, rel=1e-3)
    assert found.accuracy.top1_float == done.accuracy.top1_float
    assert found.accuracy.top1_split == done.accuracy.top1_split
    assert found.layer_samples == LAYER_SAMPLES


def test_shares_add_up(data: Path) -> None:
    """E2."""
    found = evaluate(compiled(data, from_="e", to="z").bundle, data)
    assert [layer.tensor for layer in found.layers] == ["", "b", "c", "d", "p", "z"]
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)
    assert all(layer.sqnr.db is not None for layer in found.layers[1:])


def test_a_narrow_layer_has_the_largest_share(data: Path) -> None:
    for layer in ("b", "c", "p"):
        found = evaluate(compiled(data, bits=f"12,{layer}=3", to="z").bundle, data)
        assert max(found.layers, key=lambda each: each.share).tensor == layer


def test_the_command(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = compiled(data).bundle
    cli.evaluate(bundle.root, data, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert {"top1_float", "top1_split", "top1_drop_points", "relative_error", "layers"} <= set(
        found
    )
    assert set(found["layers"][1]) == {"name", "tensor", "sqnr_db", "sqnr", "share"}
    cli.evaluate(bundle.root, data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("40 samples: relative error ") and " % float, same class" in lines[0]
    assert len(lines) == 1 + len(found["layers"])


def test_samples_that_do_not_fit(data: Path) -> None:
    bundle = compiled(data).bundle
    wrong = data.parent / "wrong.npz"
    np.savez(wrong, in0=np.zeros((4, 1, 2, 4, 5), np.float32))
    with pytest.raises(DataError) as caught:
        evaluate(bundle, wrong)
    assert str(caught.value) == (
        f"{wrong}: input data does not fit the model; expected in0 (or 'x') [N, 1, 2, 4, 4]; "
        "found in0 [4, 1, 2, 4, 5]. The first axis counts samples; each keeps the model's own "
        "batch axis."
    )
    np.savez(wrong, in0=np.zeros((4, 1, 2, 4, 4), np.float32), label=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="labels that do not fit the samples"):
        evaluate(bundle, wrong)


def _classical(folder: Path, model: onnx.ModelProto) -> tuple[Compiled, Path]:
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(40, 1, 4)).astype(np.float32)
    np.savez(folder / "in.npz", in0=x, label=rng.integers(0, 3, 40))
    onnx.save(model, folder / "net.onnx")
    options = Options(calibrate=folder / "in.npz", max_drop=100, bits=5)
    return compile_model(folder / "net.onnx", folder / "b", options), folder / "in.npz"


@pytest.mark.parametrize("form", ["text", "maps"])
def test_outputs_that_are_no_amounts(tmp_path: Path, form: str) -> None:
    """Labels as text or numbers and maps of scores, as scikit-learn's converters write them."""
    weights = np.random.default_rng(SEED).normal(size=(3, 4))
    names: dict[str, Any] = {"classlabels_ints": [0, 1, 2]}
    if form == "text":
        names = {"classlabels_strings": ["a", "b", "c"]}
    node = ml_node(
        "LinearClassifier",
        ["X"],
        ["label_text", "p"] if form == "text" else ["l", "p"],
        coefficients=weights,
        intercepts=[0.0, 0.1, 0.2],
        **names,
    )
    if form == "text":
        model = ml_model([node], 4, ["label_text", "p"])
    else:
        model = with_maps(ml_model(zipped(node, 3), 4, ["label"]))
    done, data = _classical(tmp_path, model)
    found = evaluate(done.bundle, data)
    assert (found.accuracy.relative_error is None) == (form == "maps")
    assert found.accuracy.agreement is not None and found.accuracy.agreement > 0.5
    assert found.accuracy.top1_float is not None
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)


def test_layers_behind_a_node_of_another_domain(tmp_path: Path) -> None:
    """Their types are the bundle's: ONNX infers none there."""
    tree = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [1, 0, 0],
        "nodes_values": [0.1, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [0.3, 0.7],
        "n_targets": 1,
    }
    square = onnx.helper.make_node("Mul", ["q", "q"], ["p"], "square")
    model = ml_model([ml_node("TreeEnsembleRegressor", ["X"], ["q"], **tree), square], 4, ["p"])
    rng = np.random.default_rng(SEED)
    np.savez(tmp_path / "in.npz", in0=rng.normal(size=(40, 1, 4)).astype(np.float32))
    onnx.save(model, tmp_path / "net.onnx")
    options = Options(calibrate=tmp_path / "in.npz", to="p")
    bundle = compile_model(tmp_path / "net.onnx", tmp_path / "b", options).bundle
    found = evaluate(bundle, tmp_path / "in.npz")
    assert [layer.tensor for layer in found.layers] == ["", "q", "p"]
