# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision trees in RTL: exact under stalls, a vector every cycle, cycles as predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.numeric import IntType

from ..trees import random_trees

INT8 = IntType(8, True)
SEED = 20267

CASES: dict[str, tuple[IntType, int, list[int], int]] = {
    "a_tree": (INT8, 5, [7], 1),
    "leaves_only": (IntType(3, False), 2, [0, 0], 2),
    "some_leaves": (IntType(1, False), 3, [0, 4, 1], 2),
    "a_forest": (IntType(6, True), 4, [15, 9, 20, 1, 31], 3),
    "deep": (IntType(16, True), 2, [60], 1),
}


@pytest.mark.parametrize("name", CASES)
def test_exact(name: str, exercise: Any) -> None:
    """E1 to E3."""
    x, features, nodes, outputs = CASES[name]
    rng = np.random.default_rng([SEED, len(nodes), features])
    kernel = random_trees(rng, x, features, nodes, outputs)
    low = min(lo for lo, _ in kernel.output_ranges)
    high = max(hi for _, hi in kernel.output_ranges)
    finisher = Direct(outputs, low, high)
    (built,) = kernel.implementations([finisher], [IntType.holding(low, high)])
    streams = rng.integers(x.lo, x.hi + 1, (40, features))
    run = exercise(kernel, built, [finisher], [streams])
    assert run.latency == built.latency + 1


def test_finished(exercise: Any, requantiser: Any) -> None:
    """Each sum with a multiply-shift of its own."""
    rng = np.random.default_rng(SEED)
    kernel = random_trees(rng, INT8, 3, [10, 12], 2)
    finisher = requantiser(rng, 2, [(-100, 100)], (8, True))
    (built,) = kernel.implementations([finisher], [INT8])
    exercise(kernel, built, [finisher], [rng.integers(-128, 128, (30, 3))])


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(24))
def test_random(seed: int, exercise: Any) -> None:
    """Any number of trees, shapes, widths and outputs."""
    rng = np.random.default_rng([SEED, seed])
    print(f"seed {seed}")
    x = IntType(int(rng.integers(1, 17)), bool(rng.integers(2)))
    features, outputs = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    nodes = [int(n) for n in rng.integers(0, 40, rng.integers(1, 12))]
    kernel = random_trees(rng, x, features, nodes, outputs, int(rng.choice([1, 50, 30_000])))
    low = min(lo for lo, _ in kernel.output_ranges)
    high = max(hi for _, hi in kernel.output_ranges)
    finisher = Direct(outputs, low, high)
    (built,) = kernel.implementations([finisher], [IntType.holding(low, high)])
    exercise(kernel, built, [finisher], [rng.integers(x.lo, x.hi + 1, (40, features))])
