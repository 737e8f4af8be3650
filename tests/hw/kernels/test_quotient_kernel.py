# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quotients of two streams: rule N19."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.quotient import QuotientKernel
from midwire.hw.numeric import IntType

INT4, INT8, UINT8 = IntType(4, True), IntType(8, True), IntType(8, False)


@pytest.mark.parametrize(
    "kernel",
    [
        QuotientKernel((INT8, UINT8), (-3, 200), 12, 6, 6, 9),
        QuotientKernel((UINT8, UINT8), (0, 0), 12, 12, 1, 0),
        QuotientKernel((IntType(16, True), IntType(16, False)), (-32768, 5), 10, 5, 1, 30),
    ],
)
def test_onnx(kernel: QuotientKernel, agree: Any) -> None:
    """K1, K2: at random, then all at either end, zeros of the divisor among them."""
    rng = np.random.default_rng(29)
    streams = []
    for x, zero in zip(kernel.xs, kernel.zeros, strict=True):
        found = rng.integers(x.lo, x.hi + 1, (4, kernel.elements))
        found[1], found[2], found[3, :3] = x.lo, x.hi, zero
        streams.append(found)
    agree(kernel, streams)


def test_every_pair() -> None:
    """N19 by its text, ties and both signs among all pairs."""
    a, b = (v.ravel() for v in np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)))
    ((got,),) = QuotientKernel((INT4, INT4), (1, -2), a.size, 1, 1, 1).run(a[None], b[None])
    wanted = [
        round(Fraction(2 * (c - 1) * (-1 if d < -2 else 1), max(1, abs(d + 2))))
        for c, d in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert got.ravel().tolist() == wanted
    low, high = QuotientKernel((INT4, INT4), (1, -2), 1, 1, 1, 1).ranges[0][0][0]
    assert (min(wanted), max(wanted)) == (low, high)


def test_lanes_divide_the_innermost_axis() -> None:
    kernel = QuotientKernel((UINT8, UINT8), (0, 0), 12, 6, 6, 4)
    ends = kernel.ranges[0][0][0]
    offered = kernel.implementations([Direct(6, *ends)], [IntType(12, False)])
    assert {p.unit.lanes: p.cycles for p in offered} == {1: 12, 2: 6, 3: 4, 6: 2}


def test_refusals() -> None:
    with pytest.raises(ValueError, match="elements must be a multiple of inner"):
        QuotientKernel((INT8, INT8), (0, 0), 5, 2, 1, 4)
    with pytest.raises(ValueError, match="channels must be 1 or 4, not 2"):
        QuotientKernel((INT8, INT8), (0, 0), 8, 4, 2, 4)
    with pytest.raises(WidthError, match="to 44 fractional bits need more than 51 bits"):
        QuotientKernel((INT8, INT8), (0, 0), 8, 4, 4, 44)
