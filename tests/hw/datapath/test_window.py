# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Refusals, and random geometries; tests/hw/datapath/test_conv.py has the named ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from midwire.hw.datapath.ranges import shape_for
from midwire.hw.datapath.window import Window
from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.folds import tap_choices
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.numeric import IntType

INT8 = IntType(8, True)


@pytest.mark.parametrize("seed", range(8))
def test_random_geometry(seed: int, random_geometry: Any, built: Any, exercise: Any) -> None:
    """W1 to W3, S1 to S4, T3, T4, over two axes and three."""
    pooled(seed, random_geometry, built, exercise)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(8, 100))
def test_many_random_geometries(seed: int, random_geometry: Any, built: Any, exercise: Any) -> None:
    pooled(seed, random_geometry, built, exercise)


def pooled(seed: int, random_geometry: Any, built: Any, exercise: Any) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    geometry = random_geometry(rng, 2 + seed % 3 % 2)
    print(geometry)
    lanes, folds = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    depth = None if seed % 2 else int(rng.integers(1, 4))
    # With half of the seeds, the last beat of a pixel is not full.
    short = lanes - 1 if seed % 4 >= 2 and folds > 1 else 0
    channels = lanes * folds - short
    kernel = PoolKernel(geometry, channels, INT8, "sum", int(rng.integers(-128, 128)))
    ((((low, high),), *_),) = kernel.ranges
    direct = Direct(channels, low, high)
    implementation = built(kernel, [direct], [IntType.holding(low, high)], lanes, depth=depth)
    x = rng.integers(-128, 128, (6, *geometry.size, channels))
    exercise(kernel, implementation, [direct], [x], at_rate=False)


@pytest.mark.parametrize("seed", range(4))
def test_taps_of_a_random_geometry(
    seed: int, random_geometry: Any, built: Any, exercise: Any
) -> None:
    """W1 to W3, T3, T4 with any block of taps that divides the kernel."""
    tapped(seed, random_geometry, built, exercise)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(4, 60))
def test_taps_of_many_random_geometries(
    seed: int, random_geometry: Any, built: Any, exercise: Any
) -> None:
    tapped(seed, random_geometry, built, exercise)


def tapped(seed: int, random_geometry: Any, built: Any, exercise: Any) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng([20263, seed])
    geometry = random_geometry(rng, 2 + seed // 2 % 2)
    while geometry.taps == 1:
        geometry = random_geometry(rng, geometry.rank)
    taps = tap_choices(geometry)[int(rng.integers(1, len(tap_choices(geometry))))]
    print(geometry, taps)
    depthwise, channels = bool(seed % 2), int(rng.integers(1, 4))
    outputs = channels if depthwise else int(rng.integers(1, 5))
    shape = (outputs, *geometry.kernel, 1 if depthwise else channels)
    weights = rng.integers(-8, 8, shape)
    kernel = ConvKernel(geometry, channels, INT8, weights, depthwise, int(rng.integers(-128, 128)))
    spans = [span for (span,) in kernel.ranges[0]]
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    direct = Direct(outputs, low, high)
    simd = channels * math.prod(taps)
    pe = channels if depthwise else -(-outputs // int(rng.integers(1, 3)))
    implementation = built(kernel, [direct], [IntType.holding(low, high)], pe, simd)
    assert implementation.taps == taps
    x = rng.integers(-128, 128, (6, *geometry.size, channels))
    exercise(kernel, implementation, [direct], [x])


def window(**changes: Any) -> Window:
    options: dict[str, Any] = {
        "geometry": Geometry((4, 4), (3, 3), pads=(1, 1, 1, 1)),
        "folds": 2,
        "passes": 2,
        "order": "dense",
    }
    return Window(shape_for(INT8), 1, **{**options, **changes})


def test_messages() -> None:
    assert window().steps == 18
    assert window(order="channelwise").steps == 9
    assert window().memory_bits == 4 * 4 * 2 * 8
    with pytest.raises(ValueError, match="order must be 'dense' or 'channelwise', not 'odd'"):
        window(order="odd")
    with pytest.raises(ValueError, match="passes must be 2, not 3"):
        window(order="channelwise", passes=3)
    with pytest.raises(ValueError, match=r"pad_value must lie in \[-128, 127\], not 128"):
        window(pad_value=128)
    assert window(taps=(1, 3)).steps == 6
    assert window(taps=(3, 3)).memory_bits == 9 * window().memory_bits
    with pytest.raises(ValueError, match=r"taps of a step must divide the kernel's \(3, 3\)"):
        window(taps=(2, 1))
    with pytest.raises(ValueError, match="a window of 3 lines needs at least that many"):
        window(lines=2)
