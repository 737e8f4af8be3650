# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision trees: both ways to write them, grids of features and leaves, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops._pruned import pruned
from midwire.compiler.ops._trees import MOST_DEPTH, MOST_NODES, Forest, read_forest
from midwire.compiler.ops.base import Case, Unsupported
from midwire.compiler.ops.tree_ensemble import TreeEnsemble, on_grid
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.tree_ensemble import TreeEnsembleKernel
from midwire.hw.numeric import QType

from ...classical import ml_model, ml_node

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

SEED = 20268

CASES = {case.name: case for case in TreeEnsemble.cases()}


def attributes_of(case: Case) -> dict[str, Any]:
    found = {a.name: onnx.helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute}
    found["nodes_modes"] = [mode.decode() for mode in found["nodes_modes"]]
    return found


def kernel_of(forest: Forest, grid: QType, features: int) -> TreeEnsembleKernel:
    """Unpruned values, pruned nodes."""
    values = np.rint(forest.values * 16).astype(np.int64)
    left = pruned(forest, on_grid(forest, grid), values, grid.lo, grid.hi)
    return TreeEnsembleKernel(grid.integers, features, *left)


def walk(forest: Forest, x: Array) -> Array:
    """The definition, on reals that float64 holds: 16 times the sums."""
    total = np.zeros((len(x), forest.values.shape[1]))
    for row, vector in zip(total, x, strict=True):
        for root in forest.roots.tolist():
            at = root
            while at >= 0:
                value, limit = vector[forest.feature[at]], forest.threshold[at]
                goes = value < limit if forest.strict[at] else value <= limit
                at = int(forest.true[at] if goes else forest.false[at])
            row += forest.values[-1 - at]
    return total * 16


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("name", CASES)
def test_every_vector_of_a_grid(name: str, bits: int) -> None:
    """Thresholds and pruning are exact, on thresholds that lie on the grid too."""
    forest = read_forest(attributes_of(CASES[name]))
    coarse = replace(forest, threshold=np.rint(forest.threshold * 4) / 4)
    rng = np.random.default_rng(SEED)
    for each in (forest, coarse):
        grid = QType(bits, True, 0.25 if bits < 8 else 0.0078125, -1 if bits > 1 else 0)
        q = rng.integers(grid.lo, grid.hi + 1, (200, 4))
        kernel = kernel_of(each, grid, 4)
        ((got,),) = kernel.run(q)
        np.testing.assert_array_equal(got[:, 0], walk(each, (q - grid.zero_point) * grid.scale))
        pairs = list(zip(kernel.feature.tolist(), kernel.threshold.tolist(), strict=True))
        assert all(grid.lo <= threshold < grid.hi for _, threshold in pairs)


def chain(thresholds: list[float], values: list[float], mode: str = "BRANCH_LEQ") -> dict[str, Any]:
    """A tree of one feature: node k asks for threshold k, and leads on where that is exceeded."""
    count = len(thresholds)
    ids = list(range(2 * count + 1))
    return {
        "n_targets": 1,
        "nodes_treeids": [0] * len(ids),
        "nodes_nodeids": ids,
        "nodes_featureids": [0] * len(ids),
        "nodes_values": [*thresholds, *[0.0] * (count + 1)],
        "nodes_modes": [mode] * count + ["LEAF"] * (count + 1),
        "nodes_truenodeids": [count + k for k in range(count)] + [0] * (count + 1),
        "nodes_falsenodeids": [*range(1, count), 2 * count, *[0] * (count + 1)],
        "target_treeids": [0] * (count + 1),
        "target_nodeids": ids[count:],
        "target_ids": [0] * (count + 1),
        "target_weights": values,
    }


def test_what_is_pruned() -> None:
    """Beyond the type, asked before, and ways that end alike; infinite thresholds."""
    grid = QType(4, False, 1.0)
    limits = [-1.0, 3.0, 2.5, 9.0, 20.0, float("inf")]
    forest = read_forest(chain(limits, [1, 2, 3, 4, 4, 5, 6]))
    kernel = kernel_of(forest, grid, 1)
    assert (kernel.feature.tolist(), kernel.threshold.tolist()) == ([0], [3])
    assert kernel.values.ravel().tolist() == [2 * 16, 4 * 16]
    constant = kernel_of(read_forest(chain([-5.0], [1, 2])), grid, 1)
    assert (constant.roots.tolist(), constant.values.tolist()) == ([-1], [[32]])


def test_units_of_leaves() -> None:
    """Their own where that is coarse enough, else one that moves no sum by a quarter step."""
    exact = TreeEnsemble(read_forest(chain([0.0], [0.5, 0.75])), (Fraction(0),))
    assert exact.quantise_weights(8).unit == Fraction(1, 4)  # type: ignore[attr-defined]
    thirds = TreeEnsemble(read_forest(chain([0.0], [1 / 3, 2 / 3])), (Fraction(0),))
    for bits in (4, 8, 12):
        unit = thirds.quantise_weights(bits).unit  # type: ignore[attr-defined]
        assert Fraction(1, 3 * 2 ** (bits + 2)) < unit / 2 * 2 <= Fraction(1, 3 * 2 ** (bits + 1))


