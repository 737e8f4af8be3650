# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Concatenation and splitting, without hardware."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.concat import ConcatKernel
from midwire.hw.kernels.split import SplitKernel
from midwire.hw.numeric import IntType

INT8, UINT16, INT3 = IntType(8, True), IntType(16, False), IntType(3, True)
RNG = np.random.default_rng(22)


def numbers(x: IntType, elements: int) -> Any:
    return RNG.integers(x.lo, x.hi + 1, (3, elements))


@pytest.mark.parametrize(
    "kernel",
    [
        ConcatKernel((INT8, UINT16, INT3), (4, 6, 2), 5, 12),
        ConcatKernel((INT8, UINT16, INT3), (4, 6, 2), 5, 2),
        ConcatKernel((INT8, INT3), (4, 6), 1),
    ],
)
def test_concat(kernel: ConcatKernel, agree: Any) -> None:
    """K1, K2, C1."""
    sizes = [block * kernel.turns for block in kernel.blocks]
    agree(kernel, [numbers(x, size) for x, size in zip(kernel.xs, sizes, strict=True)])


def test_concat_of_channels() -> None:
    a, b = numbers(INT8, 4 * 3 * 2), numbers(INT3, 4 * 3 * 5)
    ((got,),) = ConcatKernel((INT8, INT3), (2, 5), 12, 7).run(a, b)
    wanted = np.concatenate([a.reshape(3, 4, 3, 2), b.reshape(3, 4, 3, 5)], axis=3)
    np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)


def test_a_channel_has_the_range_of_its_stream() -> None:
    kernel = ConcatKernel((INT8, INT3), (1, 2), 4, 3)
    assert kernel.ranges == ((((-128, 127),), ((-4, 3),), ((-4, 3),)),)
    assert kernel.uniform().ranges == ((((-128, 127),),),)


def test_split(agree: Any) -> None:
    """K1, K2, D1."""
    agree(SplitKernel(UINT16, (4, 2, 6, 3), (1, -1, 0, 0), 3, (3, 1)), [numbers(UINT16, 45)])


def test_split_of_channels() -> None:
    x = numbers(INT8, 4 * 3 * 7)
    (first,), (second,) = SplitKernel(INT8, (2, 5), (0, 1), 12, (2, 1)).run(x)
    image = x.reshape(3, 4, 3, 7)
    np.testing.assert_array_equal(first.reshape(3, 4, 3, 2), image[..., :2])
    np.testing.assert_array_equal(second.reshape(3, 4, 3, 5), image[..., 2:])


def test_lanes_divide_all_blocks() -> None:
    concat = ConcatKernel((INT8, INT8), (12, 8), 2).implementations([Direct(1, -128, 127)], [INT8])
    assert [each.lanes for each in concat] == [1, 2, 4]
    assert [each.cycles for each in concat] == [40, 20, 10]
    split = SplitKernel(INT8, (12, 8), (0, 1), 2, (6, 1)).implementations(
        [Direct(6, -128, 127), Direct(1, -128, 127)], [INT8, INT8]
    )
    assert [each.lanes for each in split] == [1, 2]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="there are 2 streams and 1 blocks"):
        ConcatKernel((INT8, INT8), (3,), 1)
    with pytest.raises(ValueError, match="a turn of 5 elements is not a multiple of 2 channels"):
        ConcatKernel((INT8, INT8), (3, 2), 4, 2)
    with pytest.raises(ValueError, match=r"must be at least 1, not \(3, 0\) and 4"):
        ConcatKernel((INT8, INT8), (3, 0), 4)
    with pytest.raises(
        ValueError, match=r"^a block of 2 elements to output 1 is not a multiple of its 3 channels$"
    ):
        SplitKernel(INT8, (3, 2), (0, 1), 4, (3, 3))
    with pytest.raises(ValueError, match=r"each of 1 outputs a block, not \(0, 1\)"):
        SplitKernel(INT8, (3, 2), (0, 1), 4, (1,))
    with pytest.raises(ValueError, match=r"^a block of 3 elements to output 0 .* its 0 channels$"):
        SplitKernel(INT8, (3, 2), (0, 1), 4, (0, 1))
    with pytest.raises(ValueError, match=r"must be at least 1, not \(3, -2\) and 4$"):
        SplitKernel(INT8, (3, -2), (0, -1), 4, (1,))
    for blocks, to in (((), ()), ((3,), (-1,))):
        with pytest.raises(ValueError, match=r"^a split needs an output at least, not none$"):
            SplitKernel(INT8, blocks, to, 4, ())
