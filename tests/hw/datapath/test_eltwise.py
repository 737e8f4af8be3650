# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Shape

from midwire.hw.datapath.eltwise import EltwiseAdd, EltwiseScale
from midwire.hw.timing.components import Schedule


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("lanes", [1, 2])
def test_add(lanes: int, shared: bool, bench: Any, check: Any, requantiser: Any) -> None:
    rng = np.random.default_rng(3)
    parameters = requantiser(rng, 4, [(-128, 127), (0, 15)], (8, True), shared=shared)
    dut = EltwiseAdd(
        "add",
        lanes=lanes,
        a=Shape(8, True),
        b=Shape(4, False),
        out=Shape(8, True),
        requantiser=parameters,
    )
    assert bool(dut.files) is not shared
    a = rng.integers(-128, 128, (6, 3, 2, 4))
    b = rng.integers(0, 16, a.shape)
    wanted = dut.reference(a, b)
    assert len(np.unique(wanted)) > 20
    schedule = Schedule()
    first, second = (schedule.source(name, a[0].size // lanes) for name in "ab")
    target = schedule.edge("out", a[0].size // lanes)
    dut.timing(schedule, first, second, target)
    schedule.sink(target)
    check(bench(dut, ["a", "b"], files=dut.files), [a, b], [wanted], schedule.run(len(a)))


@pytest.mark.parametrize("depth", [None, 1, 3])
def test_scale(depth: int | None, bench: Any, check: Any, requantiser: Any) -> None:
    rng = np.random.default_rng(4)
    parameters = requantiser(rng, 6, [(-32768, 32767)], (4, False))
    dut = EltwiseScale(
        "scale",
        lanes=3,
        x=Shape(16, True),
        out=Shape(4, False),
        requantiser=parameters,
        depth=depth,
    )
    x = rng.integers(-32768, 32768, (6, 2, 2, 6))
    wanted = dut.reference(x)
    schedule = Schedule()
    source = schedule.source("in", x[0].size // 3)
    target = schedule.edge("out", x[0].size // 3)
    dut.timing(schedule, source, target)
    schedule.sink(target)
    check(bench(dut, files=dut.files), [x], [wanted], schedule.run(len(x)))


def test_full_throughput_with_the_default_depth(requantiser: Any) -> None:
    parameters = requantiser(np.random.default_rng(5), 1, [(0, 255)], (8, False))
    dut = EltwiseScale("s", lanes=1, x=Shape(8), out=Shape(8), requantiser=parameters)
    schedule = Schedule()
    source, target = schedule.source("in", 100), schedule.edge("out", 100)
    dut.timing(schedule, source, target)
    schedule.sink(target)
    assert schedule.run().cycles_per_inference == 100
