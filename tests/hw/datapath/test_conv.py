# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Shape

from midwire.hw.datapath.conv import FoldedConv, FoldedDepthwise
from midwire.hw.kernels.integer import Geometry
from midwire.hw.timing.components import Schedule


@dataclass(frozen=True)
class Case:
    name: str
    geometry: Geometry
    channels: tuple[int, int]
    folding: tuple[int, int]  # PE, SIMD; lanes twice for depthwise
    x: tuple[int, bool] = (8, True)
    weight: int = 8
    out: tuple[int, bool] = (8, True)
    zero: int = 0
    shared: bool = False
    options: tuple[tuple[str, int], ...] = ()


DENSE = [
    Case("gemm", Geometry(1, 1), (8, 6), (2, 4)),
    Case("gemm_one_step", Geometry(1, 1), (4, 4), (4, 4), shared=True),
    Case("gemm_passes_of_one_step", Geometry(1, 1), (4, 6), (1, 4)),
    Case("pointwise_s2", Geometry(5, 6, stride=(2, 2)), (4, 2), (2, 2), (8, False), out=(8, False)),
    Case("same", Geometry(5, 4, (3, 3), pads=(1, 1, 1, 1)), (2, 4), (2, 1), zero=-7),
    Case(
        "same_upper_s2",
        Geometry(6, 6, (3, 3), (2, 2), pads=(0, 0, 1, 1)),
        (4, 4),
        (1, 2),
        (8, False),
        zero=113,
    ),
    Case("dilated", Geometry(7, 6, (3, 2), (1, 1), (2, 3)), (2, 2), (1, 2)),
    Case(
        "dilated_padded",
        Geometry(4, 5, (3, 3), (1, 2), (2, 2), (2, 1, 2, 3)),
        (1, 3),
        (3, 1),
        zero=5,
    ),
    Case("valid", Geometry(6, 5, (3, 3)), (1, 4), (4, 1), (4, False), 4, (4, False), shared=True),
    Case(
        "line",
        Geometry(1, 11, (1, 4), (1, 2), pads=(0, 3, 0, 1)),
        (3, 2),
        (2, 3),
        (4, True),
        3,
        zero=-2,
    ),
    Case("column", Geometry(11, 1, (4, 1), (3, 1)), (2, 2), (1, 1), (16, True), 8, (16, True)),
    Case("whole", Geometry(3, 3, (3, 3)), (2, 6), (3, 2)),
    Case("skips", Geometry(7, 7, (2, 2), (3, 3)), (1, 1), (1, 1)),
    Case("wide_pads", Geometry(2, 2, (2, 2), pads=(2, 3, 1, 2)), (1, 1), (1, 1), zero=3),
    Case("below", Geometry(6, 3, stride=(2, 2), pads=(1, 1, 2, 2)), (3, 2), (1, 1), zero=9),
    Case("tree", Geometry(2, 2, (2, 2), pads=(1, 0, 0, 1)), (18, 2), (1, 18), zero=1),
    Case("small_fifo", Geometry(3, 3), (2, 4), (2, 2), options=(("depth", 1),)),
    Case("many_rows", Geometry(4, 4, (3, 3)), (1, 2), (2, 1), options=(("rows", 6),)),
    Case("few_rows", Geometry(4, 4, (3, 3)), (1, 2), (2, 1), options=(("rows", 3),)),
]

DEPTHWISE = [
    Case("same", Geometry(4, 5, (3, 3), pads=(1, 1, 1, 1)), (4, 4), (2, 2), zero=-9),
    Case(
        "s2",
        Geometry(6, 6, (3, 3), (2, 2), pads=(0, 0, 1, 1)),
        (3, 3),
        (1, 1),
        (8, False),
        zero=200,
    ),
    Case("one_channel", Geometry(5, 3, (2, 3)), (1, 1), (1, 1), (4, False), 4, (4, False)),
    Case("one_tap", Geometry(3, 3), (4, 4), (2, 2), shared=True),
    Case("dilated", Geometry(6, 6, (2, 2), (1, 1), (3, 2)), (6, 6), (2, 2)),
    Case("16bit", Geometry(4, 4, (2, 2)), (2, 2), (2, 2), (16, True), 16, (16, True)),
]


def ends(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def run(case: Case, depthwise: bool, bench: Any, check: Any, requantiser: Any) -> None:
    rng = np.random.default_rng(1)
    channels_in, channels_out = case.channels
    low, high = ends(*case.x)
    w_low, w_high = ends(case.weight, True)
    shape = (channels_out, *case.geometry.kernel, 1 if depthwise else channels_in)
    weights = rng.integers(w_low, w_high + 1, shape)
    flat = weights.reshape(channels_out, -1)
    accumulator = (
        int(np.minimum(flat * low, flat * high).sum(axis=1).min()),
        int(np.maximum(flat * low, flat * high).sum(axis=1).max()),
    )
    common: dict[str, Any] = {
        "x": Shape(*case.x),
        "weight": Shape(case.weight, True),
        "out": Shape(*case.out),
        "accumulator": accumulator,
        "requantiser": requantiser(rng, channels_out, [accumulator], case.out, shared=case.shared),
        "pad_value": case.zero,
        **dict(case.options),
    }
    dut: Any
    if depthwise:
        dut = FoldedDepthwise(
            "dw", case.geometry, channels=channels_in, lanes=case.folding[0], **common
        )
    else:
        dut = FoldedConv(
            "conv",
            case.geometry,
            channels_in=channels_in,
            channels_out=channels_out,
            pe=case.folding[0],
            simd=case.folding[1],
            **common,
        )
    x = rng.integers(low, high + 1, (5, case.geometry.height, case.geometry.width, channels_in))
    wanted = dut.reference(x, weights)
    assert len(np.unique(wanted)) > 3

    schedule = Schedule()
    source = schedule.source("in", x[0].size // case.folding[1])
    target = schedule.edge("out", wanted[0].size // case.folding[0])
    dut.timing(schedule, source, target)
    schedule.sink(target)
    predicted = schedule.run(len(x))
    check(bench(dut, files=dut.files(weights)), [x], [wanted], predicted)


@pytest.mark.parametrize("case", DENSE, ids=lambda case: case.name)
def test_conv(case: Case, bench: Any, check: Any, requantiser: Any) -> None:
    run(case, False, bench, check, requantiser)


@pytest.mark.parametrize("case", DEPTHWISE, ids=lambda case: case.name)
def test_depthwise(case: Case, bench: Any, check: Any, requantiser: Any) -> None:
    run(case, True, bench, check, requantiser)
