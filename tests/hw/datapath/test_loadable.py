# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Loadable convolutions: what they do before and after somebody loads another layer (K5, F5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.base import Finisher
from midwire.hw.finish.direct import Direct
from midwire.hw.finish.thresholds import Thresholds
from midwire.hw.formats.images import unpack_image
from midwire.hw.kernels.base import SidePort
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.folded_convolution import LoadableConvolution
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.program import canonical, described_by
from midwire.hw.numeric import IntArray, IntType
from midwire.hw.timing.cost import banked_depth

from .conftest import padded, predicted

BYTE, NIBBLE = IntType(8, True), IntType(4, False)


@dataclass(frozen=True)
class Case:
    """Lanes need not divide channels; ``channels`` and ``lanes`` are those of input and output."""

    geometry: Geometry
    channels: tuple[int, int]
    lanes: tuple[int, int]
    depthwise: bool = False
    x: IntType = BYTE
    out: IntType = BYTE
    zero: int = 0


CASES = {
    "dense": Case(Geometry((1, 1)), (7, 5), (4, 3)),
    "one_word": Case(Geometry((2, 1)), (3, 2), (3, 2), x=IntType(4, False)),
    "conv": Case(Geometry((4, 3), (3, 3), pads=(1, 1, 1, 1)), (2, 4), (2, 2), zero=-7),
    "depthwise": Case(Geometry((4, 3), (2, 2)), (4, 4), (2, 2), depthwise=True, x=NIBBLE, zero=3),
    "thresholds": Case(Geometry((2, 2)), (3, 4), (1, 2), out=NIBBLE),
    "direct": Case(Geometry((2, 2)), (3, 4), (3, 1), out=IntType(18, True)),
}


def thresholds(rng: np.random.Generator, case: Case, span: tuple[int, int]) -> Thresholds:
    """Rising functions of the channels, or one of all, that pass through some of the results."""
    rows, steps = (1, 4) if rng.integers(2) else (case.channels[1], 15)
    points = np.sort(rng.integers(span[0], span[1] + 2, (rows, steps)), axis=1)
    results = np.sort(rng.choice(16, steps + 1, replace=False))
    return Thresholds(case.channels[1], points, results[None])


def layer(case: Case, requantiser: Any, seed: int) -> tuple[ConvKernel, Finisher]:
    """A layer of the case's kind."""
    rng = np.random.default_rng(seed)
    inputs, outputs = case.channels
    shape = (outputs, *case.geometry.kernel, 1 if case.depthwise else inputs)
    weights = rng.integers(-8, 8 - seed, shape)
    weights[0, 0, 0, 0] = -8
    kernel = ConvKernel(case.geometry, inputs, case.x, weights, case.depthwise, case.zero)
    ends = [span for ((span,),) in zip(kernel.ranges[0], strict=True)]
    span = min(lo for lo, _ in ends), max(hi for _, hi in ends)
    if case.out.bits > 8:
        return kernel, Direct(outputs, *span)
    if case.out.bits <= 4:
        return kernel, thresholds(np.random.default_rng(seed), case, span)
    return kernel, requantiser(rng, outputs, [span], (case.out.bits, case.out.signed))


def loadable(kernel: ConvKernel, finisher: Finisher, case: Case) -> LoadableConvolution:
    """The loadable implementation with the case's lanes."""
    simd, pe = case.lanes
    (found,) = (
        each
        for each in kernel.loadable([finisher], [case.out])
        if isinstance(each, LoadableConvolution) and each.parallelism == (pe, simd)
    )
    return found


