# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.numeric import IntType


@dataclass(frozen=True)
class Case:
    name: str
    geometry: Geometry
    channels: tuple[int, int]
    folding: tuple[int, int]  # PE, SIMD; lanes twice for depthwise; SIMD times taps at a time
    x: tuple[int, bool] = (8, True)
    weight: int = 8
    out: tuple[int, bool] = (8, True)
    zero: int = 0
    shared: bool = False
    options: tuple[tuple[str, int], ...] = ()


DENSE = [
    Case("gemm", Geometry((1, 1)), (8, 6), (2, 4)),
    Case("gemm_one_step", Geometry((1, 1)), (4, 4), (4, 4), shared=True),
    Case("gemm_passes_of_one_step", Geometry((1, 1)), (4, 6), (1, 4)),
    Case(
        "pointwise_s2", Geometry((5, 6), stride=(2, 2)), (4, 2), (2, 2), (8, False), out=(8, False)
    ),
    Case("same", Geometry((5, 4), (3, 3), pads=(1, 1, 1, 1)), (2, 4), (2, 1), zero=-7),
    Case(
        "same_upper_s2",
        Geometry((6, 6), (3, 3), (2, 2), pads=(0, 0, 1, 1)),
        (4, 4),
        (1, 2),
        (8, False),
        zero=113,
    ),
    Case("dilated", Geometry((7, 6), (3, 2), (1, 1), (2, 3)), (2, 2), (1, 2)),
    Case(
        "dilated_padded",
        Geometry((4, 5), (3, 3), (1, 2), (2, 2), (2, 1, 2, 3)),
        (1, 3),
        (3, 1),
        zero=5,
    ),
    Case("valid", Geometry((6, 5), (3, 3)), (1, 4), (4, 1), (4, False), 4, (4, False), shared=True),
    Case(
        "line",
        Geometry((1, 11), (1, 4), (1, 2), pads=(0, 3, 0, 1)),
        (3, 2),
        (2, 3),
        (4, True),
        3,
        zero=-2,
    ),
    Case("column", Geometry((11, 1), (4, 1), (3, 1)), (2, 2), (1, 1), (16, True), 8, (16, True)),
    Case("whole", Geometry((3, 3), (3, 3)), (2, 6), (3, 2)),
    Case("skips", Geometry((7, 7), (2, 2), (3, 3)), (1, 1), (1, 1)),
    Case("wide_pads", Geometry((2, 2), (2, 2), pads=(2, 3, 1, 2)), (1, 1), (1, 1), zero=3),
    Case("below", Geometry((6, 3), stride=(2, 2), pads=(1, 1, 2, 2)), (3, 2), (1, 1), zero=9),
    Case("tree", Geometry((2, 2), (2, 2), pads=(1, 0, 0, 1)), (18, 2), (1, 18), zero=1),
    Case("row_of_taps", Geometry((5, 4), (3, 3), pads=(1, 1, 1, 1)), (2, 4), (2, 6), zero=-7),
    Case(
        "half_a_row", Geometry((4, 7), (2, 4), (1, 2), (2, 1), (1, 2, 1, 0)), (3, 2), (1, 6), zero=4
    ),
    Case(
        "pixel_a_cycle",
        Geometry((5, 6), (3, 3), pads=(1, 1, 1, 1)),
        (2, 3),
        (3, 18),
        (8, False),
        zero=11,
    ),
    Case("pixel_of_passes", Geometry((5, 5), (2, 2), (2, 1), (1, 3)), (1, 5), (2, 4)),
    Case(
        "line_of_taps", Geometry((9, 1), (4, 1), (2, 1), pads=(2, 0, 1, 0)), (2, 3), (3, 4), zero=1
    ),
    Case("small_fifo", Geometry((3, 3)), (2, 4), (2, 2), options=(("depth", 1),)),
    Case("many_rows", Geometry((4, 4), (3, 3)), (1, 2), (2, 1), options=(("lines", 6),)),
    Case("few_rows", Geometry((4, 4), (3, 3)), (1, 2), (2, 1), options=(("lines", 3),)),
    Case("volume", Geometry((4, 3, 4), (3, 3, 3), pads=(1,) * 6), (2, 4), (2, 1), zero=-7),
    Case(
        "volume_of_strides",
        Geometry((5, 4, 5), (2, 3, 2), (2, 1, 2), (2, 1, 1), (1, 0, 1, 1, 1, 0)),
        (2, 3),
        (3, 2),
        zero=4,
    ),
    Case(
        "planes_of_taps",
        Geometry((3, 4, 3), (2, 3, 3), (1, 2, 1), pads=(1, 1, 1, 0, 1, 1)),
        (2, 4),
        (2, 36),
        zero=5,
    ),
    Case(
        "few_lines_of_planes",
        Geometry((4, 3, 3), (3, 2, 2)),
        (1, 2),
        (2, 1),
        options=(("lines", 8),),
    ),
    Case(
        "four_axes",
        Geometry((2, 3, 2, 3), (2, 2, 2, 2), pads=(0, 1, 0, 1, 1, 0, 0, 1)),
        (1, 2),
        (1, 1),
        zero=2,
    ),
]

