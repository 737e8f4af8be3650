# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision trees, without hardware."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.tree_ensemble import MUX_LEVELS, TreeEnsembleKernel
from midwire.hw.numeric import IntType

from ..trees import by_definition, random_trees

INT8, UINT4 = IntType(8, True), IntType(4, False)
SEED = 20266


@pytest.mark.parametrize("nodes", [[0], [1], [5], [0, 3, 7], [15] * 6], ids=str)
def test_numpy_and_onnx(nodes: list[int], agree: Any) -> None:
    """K1, K2, E1; a tree may be one leaf."""
    rng = np.random.default_rng([SEED, len(nodes)])
    for x, outputs in ((INT8, 1), (UINT4, 3)):
        kernel = random_trees(rng, x, 4, nodes, outputs)
        streams = rng.integers(x.lo, x.hi + 1, (20, 4))
        ((got,),) = kernel.run(streams)
        np.testing.assert_array_equal(got[:, 0], by_definition(kernel, streams))
        agree(kernel, [streams])


def kernel_of(**changes: Any) -> TreeEnsembleKernel:
    """A tree of two nodes and three leaves."""
    fields: dict[str, Any] = {
        "feature": [0, 1],
        "threshold": [3, 4],
        "true": [1, -2],
        "false": [-1, -3],
        "roots": [0],
        "values": [[1], [2], [3]],
    }
    arrays = {name: np.array(v, np.int64) for name, v in {**fields, **changes}.items()}
    return TreeEnsembleKernel(INT8, 2, **arrays)


def test_hardware_as_data() -> None:
    """E2: equal comparisons once, equal rows of a tree once, widths of numbers, registers."""
    kernel = kernel_of(
        feature=[0, 0, 0, 0],
        threshold=[3, 5, 3, 5],
        true=[1, -1, 3, -4],
        false=[-2, -3, -5, -6],
        roots=[0, 2],
        values=[[1, 0], [2, 0], [1, 0], [4, 4], [5, 5], [6, 6]],
    )
    assert (kernel.depth, kernel.output_ranges) == (2, ((5, 8), (4, 6)))
    (built,) = kernel.implementations([Direct(2, 4, 8)], [INT8])
    assert built.trees.comparisons == ((0, 3), (0, 5))
    assert built.trees.rows == (((1, 0), (2, 0)), ((4, 4), (5, 5), (6, 6)))
    assert built.trees.widths == (1, 1, 2, 2)
    assert (built.trees.stage, built.strategy, built.cycles) == (0, "unrolled", 1)
    assert (built.sum_delay, built.latency) == (3, 4)


def test_registers_in_a_deep_tree() -> None:
    count = 2 * MUX_LEVELS + 1
    ways = np.arange(1, count + 1)
    ways[-1] = -1 - count
    kernel = kernel_of(
        feature=[0] * count,
        threshold=np.arange(count),
        true=-1 - np.arange(count),
        false=ways,
        values=np.arange(count + 1)[:, None],
    )
    (built,) = kernel.implementations([Direct(1, 0, count)], [INT8])
    assert (kernel.depth, built.trees.stage) == (count, 2)
    assert built.trees.stages == (2, *[1] * MUX_LEVELS, *[0] * MUX_LEVELS)
    assert built.cost.registers > count


@pytest.mark.parametrize(
    "changes",
    [{"true": [0, -2]}, {"false": [-2, -3]}, {"roots": [1]}, {"true": [-4, -2]}, {"true": [5, -2]}],
)
def test_what_is_no_tree(changes: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError,
        match=r"^each node and leaf must have one way to it, from a node before \(E1\)$",
    ):
        kernel_of(**changes)


def test_other_parameters() -> None:
    with pytest.raises(ValueError, match=r"^nodes must compare one of 2 features \(E1\)$"):
        kernel_of(feature=[0, 2])
    with pytest.raises(ValueError, match=r"^trees need columns of one length, a matrix of values"):
        kernel_of(threshold=[1])
    with pytest.raises(WidthError, match=r"^sums of 1 terms lie between 1 and 9007199254740992, "):
        kernel_of(values=[[1], [2], [1 << 53]])
