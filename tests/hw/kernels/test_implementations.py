# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything that kernels offer, as data: rules K1, K3 and K4, without building hardware."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import (
    MOST_BITS,
    MOST_PORT_BITS,
    Implementation,
    Kernel,
    StreamPort,
)
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.kernels.program import canonical, described_by
from midwire.hw.kernels.reduce import ReduceKernel
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

INT8, UINT4 = IntType(8, True), IntType(4, False)


def conv(geometry: Geometry, channels: int, outputs: int, depthwise: bool = False) -> ConvKernel:
    shape = (outputs, *geometry.kernel, 1 if depthwise else channels)
    weights = np.random.default_rng(3).integers(-8, 8, shape)
    return ConvKernel(geometry, channels, INT8, weights, depthwise, 0)


KERNELS: dict[str, Kernel] = {
    "dense": conv(Geometry((1, 1)), 7, 5),
    "conv": conv(Geometry((4, 4), (2, 3), pads=(1, 1, 0, 1)), 3, 5),
    "whole": conv(Geometry((3, 2), (3, 2)), 5, 4),
    "depthwise": conv(Geometry((4, 3), (2, 2), (2, 1)), 5, 5, True),
    "max": PoolKernel(Geometry((3, 3), (3, 3)), 5, INT8, "max", -128),
    "sum": PoolKernel(Geometry((4, 4), (2, 2), (2, 2)), 3, UINT4, "sum", 0),
    "add": EltwiseKernel((INT8, UINT4), 20, 5, 5),
    "alike": EltwiseKernel((INT8, UINT4), 24, 6, 1),
    "channels": ReduceKernel(INT8, 2, 6, 6, "sum", 0, 6),
    "vector": ReduceKernel(INT8, 3, 12, 1, "squares", 5),
}


def offered(kernel: Kernel, requantiser: Any) -> list[Implementation]:
    rng = np.random.default_rng(4)
    (channels,) = kernel.ranges
    terms = zip(*channels, strict=True)
    spans = [(min(lo for lo, _ in term), max(hi for _, hi in term)) for term in terms]
    finisher = requantiser(rng, len(channels), spans, (8, True))
    return [
        *kernel.implementations([finisher], [INT8]),
        *kernel.loadable([finisher], [INT8]),
    ]


def run(built: Implementation, inferences: int) -> tuple[Any, list[Any], list[Any]]:
    """The schedule of an implementation by itself, and its edges."""
    schedule = Schedule()
    sources = [schedule.source(f"i{k}", port.beats) for k, port in enumerate(built.inputs)]
    targets = [schedule.edge(f"o{k}", port.beats) for k, port in enumerate(built.outputs)]
    built.timing(schedule, "dut", sources, targets)
    for target in targets:
        schedule.sink(target)
    return schedule.run(inferences), sources, targets


@pytest.mark.parametrize("name", KERNELS)
def test_every_offer_is_data_that_comes_back(name: str, requantiser: Any) -> None:
    """K3: equal descriptions have equal hashes and one text."""
    every = offered(KERNELS[name], requantiser)
    again = offered(KERNELS[name], requantiser)
    assert every == again and len(set(every)) == len(every) > 1
    for built in every:
        same = described_by(canonical(built))
        assert (same, hash(same)) == (built, hash(built))
        assert canonical(same) == canonical(built)
    assert len({canonical(built) for built in every}) == len(every)


@pytest.mark.parametrize("name", KERNELS)
def test_ports_carry_whole_tensors(name: str, requantiser: Any) -> None:
    """S1: with any number of lanes, and elements of the kernel's types."""
    for built in offered(KERNELS[name], requantiser):
        first = offered(KERNELS[name], requantiser)[0]
        for mine, theirs in (
            (built.inputs, first.inputs),
            (built.outputs, first.outputs),
        ):
            assert [(p.type, p.elements) for p in mine] == [(p.type, p.elements) for p in theirs]
        assert len(built.input_names) == len(built.inputs)
        assert len(built.output_names) == len(built.outputs)
        for port in (*built.inputs, *built.outputs):
            assert port.padded == (port.run % port.lanes != 0 if port.run else False)


@pytest.mark.parametrize("name", KERNELS)
def test_cycles_come_true(name: str, requantiser: Any) -> None:
    """K4: the interval that an implementation says is the one that its schedule has."""
    for built in offered(KERNELS[name], requantiser):
        found, _, _ = run(built, 6)
        assert found.cycles_per_inference == built.cycles


