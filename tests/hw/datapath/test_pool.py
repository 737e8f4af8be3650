# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.numeric import IntType

CASES = [
    ("max", Geometry((4, 6), (2, 2), (2, 2)), 4, 2, (8, True), False, 0),
    ("max", Geometry((5, 5), (3, 3), (2, 2), pads=(1, 1, 1, 1)), 2, 1, (8, True), False, -128),
    ("max", Geometry((5, 4), (2, 3), pads=(0, 1, 1, 0)), 3, 3, (4, False), True, 0),
    ("sum", Geometry((3, 4), (3, 4)), 6, 2, (8, False), True, 0),
    ("sum", Geometry((6, 5), (2, 2), (1, 2), pads=(1, 0, 0, 1)), 2, 2, (8, True), False, 17),
    ("sum", Geometry((1, 9), (1, 3), (1, 3)), 1, 1, (16, True), True, 0),
    ("max", Geometry((3, 3)), 2, 1, (8, True), False, 0),
]

# The last beat of every pixel is not full.
PADDED = [
    ("max", Geometry((4, 5), (2, 2), (1, 2), pads=(0, 1, 0, 0)), 5, 3, (8, True), True, -128),
    ("sum", Geometry((3, 3), (2, 2)), 7, 2, (4, False), False, 0),
]


@pytest.mark.parametrize(
    ("mode", "geometry", "channels", "lanes", "kind", "requantised", "pad_value"), CASES + PADDED
)
def test_pool(
    mode: Any,
    geometry: Geometry,
    channels: int,
    lanes: int,
    kind: tuple[int, bool],
    requantised: bool,
    pad_value: int,
    built: Any,
    exercise: Any,
    requantiser: Any,
) -> None:
    rng = np.random.default_rng(2)
    x = IntType(*kind)
    kernel = PoolKernel(geometry, channels, x, mode, pad_value)
    count = geometry.taps if mode == "sum" else 1
    low, high = span = (x.lo * count, x.hi * count)
    assert kernel.ranges == (((span,),) * channels,)
    if requantised:
        finisher, out = requantiser(rng, channels, [span], kind), x
    else:
        finisher, out = Direct(channels, low, high), IntType.holding(low, high)
    implementation = built(kernel, [finisher], [out], lanes)
    assert implementation.outputs[0].padded == (channels % lanes != 0)
    images = rng.integers(x.lo, x.hi + 1, (5, *geometry.size, channels))
    exercise(kernel, implementation, [finisher], [images])


def test_no_result_type() -> None:
    """Without a finisher, the result is as wide as the sum."""
    kernel = PoolKernel(Geometry((2, 2), (2, 2)), 1, IntType(8, False), "sum", 0)
    assert IntType.holding(*kernel.ranges[0][0][0]) == IntType(10, False)
    with pytest.raises(
        ValueError, match=r"^accumulators from 0 to 1020 do not fit in IntType\(bits=8, signed=Fal"
    ):
        kernel.implementations([Direct(1, 0, 1020)], [IntType(8, False)])


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize(
    ("geometry", "factors"),
    [
        (Geometry((3, 4), (3, 3), pads=(1, 1, 1, 1)), ((3, 2, 3), (3, 2, 2, 3))),
        (Geometry((1, 5), (1, 1)), ((1,), (5, 1, 1, 1, 2))),
    ],
)
def test_factors_of_rows_and_columns(
    geometry: Geometry,
    factors: tuple[tuple[int, ...], ...],
    lanes: int,
    built: Any,
    exercise: Any,
    requantiser: Any,
) -> None:
    """Also where a pass is one cycle, so that the factor changes in every one."""
    rng = np.random.default_rng(6)
    kernel = PoolKernel(geometry, 4, IntType(8, True), "sum", 7, -40, factors)
    finisher = requantiser(rng, 4, [kernel.ranges[0][0][0]], (8, True))
    implementation = built(kernel, [finisher], [IntType(8, True)], lanes)
    images = rng.integers(-128, 128, (5, *geometry.size, 4))
    exercise(kernel, implementation, [finisher], [images])
