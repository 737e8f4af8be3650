# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The most extreme few in RTL: V1, V2, Z1, Z2, S1 to S4, T11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.accumulators import RING
from midwire.hw.kernels.top import PARTS, TopKernel
from midwire.hw.numeric import IntType

INT3, UINT4 = IntType(3, True), IntType(4, False)


def exercised(kernel: TopKernel, lanes: int, exercise: Any) -> None:
    """A kernel that takes so many lanes; few values, so that many are equal."""
    rng = np.random.default_rng(34)
    finishers = [Direct(1, *span) for span in kernel.spans]
    outs = [IntType.holding(*span) for span in kernel.spans]
    offered = kernel.implementations(finishers, outs)
    (built,) = (each for each in offered if each.lanes == lanes)
    x = rng.integers(kernel.x.lo, kernel.x.hi + 1, (6, kernel.elements))
    x[0], x[1] = kernel.x.lo, kernel.x.hi
    exercise(kernel, built, finishers, [x])


@pytest.mark.parametrize(
    ("lanes", "largest", "latest"),
    [(1, True, False), (3, False, False), (3, True, True), (12, False, True)],
)
def test_vectors(lanes: int, largest: bool, latest: bool, exercise: Any) -> None:
    """One of elements side by side; a result each cycle with all of them."""
    exercised(TopKernel(INT3, 5, 12, 1, 1, PARTS, largest, latest), lanes, exercise)


@pytest.mark.parametrize("lanes", [1, 4])
def test_channels(lanes: int, exercise: Any) -> None:
    """8 accumulators in a memory, 2 in registers."""
    exercised(TopKernel(UINT4, 2, 6, 8, 1, ("places",)), lanes, exercise)


@pytest.mark.parametrize(("largest", "parts"), [(True, PARTS), (False, PARTS[:1])])
def test_several(largest: bool, parts: tuple[str, ...], exercise: Any) -> None:
    exercised(TopKernel(INT3, 3, 9, 1, 4, parts, largest), 1, exercise)


def test_several_of_several(exercise: Any) -> None:
    """In a memory: a result begins before its place was ever written."""
    exercised(TopKernel(UINT4, 2, 5, 2 * RING + 2, 3, PARTS), 2, exercise)


def test_all_of_them(exercise: Any) -> None:
    """As many as there are."""
    exercised(TopKernel(UINT4, 2, 5, 1, 5, PARTS), 1, exercise)
