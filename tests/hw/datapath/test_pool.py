# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Shape

from midwire.hw.datapath.pool import FoldedPool
from midwire.hw.kernels.integer import Geometry
from midwire.hw.timing.components import Schedule

CASES = [
    ("max", Geometry(4, 6, (2, 2), (2, 2)), 4, 2, (8, True), False, 0),
    ("max", Geometry(5, 5, (3, 3), (2, 2), pads=(1, 1, 1, 1)), 2, 1, (8, True), False, -128),
    ("max", Geometry(5, 4, (2, 3), pads=(0, 1, 1, 0)), 3, 3, (4, False), True, 0),
    ("sum", Geometry(3, 4, (3, 4)), 6, 2, (8, False), True, 0),
    ("sum", Geometry(6, 5, (2, 2), (1, 2), pads=(1, 0, 0, 1)), 2, 2, (8, True), False, 17),
    ("sum", Geometry(1, 9, (1, 3), (1, 3)), 1, 1, (16, True), True, 0),
    ("max", Geometry(3, 3), 2, 1, (8, True), False, 0),
]


@pytest.mark.parametrize(
    ("mode", "geometry", "channels", "lanes", "kind", "requantised", "pad_value"), CASES
)
def test_pool(
    mode: Any,
    geometry: Geometry,
    channels: int,
    lanes: int,
    kind: tuple[int, bool],
    requantised: bool,
    pad_value: int,
    bench: Any,
    check: Any,
    requantiser: Any,
) -> None:
    rng = np.random.default_rng(2)
    low = -(1 << (kind[0] - 1)) if kind[1] else 0
    high = low + (1 << kind[0]) - 1
    count = geometry.taps if mode == "sum" else 1
    options = {}
    if requantised:
        options = {
            "requantiser": requantiser(rng, channels, [(low * count, high * count)], kind),
            "out": Shape(*kind),
        }
    dut = FoldedPool(
        "pool",
        geometry,
        mode,
        channels=channels,
        lanes=lanes,
        x=Shape(*kind),
        pad_value=pad_value,
        **options,
    )
    x = rng.integers(low, high + 1, (5, geometry.height, geometry.width, channels))
    wanted = dut.reference(x)
    schedule = Schedule()
    source = schedule.source("in", x[0].size // lanes)
    target = schedule.edge("out", wanted[0].size // lanes)
    dut.timing(schedule, source, target)
    schedule.sink(target)
    check(bench(dut, files=dut.files), [x], [wanted], schedule.run(len(x)))


def test_no_result_shape() -> None:
    with pytest.raises(
        ValueError, match=r"without a requantiser the result has shape unsigned\(10\)"
    ):
        FoldedPool(
            "p", Geometry(2, 2, (2, 2)), "sum", channels=1, lanes=1, x=Shape(8), out=Shape(8)
        )
