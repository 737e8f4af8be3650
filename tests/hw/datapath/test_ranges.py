# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of ranges, and what the components refuse alike."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Shape

from midwire.hw.datapath.ranges import check_channels, check_fold, ends_of, shape_of
from midwire.hw.numeric import Requantiser


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


def test_what_is_refused_says_what_to_choose() -> None:
    with pytest.raises(ValueError) as caught:
        check_fold("channels_in", 6, "simd", 4)
    assert str(caught.value) == (
        "channels_in must be a multiple of simd, but 6 is not one of 4; choose simd that divides it"
    )
    none = np.zeros(3, np.int64)
    three = Requantiser(none[:, None], none, 0, 0, 0, none, none)
    with pytest.raises(ValueError) as caught:
        check_channels("the pool", three, 4)
    assert str(caught.value) == "the requantiser has parameters for 3 channels, the pool has 4"