def splits(case: Case) -> dict[str, Any]:
    """The trees of a case as TreeEnsemble of version 5 has them."""
    forest = read_forest(attributes_of(case))
    modes = ["BRANCH_LEQ", "BRANCH_LT"]
    targets = forest.values.shape[1]
    assert targets == 1
    ways = {
        side: (forest.true if side == "true" else forest.false).tolist()
        for side in ("true", "false")
    }
    return {
        "n_targets": 1,
        "tree_roots": forest.roots.tolist(),
        "nodes_featureids": forest.feature.tolist(),
        "nodes_splits": numpy_helper.from_array(forest.threshold.astype(np.float32)),
        "nodes_modes": numpy_helper.from_array(
            np.array([modes.index("BRANCH_LT") if s else 0 for s in forest.strict], np.uint8)
        ),
        **{
            f"nodes_{side}nodeids": [way if way >= 0 else -1 - way for way in own]
            for side, own in ways.items()
        },
        **{f"nodes_{side}leafs": [int(way < 0) for way in own] for side, own in ways.items()},
        "leaf_targetids": [0] * len(forest.values),
        "leaf_weights": numpy_helper.from_array(forest.values.ravel().astype(np.float32)),
    }


def test_version_5(model_file: ModelFile) -> None:
    """ONNX Runtime says that both mean the same, and so do the import rules."""
    new = ml_node("TreeEnsemble", ["X"], ["Y"], **splits(CASES["tree"]))
    model = ml_model([new], 4, ["Y"], version=5)
    x = np.random.default_rng(SEED).uniform(-1, 1, (50, 4)).astype(np.float32)
    (want,) = onnxruntime.InferenceSession(CASES["tree"].model.SerializeToString()).run(
        None, {"x0": x[:1]}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    np.testing.assert_array_equal(session.run(None, {"X": x[:1]})[0], want)
    (verdict,) = import_all(load_model(model_file(model)))
    assert verdict.supported, verdict.reason
    (piece,) = verdict.pieces
    assert isinstance(piece.op, TreeEnsemble)
    old = read_forest(attributes_of(CASES["tree"]))
    np.testing.assert_array_equal(walk(piece.op.forest, x), walk(old, x))


NO_MODE = (
    "expected the modes BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT and LEAF, found BRANCH_EQ"
)
NO_COLUMN = "expected a mode and a value for each node, found 3 nodes, 1 modes and 3 values"

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"nodes_modes": ["BRANCH_EQ", "LEAF", "LEAF"]}, NO_MODE),
    ({"nodes_values": [float("nan"), 0, 0]}, "expected numbers as nodes_values, found NaN"),
    ({"target_weights": [1.0, float("inf")]}, "expected finite target_weights, found infinity"),
    ({"nodes_modes": ["LEAF"]}, NO_COLUMN),
    ({"nodes_truenodeids": [0, 0, 0]}, "expected every node behind a root, found 2 that are not"),
    ({"nodes_falsenodeids": [1, 0, 0]}, "expected one root in each of 1 trees, found 2"),
    ({"nodes_falsenodeids": [7, 0, 0]}, "expected one root in each of 1 trees, found 2"),
    ({"target_nodeids": [0, 2]}, "expected target weights in leaves, found some elsewhere"),
    ({"target_ids": [0, 1]}, "expected targets from 0 to 0, found 0 to 1"),
    ({"n_targets": 1 << 40}, "expected 1 to 1398101 targets, found 1099511627776"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSALS)
def test_what_is_no_forest(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Unsupported) as caught:
        read_forest({**chain([0.5], [1.0, 2.0]), **changes})
    assert str(caught.value) == sentence


def test_too_many_nodes() -> None:
    for count, sentence in (
        (MOST_NODES + 1, "expected at most 16384 nodes that compare, found 16385"),
        (MOST_DEPTH + 1, "expected at most 256 comparisons on the way to a leaf, found more"),
    ):
        with pytest.raises(Unsupported) as caught:
            read_forest(chain([float(k) for k in range(count)], [0.0] * (count + 1)))
        assert str(caught.value) == sentence
    read_forest(chain([float(k) for k in range(MOST_DEPTH)], [0.0] * (MOST_DEPTH + 1)))


@pytest.mark.parametrize(
    ("options", "features", "sentence"),
    [
        (
            {"aggregate_function": "MAX"},
            1,
            "expected the aggregate function SUM or AVERAGE, found MAX",
        ),
        ({"base_values": [1.0, 2.0]}, 1, "expected 1 base values, found 2"),
        (
            {"nodes_featureids": [3, 0, 0]},
            2,
            "expected an input of one sample and 4 features or more, found [1, 2]",
        ),
    ],
)
def test_what_is_refused(
    model_file: ModelFile, options: dict[str, Any], features: int, sentence: str
) -> None:
    node = ml_node("TreeEnsembleRegressor", ["X"], ["Y"], **{**chain([0.5], [1.0, 2.0]), **options})
    (verdict,) = import_all(load_model(model_file(ml_model([node], features, ["Y"]))))
    assert verdict.reason == sentence
