# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of a table in RTL: exact under stalls, a beat every cycle, cycles as predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.finish.table import Table
from midwire.hw.kernels.rows import RowsKernel
from midwire.hw.numeric import IntType

INT8, UINT8 = IntType(8, True), IntType(8, False)
SEED = 20268

CASES: dict[str, tuple[RowsKernel, int]] = {
    # What is written about a kernel: type, integers, columns, first and last entry, wrap, channels.
    "a_column_a_beat": (RowsKernel(IntType(4, False), 5, 4, 0, 15, 0, 4), 1),
    "a_row_a_beat": (RowsKernel(IntType(5, True), 6, 3, 0, 9, 10, 3), 3),
    "lanes_that_do_not_divide": (RowsKernel(INT8, 4, 5, -1, 20, 0, 5), 2),
    "zeros_around_a_wrap": (RowsKernel(IntType(6, True), 7, 4, -1, 12, 12, 4), 2),
    "alike": (RowsKernel(UINT8, 3, 6, 3, 17, 0, 1), 3),
    "one_column": (RowsKernel(IntType(3, True), 9, 1, 0, 3, 4, 1), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_exact(name: str, built: Any, exercise: Any) -> None:
    """J1 and J2: all integers of the type come, those beyond the ends among them."""
    kernel, lanes = CASES[name]
    rng = np.random.default_rng([SEED, lanes])
    entries = kernel.high - kernel.low + 1
    table = Table(kernel.channels, kernel.low, rng.integers(-128, 128, (kernel.channels, entries)))
    implementation = built(kernel, [table], [INT8], lanes, 1)
    streams = rng.integers(kernel.x.lo, kernel.x.hi + 1, (5, kernel.count))
    streams[0, :2] = kernel.x.lo, kernel.x.hi
    run = exercise(kernel, implementation, [table], [streams])
    # Counted from the beat with which the first integer is taken, the last one of its row.
    rest = (kernel.count - 1) * implementation.folds
    assert run.latency == rest + implementation.latency + 1


def test_integers_as_they_are(built: Any, exercise: Any) -> None:
    """A finisher that takes no cycle."""
    kernel = RowsKernel(IntType(4, True), 6, 4, -3, 5, 0, 1)
    implementation = built(kernel, [Direct(1, -3, 5)], [IntType(4, True)], 2, 1)
    assert implementation.latency == 1
    rng = np.random.default_rng(SEED)
    exercise(kernel, implementation, [Direct(1, -3, 5)], [rng.integers(-8, 8, (6, 6))])