DEPTHWISE = [
    Case("same", Geometry((4, 5), (3, 3), pads=(1, 1, 1, 1)), (4, 4), (2, 2), zero=-9),
    Case(
        "s2",
        Geometry((6, 6), (3, 3), (2, 2), pads=(0, 0, 1, 1)),
        (3, 3),
        (1, 1),
        (8, False),
        zero=200,
    ),
    Case("one_channel", Geometry((5, 3), (2, 3)), (1, 1), (1, 1), (4, False), 4, (4, False)),
    Case("one_tap", Geometry((3, 3)), (4, 4), (2, 2), shared=True),
    Case("dilated", Geometry((6, 6), (2, 2), (1, 1), (3, 2)), (6, 6), (2, 2)),
    Case("row_of_taps", Geometry((4, 5), (3, 3), pads=(1, 1, 1, 1)), (4, 4), (4, 12), zero=-9),
    Case("pixel_a_cycle", Geometry((5, 5), (2, 3), (2, 1), (2, 2), (1, 2, 1, 2)), (3, 3), (3, 18)),
    Case("16bit", Geometry((4, 4), (2, 2)), (2, 2), (2, 2), (16, True), 16, (16, True)),
    Case(
        "volume",
        Geometry((4, 3, 4), (3, 2, 2), (2, 1, 1), pads=(1, 0, 0, 1, 1, 1)),
        (4, 4),
        (2, 2),
        zero=-9,
    ),
]


# The last beat of every pixel is not full, on one side or on both.
PADDED = [
    Case("gemm", Geometry((1, 1)), (7, 5), (3, 4)),
    Case("gemm_three_beats", Geometry((1, 1)), (5, 7), (3, 2), shared=True),
    Case("same", Geometry((4, 3), (3, 3), pads=(1, 1, 1, 1)), (3, 4), (2, 2), zero=-7),
    Case("s2", Geometry((5, 5), (2, 2), (2, 2)), (2, 5), (2, 2), (4, False), 4, (8, False)),
    Case("pointwise", Geometry((3, 4)), (3, 3), (2, 2), (8, False), zero=200),
]

PADDED_DEPTHWISE = [
    Case("same", Geometry((4, 5), (3, 3), pads=(1, 1, 1, 1)), (5, 5), (3, 3), zero=-9),
    Case("s2", Geometry((5, 4), (2, 2), (2, 2)), (3, 3), (2, 2), (8, False), zero=200, shared=True),
]


def run(case: Case, depthwise: bool, built: Any, exercise: Any, requantiser: Any) -> Any:
    """The implementation, after RTL, kernel and cycle model agreed."""
    rng = np.random.default_rng(1)
    channels_in, channels_out = case.channels
    x, out = IntType(*case.x), IntType(*case.out)
    weight = IntType(case.weight, True)
    shape = (channels_out, *case.geometry.kernel, 1 if depthwise else channels_in)
    weights = rng.integers(weight.lo, weight.hi + 1, shape)
    kernel = ConvKernel(case.geometry, channels_in, x, weights, depthwise, case.zero)
    flat = weights.reshape(channels_out, -1)
    accumulator = (
        int(np.minimum(flat * x.lo, flat * x.hi).sum(axis=1).min()),
        int(np.maximum(flat * x.lo, flat * x.hi).sum(axis=1).max()),
    )
    finisher = requantiser(rng, channels_out, [accumulator], case.out, shared=case.shared)
    options = dict(case.options)
    implementation = built(kernel, [finisher], [out], *case.folding, **options)
    assert implementation.unit.ranges == (accumulator,)
    images = rng.integers(x.lo, x.hi + 1, (5, *case.geometry.size, channels_in))
    wanted = finisher.apply(*kernel.run(images)[0])
    assert len(np.unique(wanted)) > 3
    exercise(kernel, implementation, [finisher], [images], at_rate=not options)
    return implementation


@pytest.mark.parametrize("case", DENSE, ids=lambda case: case.name)
def test_conv(case: Case, built: Any, exercise: Any, requantiser: Any) -> None:
    run(case, False, built, exercise, requantiser)


@pytest.mark.parametrize("case", DEPTHWISE, ids=lambda case: case.name)
def test_depthwise(case: Case, built: Any, exercise: Any, requantiser: Any) -> None:
    run(case, True, built, exercise, requantiser)


@pytest.mark.parametrize("case", PADDED, ids=lambda case: case.name)
def test_conv_of_lanes_that_do_not_divide(
    case: Case, built: Any, exercise: Any, requantiser: Any
) -> None:
    """S1: what fills a beat up on its way in changes nothing."""
    implementation = run(case, False, built, exercise, requantiser)
    (i,), (o,) = implementation.inputs, implementation.outputs
    assert i.padded or o.padded
    assert (i.padded, o.padded) == (
        case.channels[0] % case.folding[1] != 0,
        case.channels[1] % case.folding[0] != 0,
    )


@pytest.mark.parametrize("case", PADDED_DEPTHWISE, ids=lambda case: case.name)
def test_depthwise_of_lanes_that_do_not_divide(
    case: Case, built: Any, exercise: Any, requantiser: Any
) -> None:
    implementation = run(case, True, built, exercise, requantiser)
    assert implementation.inputs[0].padded and implementation.outputs[0].padded
