# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random decision trees as a kernel, and what they mean, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np

from midwire.hw.kernels.tree_ensemble import TreeEnsembleKernel
from midwire.hw.numeric import IntType


def random_trees(
    rng: np.random.Generator,
    x: IntType,
    features: int,
    nodes: list[int],
    outputs: int,
    peak: int = 50,
) -> TreeEnsembleKernel:
    """A tree for each number of inner nodes, of any shape; some rows are equal."""
    columns: list[list[int]] = [[], [], [], []]
    leaves = 0
    roots = []
    for count in nodes:
        first = len(columns[0])
        # Where each node hangs: any end that is open is replaced.
        ends: list[tuple[int, int]] = [(0, -1)]
        for _ in range(count):
            side, parent = ends.pop(int(rng.integers(len(ends))))
            index = len(columns[0])
            if parent >= 0:
                columns[side][parent] = index
            columns[0].append(int(rng.integers(features)))
            columns[1].append(int(rng.integers(x.lo, x.hi + 1)))
            columns[2].append(0)
            columns[3].append(0)
            ends += [(2, index), (3, index)]
        roots.append(first if count else -1 - leaves)
        for side, parent in ends:
            if parent >= 0:
                columns[side][parent] = -1 - leaves
            leaves += 1
    values = rng.integers(-peak, peak + 1, (leaves, outputs))
    values[rng.random(leaves) < 0.3] = values[0]
    feature, threshold, true, false = (np.array(c, np.int64) for c in columns)
    starts = np.array(roots, np.int64)
    return TreeEnsembleKernel(x, features, feature, threshold, true, false, starts, values)


def by_definition(kernel: TreeEnsembleKernel, x: Any) -> Any:
    """Rule E1, a vector, a tree and a node at a time; int64 (N, outputs)."""
    total = np.zeros((len(x), kernel.outputs), np.int64)
    for row, vector in zip(total, x, strict=True):
        for root in kernel.roots.tolist():
            at = root
            while at >= 0:
                goes = vector[kernel.feature[at]] <= kernel.threshold[at]
                at = int(kernel.true[at] if goes else kernel.false[at])
            row += kernel.values[-1 - at]
    return total
