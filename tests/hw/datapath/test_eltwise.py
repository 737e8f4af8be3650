# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

INT8, INT16, UINT4, UINT8 = (
    IntType(8, True),
    IntType(16, True),
    IntType(4, False),
    IntType(8, False),
)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("lanes", [1, 2])
def test_add(lanes: int, shared: bool, built: Any, exercise: Any, requantiser: Any) -> None:
    rng = np.random.default_rng(3)
    finisher = requantiser(rng, 4, [(-128, 127), (0, 15)], (8, True), shared=shared)
    kernel = EltwiseKernel((INT8, UINT4), 3 * 2 * 4, 4, 4)
    implementation = built(kernel, [finisher], [INT8], lanes)
    assert implementation.input_names == ("i0", "i1")
    assert bool(kernel.images(implementation, [finisher], "add")) is not shared
    a = rng.integers(-128, 128, (6, 3, 2, 4))
    b = rng.integers(0, 16, a.shape)
    wanted = finisher.apply(a, b)
    assert len(np.unique(wanted)) > 20
    exercise(kernel, implementation, [finisher], [a, b])


@pytest.mark.parametrize("depth", [None, 1, 3])
def test_scale(depth: int | None, built: Any, exercise: Any, requantiser: Any) -> None:
    rng = np.random.default_rng(4)
    finisher = requantiser(rng, 6, [(-32768, 32767)], (4, False))
    kernel = EltwiseKernel((INT16,), 2 * 2 * 6, 6, 6)
    implementation = built(kernel, [finisher], [UINT4], 3, depth=depth)
    x = rng.integers(-32768, 32768, (6, 2, 2, 6))
    exercise(kernel, implementation, [finisher], [x], at_rate=depth is None)


@pytest.mark.parametrize(("channels", "lanes"), [(5, 2), (5, 3), (7, 4)])
def test_lanes_that_do_not_divide(
    channels: int, lanes: int, built: Any, exercise: Any, requantiser: Any
) -> None:
    """S1: every channel keeps its own parameters, and noise in the filling changes nothing."""
    rng = np.random.default_rng(6)
    finisher = requantiser(rng, channels, [(-128, 127), (0, 255)], (8, True))
    kernel = EltwiseKernel((INT8, UINT8), 4 * channels, channels, channels)
    implementation = built(kernel, [finisher], [INT8], lanes)
    assert all(port.padded for port in (*implementation.inputs, *implementation.outputs))
    a, b = rng.integers(-128, 128, (6, 4, channels)), rng.integers(0, 256, (6, 4, channels))
    exercise(kernel, implementation, [finisher], [a, b])


@pytest.mark.parametrize("mode", ["max", "min"])
def test_extremes(mode: str, built: Any, exercise: Any, requantiser: Any) -> None:
    """Of three streams of different types; the finisher takes one term."""
    rng = np.random.default_rng(9)
    ends = {"max": (0, 255), "min": (-128, 15)}[mode]
    finisher = requantiser(rng, 4, [ends], (8, True))
    kernel = EltwiseKernel((INT8, UINT4, UINT8), 24, 4, 4, mode)
    assert kernel.ranges[0][0] == (ends,)
    implementation = built(kernel, [finisher], [INT8], 2)
    spans = ((-128, 128), (0, 16), (0, 256))
    exercise(kernel, implementation, [finisher], [rng.integers(*s, (6, 6, 4)) for s in spans])
    with pytest.raises(ValueError, match=r"^mode must be terms, max, min, not 'mean'$"):
        EltwiseKernel((INT8, UINT4), 24, 4, 4, "mean")


@pytest.mark.parametrize("lanes", [1, 2])
def test_channels_of_several_axes(lanes: int, built: Any, exercise: Any, requantiser: Any) -> None:
    """Parameters for each element of a map, which comes twice."""
    rng = np.random.default_rng(8)
    finisher = requantiser(rng, 12, [(-128, 127)], (8, True))
    kernel = EltwiseKernel((INT8,), 24, 4, 12)
    implementation = built(kernel, [finisher], [INT8], lanes)
    exercise(kernel, implementation, [finisher], [rng.integers(-128, 128, (6, 2, 12))])


def test_one_channel_for_all(built: Any, exercise: Any, requantiser: Any) -> None:
    """Elements that are alike: one parameter for all lanes, which divide the axis."""
    rng = np.random.default_rng(7)
    finisher = requantiser(rng, 1, [(-128, 127)], (4, False))
    kernel = EltwiseKernel((INT8,), 18, 6, 6).uniform()
    assert [each.parallelism for each in kernel.implementations([finisher], [UINT4])] == [
        (n, n) for n in (1, 2, 3, 6)
    ]
    implementation = built(kernel, [finisher], [UINT4], 3)
    assert kernel.images(implementation, [finisher], "dut") == {}
    exercise(kernel, implementation, [finisher], [rng.integers(-128, 128, (6, 18))])


def test_a_stream_as_it_is(built: Any, exercise: Any) -> None:
    """F4: no finisher, no latency but that of the FIFO behind it."""
    kernel = EltwiseKernel((UINT4,), 12, 4, 1)
    direct = Direct(1, 0, 15)
    implementation = built(kernel, [direct], [INT8], 2)
    assert implementation.latency == 1
    x = np.random.default_rng(8).integers(0, 16, (6, 12))
    exercise(kernel, implementation, [direct], [x])


def test_full_throughput_with_the_default_depth(built: Any, requantiser: Any) -> None:
    finisher = requantiser(np.random.default_rng(5), 1, [(0, 255)], (8, False))
    kernel = EltwiseKernel((UINT8,), 100, 1, 1)
    implementation = built(kernel, [finisher], [UINT8], 1)
    schedule = Schedule()
    source, target = schedule.source("in", 100), schedule.edge("out", 100)
    implementation.timing(schedule, "s", [source], [target])
    schedule.sink(target)
    assert schedule.run().cycles_per_inference == implementation.cycles == 100


def test_messages() -> None:
    for channels, elements in ((3, 24), (4, 26), (16, 24)):
        with pytest.raises(
            ValueError,
            match=(
                "^channels must be 1 or a multiple of the depth 4 that divides the elements; found "
                f"{channels} channels and {elements} elements$"
            ),
        ):
            EltwiseKernel((INT8,), elements, 4, channels)
