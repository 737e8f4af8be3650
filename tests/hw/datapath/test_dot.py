# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.dot import DotKernel
from midwire.hw.numeric import IntType

INT8, UINT8, UINT4 = IntType(8, True), IntType(8, False), IntType(4, False)


@pytest.mark.parametrize(
    ("kernel", "parallelism"),
    [
        (DotKernel((INT8, INT8), (0, 0), 6, 12), (1, 4)),
        (DotKernel((INT8, UINT4), (-3, 5), 6, 12, 3, 3), (1, 12)),
        (DotKernel((UINT8, INT8), (128, 7), 5, 9), (1, 1)),
        (DotKernel((UINT8, INT8), (128, 7), 12, 1, 6, 6), (3, 1)),
        (DotKernel((UINT8, UINT8), (128, 255), 8, 3, 4), (2, 3)),
    ],
    ids=["folded", "step", "element", "product", "groups"],
)
def test_dot(kernel: DotKernel, parallelism: Any, exercise: Any, requantiser: Any) -> None:
    """P1, P2, T9, S1 to S4."""
    rng = np.random.default_rng(41)
    finisher = requantiser(rng, kernel.channels, [kernel.sums], (8, True))
    (built,) = (
        each
        for each in kernel.implementations([finisher], [INT8])
        if each.parallelism == parallelism
    )
    streams = [rng.integers(x.lo, x.hi + 1, (5, kernel.macs)) for x in kernel.xs]
    exercise(kernel, built, [finisher], streams)


def test_sums_as_they_are(exercise: Any) -> None:
    """All at the ends of the types: accumulators are as wide as they must be."""
    kernel = DotKernel((INT8, INT8), (127, -128), 2, 8)
    finisher, out = Direct(1, *kernel.sums), IntType(20, True)
    built = kernel.implementations([finisher], [out])[1]
    ends = np.array([[-128, 127], [-128, 127]])
    exercise(
        kernel, built, [finisher], [np.repeat(ends, 8, axis=1), np.repeat(-1 - ends, 8, axis=1)]
    )
