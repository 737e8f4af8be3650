# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of ranges and of types."""

from __future__ import annotations

import pytest
from amaranth.hdl import Shape

from midwire.hw.datapath.ranges import ends_of, shape_for, shape_of
from midwire.hw.numeric import IntType


@pytest.mark.parametrize(
    ("ends", "shape"),
    [
        ((0, 0), Shape(1)),
        ((0, 255), Shape(8)),
        ((-1, 0), Shape(1, True)),
        ((-128, 127), Shape(8, True)),
        ((-128, 128), Shape(9, True)),
    ],
)
def test_narrowest_shapes(ends: tuple[int, int], shape: Shape) -> None:
    assert shape_of(ends) == shape
    low, high = ends_of(shape)
    assert low <= ends[0] and ends[1] <= high


@pytest.mark.parametrize("bits", [1, 7, 63])
@pytest.mark.parametrize("signed", [True, False])
def test_shapes_of_types(bits: int, signed: bool) -> None:
    kind = IntType(bits, signed)
    assert ends_of(shape_for(kind)) == (kind.lo, kind.hi)
    assert shape_of((kind.lo, kind.hi)) == shape_for(kind) == Shape(bits, signed)
