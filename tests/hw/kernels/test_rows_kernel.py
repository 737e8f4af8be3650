# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of a table, without hardware."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.finish.table import Table
from midwire.hw.kernels.rows import RowsKernel
from midwire.hw.numeric import IntType

INT6, UINT9 = IntType(6, True), IntType(9, False)
SEED = 20268


@pytest.mark.parametrize(
    "kernel",
    [
        RowsKernel(INT6, 7, 3, -1, 12, 12, 3),
        RowsKernel(INT6, 7, 3, -5, 12, 0, 1),
        RowsKernel(UINT9, 4, 1, 0, 256, 0, 1),
    ],
)
def test_rows(kernel: RowsKernel, agree: Any) -> None:
    """K1, K2, J1."""
    rng = np.random.default_rng(SEED)
    agree(kernel, [rng.integers(kernel.x.lo, kernel.x.hi + 1, (5, kernel.count))])


def test_negative_integers_count_from_the_end() -> None:
    """J1: and what no entry is there for reads the nearest one."""
    kernel = RowsKernel(INT6, 6, 2, -1, 10, 10, 2)
    ((got,),) = kernel.run(np.array([[-32, -11, -10, -1, 9, 31]]))
    assert got[0].tolist() == [[-1, -1], [-1, -1], [0, 0], [9, 9], [9, 9], [10, 10]]
    assert kernel.ranges == ((((-1, 10),), ((-1, 10),)),)
    assert kernel.uniform().ranges == ((((-1, 10),),),)


def test_a_beat_is_some_columns_of_a_row() -> None:
    """J2: any number of lanes where columns differ, those that divide a row where they do not."""
    table = Table(5, 0, np.arange(20).reshape(5, 4))
    kernel = RowsKernel(INT6, 7, 5, 0, 3, 0, 5)
    found = kernel.implementations([table], [IntType(5, False)])
    assert [(each.unit.lanes, each.cycles) for each in found] == [(1, 35), (2, 21), (3, 14), (5, 7)]
    assert [each.outputs[0].padded for each in found] == [False, True, True, False]
    alike = kernel.uniform().implementations([Direct(1, 0, 3)], [INT6])
    assert [each.unit.lanes for each in alike] == [1, 5]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((0, 2, 0, 1, 0, 2), "count and width must be at least 1 and wrap at least 0, not 0, 2"),
        ((1, 2, 0, 1, -1, 2), "count and width must be at least 1 and wrap at least 0, not 1, 2"),
        ((1, 2, 2, 1, 0, 2), "low must not exceed high, not 2 > 1"),
        ((1, 4, 0, 1, 0, 2), "channels must be 1 or 4, not 2"),
    ],
)
def test_what_is_no_table(values: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        RowsKernel(INT6, *values)
