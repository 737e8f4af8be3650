# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pools: K1 and K2, and what the kernel offers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.kernels import convolve
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel, pool_windows
from midwire.hw.numeric import IntType


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_pool(mode: str) -> None:
    geometry = Geometry((5, 4), (3, 2), (2, 1), (1, 2), (1, 1, 0, 2))
    x = np.random.default_rng(0).integers(-128, 128, (2, 5, 4, 3)).astype(np.int8)
    padded = np.pad(x.astype(int), ((0, 0), (1, 0), (1, 2), (0, 0)), constant_values=-9)
    wanted = np.zeros((2, *geometry.out_size, 3), dtype=np.int64)
    for n, oy, ox, c in np.ndindex(*wanted.shape):
        window = padded[n, 2 * oy : 2 * oy + 3, ox : ox + 3 : 2, c]
        wanted[n, oy, ox, c] = window.max() if mode == "max" else window.sum()
    got = pool_windows(x, geometry, mode, pad_value=-9)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_onnx_gives_the_same_accumulators(mode: str, agree: Any) -> None:
    """K1, K2; a padded maximum ignores the padding if that is the lowest integer."""
    geometry = Geometry((5, 4), (3, 2), (2, 1), pads=(1, 1, 0, 1))
    kernel = PoolKernel(geometry, 3, IntType(8, True), mode, -128)
    x = np.random.default_rng(1).integers(-128, 128, (3, 5 * 4 * 3))
    x[0], x[1] = -128, 127
    agree(kernel, [x])


BORDER = PoolKernel(
    Geometry((3, 4), (3, 3), pads=(1, 1, 1, 1)),
    2,
    IntType(8, True),
    "sum",
    7,
    -63,
    ((3, 2, 3), (3, 2, 2, 3)),
)


def test_an_average_that_leaves_padding_out(agree: Any) -> None:
    """Sums of fewer pixels count for more: mean times 36, without zero points."""
    x = np.random.default_rng(5).integers(-128, 128, (3, 24))
    x[0], x[1] = -128, 127
    agree(BORDER, [x])
    ((got,),) = BORDER.run(x)
    image = np.pad(x.reshape(3, 3, 4, 2).astype(float), [(0, 0), (1, 1), (1, 1), (0, 0)])
    inside = np.pad(np.ones((3, 4)), 1)
    for y, z in np.ndindex(3, 4):
        count = inside[y : y + 3, z : z + 3].sum()
        total = image[:, y : y + 3, z : z + 3].sum(axis=(1, 2))
        np.testing.assert_allclose(got[:, y, z] / 36, total / count - 7)
    (span,) = BORDER.ranges[0][0]
    assert span == (9 * (-128 * 9 - 63), 9 * (127 * 9 - 63))
    assert span[0] <= got.min() and got.max() <= span[1]


@pytest.mark.parametrize("x", [IntType(1, False), IntType(2, True), IntType(2, False)])
@pytest.mark.parametrize("kernel", [(9, 8), (2, 40), (80, 1)])
def test_a_window_of_more_taps_than_float32_counts(
    x: IntType, kernel: tuple[int, int], agree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integers that no digits make smaller; float32 is taken for less than it is, windows too."""
    monkeypatch.setattr(convolve, "_EXACT_FLOAT", 64)
    geometry = Geometry(
        (2 * kernel[0] + 1, kernel[1] + 5), kernel, (2, 3), (2, 1), pads=(1, 0, 2, 1)
    )
    values = np.random.default_rng(3).integers(x.lo, x.hi + 1, (3, geometry.pixels * 2))
    values[0], values[1] = x.lo, x.hi
    agree(PoolKernel(geometry, 2, x, "sum", x.hi), [values])


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3, 3, C\), not \(1, 2, 3, 1\)"):
        pool_windows(np.zeros((1, 2, 3, 1), dtype=int), Geometry((3, 3)), "max")
    with pytest.raises(ValueError, match=r"^mode must be 'max' or 'sum', not 'mean'$"):
        PoolKernel(Geometry((3, 3)), 1, IntType(8, True), "mean", 0)
    wide = Geometry((1, 1 << 22), (1, 1 << 22))
    with pytest.raises(WidthError, match=r"^sums of 4194304 terms lie between 0 and \d+, but must"):
        PoolKernel(wide, 1, IntType(32, False), "sum", 0)
    with pytest.raises(ValueError, match=r"^a maximum has no start and no factors$"):
        PoolKernel(Geometry((3, 3)), 1, IntType(8, True), "max", 0, 1)
    with pytest.raises(
        ValueError, match=r"^there must be factors for \(3, 3\) output pixels along"
    ):
        PoolKernel(Geometry((3, 3)), 1, IntType(8, True), "sum", 0, 0, ((1, 1), (1, 1, 1)))
