# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions: K1 and K2, and the memory of weights (K3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.folded_convolution import FoldedConvolution
from midwire.hw.kernels.folds import MAX_LANES, lane_choices, lane_counts
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.numeric import IntType

INT8 = IntType(8, True)


def with_lanes(kernel: ConvKernel, pe: int, simd: int) -> tuple[FoldedConvolution, Direct]:
    """The folded implementation of so many lanes out and in, and its finisher."""
    spans = [span for ((span,),) in [(channel,) for channel in kernel.ranges[0]]]
    low, high = min(lo for lo, _ in spans), max(hi for _, hi in spans)
    direct = Direct(kernel.outputs, low, high)
    (found,) = (
        each
        for each in kernel.implementations([direct], [IntType.holding(low, high)])
        if isinstance(each, FoldedConvolution) and each.parallelism == (pe, simd)
    )
    return found, direct


def image(kernel: ConvKernel, pe: int, simd: int) -> list[list[int]]:
    """The weights' memory, word by word; every weight takes 8 bits."""
    built, direct = with_lanes(kernel, pe, simd)
    images = kernel.images(replace(built, weight=INT8), [direct], "c")
    assert list(images) == ["c_weights.hex"]
    # The highest lane is written first.
    return [
        list(np.frombuffer(bytes.fromhex(line)[::-1], np.int8))
        for line in images["c_weights.hex"].splitlines()
    ]


def test_order_of_weights() -> None:
    weights = np.arange(4 * 2 * 1 * 6).reshape(4, 2, 1, 6)
    words = image(ConvKernel(Geometry((2, 1), (2, 1)), 6, INT8, weights, False, 0), 2, 3)
    assert len(words) == 2 * 2 * 1 * 2
    # Pass 1 (outputs 2 and 3), ky 0, fold 1 (inputs 3 to 5).
    assert words[5] == [*weights[2, 0, 0, 3:], *weights[3, 0, 0, 3:]]
    kernel = ConvKernel(Geometry((2, 1), (2, 1)), 4, INT8, weights[..., :1], True, 0)
    assert image(kernel, 2, 2)[3] == [*weights[2:, 1, 0, 0]]


def test_weights_of_zero_fill_beats_up() -> None:
    """5 inputs by 3, 4 outputs by 3: K3, and S1 for what comes in beside the channels."""
    weights = np.arange(1, 21).reshape(4, 1, 1, 5)
    words = image(ConvKernel(Geometry((1, 1)), 5, INT8, weights, False, 0), 2, 3)
    assert words == [
        [*weights[0, 0, 0, :3], *weights[1, 0, 0, :3]],
        [*weights[0, 0, 0, 3:], 0, *weights[1, 0, 0, 3:], 0],
        [*weights[2, 0, 0, :3], *weights[3, 0, 0, :3]],
        [*weights[2, 0, 0, 3:], 0, *weights[3, 0, 0, 3:], 0],
    ]
    depthwise = ConvKernel(
        Geometry((1, 2), (1, 2)), 3, INT8, weights.reshape(-1, 1, 2, 1)[:3], True, 0
    )
    assert image(depthwise, 2, 2) == [[1, 3], [2, 4], [5, 0], [6, 0]]


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_onnx_gives_the_same_accumulators(depthwise: bool, bits: int, agree: Any) -> None:
    """K1, K2: also where sums pass 2**24."""
    rng = np.random.default_rng(bits)
    x = IntType(bits, True)
    weights = rng.integers(x.lo, x.hi + 1, (4, 3, 2, 1 if depthwise else 4))
    geometry = Geometry((4, 5), (3, 2), (1, 2), pads=(1, 0, 1, 1))
    kernel = ConvKernel(geometry, 4, x, weights, depthwise, -3)
    stream = rng.integers(x.lo, x.hi + 1, (3, 4 * 5 * 4))
    stream[0], stream[1] = x.lo, x.hi
    agree(kernel, [stream])
    assert kernel.macs == geometry.out_pixels * weights.size


def test_lanes_on_offer() -> None:
    """Any number of beats, each with the fewest lanes; those that divide and those that do not."""
    weights = np.ones((6, 1, 1, 5), np.int64)
    dense = ConvKernel(Geometry((1, 1)), 5, INT8, weights, False, 0)
    direct, out = Direct(6, -640, 635), IntType(11, True)
    folded = [
        each.parallelism
        for each in dense.implementations([direct], [out])
        if each.strategy == "folded"
    ]
    assert sorted(folded) == [(pe, simd) for pe in (1, 2, 3, 6) for simd in (1, 2, 3, 5)]
    depthwise = ConvKernel(Geometry((1, 1)), 5, INT8, weights[:5, ..., :1], True, 0)
    offered = depthwise.implementations([Direct(5, -128, 127)], [INT8])
    assert [each.parallelism for each in offered] == [(n, n) for n in (1, 2, 3, 5)]


def test_numbers_of_lanes() -> None:
    """Divisors end at a limit, for tensors have many elements; counts for channels do not."""
    assert lane_choices(12) == [1, 2, 3, 4, 6, 12]
    assert lane_choices(3 << 20)[-3:] == [512, 768, MAX_LANES]
    counts = lane_counts(4 * MAX_LANES)
    assert counts[-1] == 4 * MAX_LANES and len(counts) < 130


def test_accumulators_that_are_too_wide_are_refused() -> None:
    """K2, also where a product of both types passes 64 bits."""
    wide = IntType(32, True)
    largest = np.full((1, 1, 1, 1024), 2**31 - 1)
    with pytest.raises(WidthError) as caught:
        ConvKernel(Geometry((1, 1)), 1024, wide, largest, False, 0)
    assert str(caught.value) == (
        f"sums of 1024 terms lie between {-(2**41) * (2**31 - 1)} and "
        f"{(2**31 - 1) ** 2 * 1024}, but must stay below 2**53; use fewer bits, or sum over less"
    )
    sparse = np.zeros((1, 1, 1, 1024), np.int64)
    sparse[..., 0], sparse[..., 1] = 2**20, -(2**20)
    kernel = ConvKernel(Geometry((1, 1)), 1024, wide, sparse, False, 0)
    ends = (1 - 2**32) << 20, (2**32 - 1) << 20
    assert kernel.ranges == (((ends,),),)
    x = np.array([[-(2**31), 2**31 - 1, *[2**31 - 1] * 1022]])
    assert kernel.run(x)[0][0].item() == ends[0]


def test_messages() -> None:
    with pytest.raises(ValueError) as caught:
        ConvKernel(Geometry((3, 3), (2, 1)), 4, INT8, np.zeros((2, 1, 2, 4), int), False, 0)
    assert str(caught.value) == (
        "weights must have shape (O, *kernel, I) = (O, 2, 1, 4), not (2, 1, 2, 4)"
    )
    with pytest.raises(ValueError) as caught:
        ConvKernel(Geometry((1, 1)), 4, INT8, np.zeros((3, 1, 1, 1), int), True, 0)
    assert str(caught.value) == ("depthwise weights of 4 channels need as many outputs, not 3")
