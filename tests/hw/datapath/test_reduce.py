# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reductions in RTL: V1, V2, S1 to S4, T11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.kernels.accumulators import RING
from midwire.hw.kernels.reduce import MODES, ReduceKernel
from midwire.hw.numeric import IntType

INT8, UINT5 = IntType(8, True), IntType(5, False)


def exercised(kernel: ReduceKernel, lanes: int, exercise: Any, requantiser: Any) -> None:
    """A kernel with so many lanes."""
    rng = np.random.default_rng(22)
    finisher = requantiser(rng, kernel.channels, [kernel.span], (8, True))
    offered = kernel.implementations([finisher], [INT8])
    (built,) = (each for each in offered if each.lanes == lanes)
    x = rng.integers(kernel.x.lo, kernel.x.hi + 1, (6, kernel.elements))
    x[0], x[1] = kernel.x.lo, kernel.x.hi
    exercise(kernel, built, [finisher], [x])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [1, 2, 12])
def test_channels(mode: str, lanes: int, exercise: Any, requantiser: Any) -> None:
    """12 and 6 accumulators in a memory, 1 in registers."""
    zero = 5 if mode == "squares" else 0
    kernel = ReduceKernel(INT8, 2, 6, 12, mode, zero, 12)
    exercised(kernel, lanes, exercise, requantiser)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [1, 4, 12])
def test_vectors(mode: str, lanes: int, exercise: Any, requantiser: Any) -> None:
    """Elements of one result side by side; a result each cycle with all of them."""
    zero = 5 if mode == "squares" else 0
    exercised(ReduceKernel(UINT5, 5, 12, 1, mode, zero, 1), lanes, exercise, requantiser)


@pytest.mark.parametrize(("count", "inner"), [(1, 6), (7, 5), (3, RING + 1)])
def test_odd_sizes(count: int, inner: int, exercise: Any, requantiser: Any) -> None:
    """One element is its own sum; the fewest accumulators that are in a memory."""
    exercised(ReduceKernel(INT8, 3, count, inner, "sum", 0, inner), 1, exercise, requantiser)