@pytest.mark.parametrize("name", ["dense", "whole", "max", "add", "alike"])
def test_latency_comes_true(name: str, requantiser: Any) -> None:
    """K4: from the last beat that the first result needs to that result.

    All of these but the element by element ones need the whole tensor.
    """
    for built in offered(KERNELS[name], requantiser):
        _, sources, targets = run(built, 1)
        need = 0 if name in ("add", "alike") else built.inputs[0].beats - 1
        assert targets[0].offer.of(0)[0] == sources[0].take.of(0)[need] + built.latency


@pytest.mark.parametrize("name", KERNELS)
def test_more_lanes_cost_more_and_take_no_longer(name: str, requantiser: Any) -> None:
    every = offered(KERNELS[name], requantiser)
    for built in every:
        assert all(a > 0 and b > 0 for a, b in built.cost.products)
        assert all(width > 0 and depth > 0 for width, depth in built.cost.memories)
        assert built.effort > 0
    for a in every:
        for b in every:
            if a.strategy == b.strategy and all(
                x <= y for x, y in zip(a.parallelism, b.parallelism, strict=True)
            ):
                assert a.cycles >= b.cycles
                assert len(a.cost.products) <= len(b.cost.products)


def test_streams_of_runs() -> None:
    """S1: 5 channels by 3 take 2 beats a pixel; by 5 they are full."""
    port = StreamPort.of(INT8, 3, 20, 5)
    assert (port.beats, port.run, port.padded, port.elements) == (8, 5, True, 20)
    port = StreamPort.of(INT8, 5, 20, 5)
    assert (port.beats, port.run, port.padded, port.elements) == (4, 0, False, 20)
    port = StreamPort.of(INT8, 1, 20, 5)
    assert (port.beats, port.run, port.padded, port.elements) == (20, 0, False, 20)
    port = StreamPort.of(INT8, 8, 20, 5)
    assert (port.beats, port.run, port.padded, port.elements) == (4, 5, True, 20)


def test_finishers_of_beats_that_are_not_full() -> None:
    """What computes for lanes beyond the channels is the last channel's, and never widens it."""
    kernel = PoolKernel(Geometry((1, 1)), 5, INT8, "max", 0)
    built = kernel.implementations([Direct(5, -128, 127)], [INT8])
    assert {each.lanes: each.folds for each in built} == {1: 5, 2: 3, 3: 2, 5: 1}


PROGRAM = """
import sys
import numpy as np
from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.program import canonical, described_by
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule
kernel = ConvKernel(Geometry((2, 2)), 3, IntType(8, True), np.ones((2, 1, 1, 3), int), False, 0)
direct = Direct(2, -384, 381)
for built in kernel.implementations([direct], [IntType(10, True)]):
    schedule = Schedule()
    source = schedule.source("i", built.inputs[0].beats)
    target = schedule.edge("o", built.outputs[0].beats)
    built.timing(schedule, "c", [source], [target])
    schedule.sink(target)
    schedule.run(2)
    built.cost, built.cycles, built.latency, built.effort, described_by(canonical(built))
    kernel.images(built, [direct], "c")
sys.exit(any(name.partition(".")[0] in ("amaranth", "onnx") for name in sys.modules))
"""


def test_planning_loads_no_amaranth() -> None:
    """K3: nor ONNX."""
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0


def test_what_is_too_wide_to_be_built(requantiser: Any) -> None:
    """A word of weights of 2**16 bits, and beats of more than 2**13; less is as wide as it gets."""
    weights = np.random.default_rng(5).integers(-128, 128, (256, 1, 1, 256))
    dense = offered(ConvKernel(Geometry((1, 1)), 256, INT8, weights, False, 0), requantiser)
    assert {built.buildable for built in dense} == {True, False}
    for built in dense:
        pe, simd = built.parallelism
        assert built.buildable == (pe * simd * 8 <= MOST_BITS)
    add = offered(EltwiseKernel((IntType(16, True), INT8), 4096, 4096, 1), requantiser)
    assert {built.buildable for built in add} == {True, False}
    for built in add:
        assert built.buildable == (built.parallelism[0] * 16 <= MOST_PORT_BITS)
