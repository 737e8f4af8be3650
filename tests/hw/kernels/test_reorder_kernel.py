# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.formats.tensor import Layout
from midwire.hw.kernels.reorder import ReorderKernel, merged, reorder_between
from midwire.hw.numeric import IntType

INT8 = IntType(8, True)
RNG = np.random.default_rng(21)


def offers(kernel: ReorderKernel) -> Any:
    finisher = Direct(kernel.channels, kernel.x.lo, kernel.x.hi)
    return kernel.implementations([finisher], [kernel.x])


def streams(kernel: ReorderKernel) -> Any:
    return RNG.integers(kernel.x.lo, kernel.x.hi + 1, (3, kernel.blocks * kernel.block))


@pytest.mark.parametrize(
    "kernel",
    [
        ReorderKernel(INT8, 6, 2, ((6, 1),)),
        ReorderKernel(INT8, 12, 1, ((4, 1), (3, 4)), 0, 3),
        ReorderKernel(INT8, 12, 3, ((2, 0), (3, 4), (2, 0), (4, 1)), 0, 4),
        ReorderKernel(IntType(16, False), 20, 2, ((2, 8), (2, 1)), 6),
        ReorderKernel(INT8, 12, 1, ((3, -4), (4, 1)), 8),
        ReorderKernel(INT8, 5, 2, (), 3),
        ReorderKernel(INT8, 12, 2, ((2, 0), (3, 1)), channels=3, starts=(9, 0, 9, 4)),
    ],
)
def test_onnx(kernel: ReorderKernel, agree: Any) -> None:
    """K2."""
    agree(kernel, [streams(kernel)])


def test_the_order_is_that_of_the_loops() -> None:
    """M1, spelled out."""
    kernel = ReorderKernel(INT8, 30, 2, ((2, 12), (2, 0), (2, -1), (3, 4)), 3)
    x = streams(kernel)
    places = [
        block * 30 + 3 + a * 12 - c + d * 4
        for block, a, _, c, d in itertools.product(range(2), range(2), range(2), range(2), range(3))
    ]
    ((got,),) = kernel.run(x)
    np.testing.assert_array_equal(got.reshape(3, -1), x[:, places])


def test_nearest_resize_is_a_reorder() -> None:
    height, width, channels = 3, 4, 2
    kernel = ReorderKernel(
        INT8, width * channels, height, ((2, 0), (width, channels), (3, 0), (channels, 1))
    )
    x = RNG.integers(-128, 128, (2, height, width, channels))
    ((got,),) = kernel.run(x.reshape(2, -1))
    wanted = x.repeat(2, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)


def layouts(shape: tuple[int, ...]) -> list[Layout]:
    return [Layout(shape, perm) for perm in itertools.permutations(range(len(shape)))]


def between(a: Layout, b: Layout) -> ReorderKernel:
    kernel = reorder_between(a, b, INT8)
    assert kernel is not None
    return kernel


def test_between_any_two_orders() -> None:
    tensor = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    for a, b in itertools.product(layouts(tensor.shape), repeat=2):
        kernel = between(a, b)
        ((got,),) = kernel.run(a.to_stream(tensor)[None])
        np.testing.assert_array_equal(got.ravel(), b.to_stream(tensor))
        assert kernel.is_identity == a.same_order(b)


def test_between_layouts_of_other_axes() -> None:
    """A flattened tensor has fewer axes, and is still the same one."""
    tensor = np.arange(2 * 3 * 4)
    a, b = Layout((6, 4), (1, 0)), Layout((2, 12), (1, 0))
    ((got,),) = between(a, b).run(a.to_stream(tensor)[None])
    np.testing.assert_array_equal(got.ravel(), b.to_stream(tensor))
    crossing = Layout((4, 6), (1, 0))
    assert reorder_between(a, crossing, INT8) is None
    for first, second in ((a, Layout.raster((24,))), (Layout.raster((24,)), crossing)):
        ((got,),) = between(first, second).run(first.to_stream(tensor)[None])
        np.testing.assert_array_equal(got.ravel(), second.to_stream(tensor))


def test_blocks_are_the_outer_axes_that_both_orders_share() -> None:
    """Rows stay, so one row is a block: channels-last to channels within each row."""
    a = Layout((5, 3, 4), (0, 2, 1))
    kernel = between(a, Layout.raster((5, 3, 4)))
    assert (kernel.blocks, kernel.block, kernel.loops) == (5, 12, ((3, 1), (4, 3)))


def test_merged_loops() -> None:
    assert merged([(2, 12), (3, 4), (1, 9), (4, 1)]) == ((24, 1),)
    assert merged([(2, 0), (5, 0)]) == ((10, 0),)
    assert merged([(1, 7)]) == ((1, 1),)
    assert merged([(3, 1), (4, 3)]) == ((3, 1), (4, 3))


def test_lanes_are_whole_words() -> None:
    """M3: reads of 8 elements from rows of 12 are words of 1, 2 or 4."""
    kernel = ReorderKernel(INT8, 24, 1, ((2, 0), (2, 12), (8, 1)), 4)
    offered = offers(kernel)
    assert {p.lanes: (p.lanes_in, p.cycles) for p in offered} == {1: (1, 32), 2: (2, 16), 4: (4, 8)}


def test_a_stride_is_written_an_element_at_a_time() -> None:
    """M3: a transposed 8 x 12 matrix leaves by words of its columns."""
    kernel = ReorderKernel(INT8, 96, 1, ((5, 0), (12, 1), (8, 12)))
    offered = offers(kernel)
    assert {p.lanes: p.cycles for p in offered} == {1: 480, 2: 240, 4: 120, 8: 96}
    assert {p.lanes_in for p in offered} == {1}


@pytest.mark.parametrize(
    ("loops", "start", "sentence"),
    [
        (((3, 4), (5, 1)), 0, r"read the elements 0 to 12, but a block has the elements 0 to 11"),
        (((3, -4),), 4, r"read the elements -4 to 4, but"),
        (((0, 1),), 0, r"the turns of loops must be at least 1, not 12, 1 and \(\(0, 1\),\)"),
    ],
)
def test_loops_stay_in_the_block(loops: Any, start: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ReorderKernel(INT8, 12, 1, loops, start)


def test_starts_stay_in_the_block() -> None:
    with pytest.raises(ValueError, match="from 0 to 8 read the elements 0 to 12, but a block has"):
        ReorderKernel(INT8, 12, 1, ((5, 1),), starts=(8, 0))
    with pytest.raises(ValueError, match=r"^start must be 0 beside starts, not 2$"):
        ReorderKernel(INT8, 12, 1, ((5, 1),), 2, starts=(4, 0))


def test_channels_divide_the_result() -> None:
    with pytest.raises(ValueError, match="12 elements are not a multiple of 5 channels"):
        ReorderKernel(INT8, 12, 1, ((12, 1),), 0, 5)
