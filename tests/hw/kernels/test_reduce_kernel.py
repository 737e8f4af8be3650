# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reductions as numbers: K1, K2, V1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.reduce import MODES, ReduceKernel
from midwire.hw.numeric import IntType

INT8, UINT8 = IntType(8, True), IntType(8, False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("x", [INT8, UINT8], ids=str)
def test_onnx(mode: str, x: IntType, agree: Any) -> None:
    rng = np.random.default_rng(21)
    zero = -7 if mode == "squares" else 0
    kernel = ReduceKernel(x, 2, 5, 6, mode, zero, 3)
    streams = rng.integers(x.lo, x.hi + 1, (4, 60))
    streams[0], streams[1] = x.lo, x.hi
    agree(kernel, [streams])


def test_ranges() -> None:
    assert ReduceKernel(INT8, 1, 10, 1, "sum").ranges == ((((-1280, 1270),),),)
    assert ReduceKernel(INT8, 1, 10, 1, "min").ranges == ((((-128, 127),),),)
    assert ReduceKernel(INT8, 1, 10, 1, "squares", 100).ranges == ((((0, 519840),),),)


def test_lanes_on_offer() -> None:
    """Results at a time; where there is one, elements of it."""
    for kernel, wanted in (
        (ReduceKernel(INT8, 2, 4, 6, "sum", 0, 6), {(1, 1), (2, 2), (3, 3), (6, 6)}),
        (ReduceKernel(INT8, 6, 4, 1, "sum", 0, 6), {(1, 1), (1, 2), (1, 4)}),
    ):
        offered = kernel.implementations([Direct(6, *kernel.span)], [IntType(11, True)])
        assert {each.parallelism for each in offered} == wanted
        assert all(each.cycles * each.lanes == kernel.elements for each in offered)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"^mode must be one of sum, squares, max, min, not 'me"):
        ReduceKernel(INT8, 1, 1, 1, "mean")
    with pytest.raises(ValueError, match=r"^outer, count, inner and channels must be at least 1"):
        ReduceKernel(INT8, 1, 0, 1, "sum")
    with pytest.raises(ValueError, match=r"^6 results are not a multiple of 4 channels$"):
        ReduceKernel(INT8, 2, 5, 3, "sum", 0, 4)
    with pytest.raises(ValueError, match=r"^zero must be 0 for the mode sum, not 3$"):
        ReduceKernel(INT8, 2, 5, 3, "sum", 3)
    with pytest.raises(WidthError):
        ReduceKernel(IntType(32, False), 1, 1 << 22, 1, "sum")