@pytest.mark.parametrize("name", CASES)
def test_another_layer_can_be_loaded(
    name: str, bench: Any, check: Callable[..., None], requantiser: Any
) -> None:
    """The image's results, then those of what is loaded, exactly and in the same cycles; and back.
    One build serves both layers, because their descriptions are equal (K3).
    """
    case = CASES[name]
    layers = [layer(case, requantiser, seed) for seed in (1, 2)]
    built = loadable(*layers[0], case)
    other = loadable(*layers[1], case)
    assert (built, hash(built), canonical(built)) == (other, hash(other), canonical(other))
    again = described_by(canonical(built))
    assert (again, hash(again)) == (built, hash(built))
    images = [kernel.images(built, [finisher], "dut") for kernel, finisher in layers]
    sides = built.side_ports
    assert {side.image("dut") for side in sides} == set(images[0])
    dut = bench(again.component("dut"), files=dict(images[0]), sides=[side.name for side in sides])
    assert dut.model.side_beat_bytes == tuple(side.word_bytes for side in sides)

    rng = np.random.default_rng(3)
    print("seed 3")
    (port,) = built.inputs
    x = rng.integers(case.x.lo, case.x.hi + 1, (5, port.elements))
    given = padded(x, port, rng)
    prediction = predicted(built, len(x))
    wanted = [results(kernel, finisher, x) for kernel, finisher in layers]
    assert (wanted[0] != wanted[1]).mean() > 0.3
    check(dut, [given], [wanted[0]], prediction, built.outputs)
    for turn, stall in ((1, 0.4), (0, 0.0), (1, 0.0)):
        for k, side in enumerate(sides):
            words = unpack_image(images[turn][side.image("dut")], side.width)
            assert words.shape == (side.depth, side.word_bytes)
            dut.model.load(k, words[-1:])  # ends at once: the next word is that of address 0 again
            dut.model.load(k, np.concatenate([words[::-1], words]), stall=stall, seed=turn)
        check(
            dut, [given], [wanted[1 - turn]], prediction, built.outputs
        )  # those of the bank that is read
        dut.model.choose(turn)
        dut.model.reset()  # undoes nothing
        check(dut, [given], [wanted[turn]], prediction, built.outputs)


def results(kernel: ConvKernel, finisher: Finisher, x: IntArray) -> IntArray:
    """What a layer makes of tensors (N, elements)."""
    return finisher.apply(*kernel.run(x)[0]).reshape(len(x), -1)


def test_it_takes_the_cycles_of_the_folded_one(built: Any, requantiser: Any) -> None:
    case = CASES["conv"]
    kernel, finisher = layer(case, requantiser, 1)
    folded = built(kernel, [finisher], [case.out], *reversed(case.lanes))
    mine = loadable(kernel, finisher, case)
    assert (mine.strategy, mine.parallelism) == ("loadable", folded.parallelism)
    assert (mine.cycles, mine.latency) == (folded.cycles, folded.latency)
    assert (mine.inputs, mine.outputs) == (folded.inputs, folded.outputs)
    assert not folded.side_ports


def test_all_that_is_loaded_is_in_writable_memories(requantiser: Any) -> None:
    """The cost tells fixed memories from those that are written."""
    case = CASES["conv"]
    kernel, finisher = layer(case, requantiser, 1)
    mine = loadable(kernel, finisher, case)
    sizes = {(side.width, banked_depth(side.depth)) for side in mine.side_ports}
    assert sizes < set(mine.cost.memories) and not mine.cost.roms
    (folded, *_) = kernel.implementations([finisher], [case.out])
    assert folded.cost.roms
    weights = SidePort("weights", 2 * 2 * 4, 9 * 2)
    assert mine.side_ports[0] == weights
    assert (weights.word_bytes, weights.image("n3")) == (2, "n3_weights.hex")


def test_padding_and_signs_are_part_of_the_description_only_where_they_count(
    requantiser: Any,
) -> None:
    """Another zero point, or weights without negative ones, are no other hardware if nothing is
    padded.
    """
    case = CASES["dense"]
    kernel, finisher = layer(case, requantiser, 1)
    mine = loadable(kernel, finisher, case)
    other = ConvKernel(kernel.geometry, 7, BYTE, abs(kernel.weight) % 8, False, 9)
    assert loadable(other, finisher, case) == mine
    case = CASES["conv"]
    kernel, finisher = layer(case, requantiser, 1)
    other = ConvKernel(kernel.geometry, 2, BYTE, kernel.weight, False, 9)
    assert loadable(other, finisher, case) != loadable(kernel, finisher, case)
