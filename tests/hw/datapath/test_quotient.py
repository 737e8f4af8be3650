# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.quotient import QuotientKernel
from midwire.hw.numeric import IntType

INT8, UINT8, UINT4 = IntType(8, True), IntType(8, False), IntType(4, False)


@pytest.mark.parametrize(
    ("kernel", "lanes"),
    [
        (QuotientKernel((INT8, UINT8), (-3, 0), 12, 6, 6, 7), 1),
        (QuotientKernel((UINT8, INT8), (128, -7), 12, 6, 1, 4), 3),
        (QuotientKernel((UINT4, UINT4), (0, 15), 8, 4, 4, 1), 2),
    ],
    ids=["element", "lanes", "few bits"],
)
def test_quotients(kernel: QuotientKernel, lanes: int, exercise: Any, requantiser: Any) -> None:
    """N19, T5, S1 to S4."""
    rng = np.random.default_rng(43)
    finisher = requantiser(rng, kernel.channels, [kernel.ranges[0][0][0]], (8, True))
    (built,) = (
        each for each in kernel.implementations([finisher], [INT8]) if each.unit.lanes == lanes
    )
    streams = [rng.integers(x.lo, x.hi + 1, (5, kernel.elements)) for x in kernel.xs]
    exercise(kernel, built, [finisher], streams)


def test_quotients_as_they_are(exercise: Any) -> None:
    """At the ends of the types, and by 0."""
    kernel = QuotientKernel((INT8, INT8), (127, 0), 4, 4, 1, 3)
    finisher, out = Direct(1, *kernel.ranges[0][0][0]), IntType(12, True)
    built = kernel.implementations([finisher], [out])[1]
    a = np.array([[-128, 127, -128, -128], [126, -128, 0, 5]])
    b = np.array([[1, 0, 0, -1], [-128, 127, 2, -3]])
    exercise(kernel, built, [finisher], [a, b])
