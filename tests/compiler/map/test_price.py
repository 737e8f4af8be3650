# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cost model against what Yosys 0.70 counted on xcup, and the choice that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back import verilog

import midwire.hw
from midwire.compiler.map.price import price
from midwire.compiler.map.targets import TARGETS
from midwire.hw.finish.direct import Direct
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.kernels.adapt import LaneAdapter, StreamFifo
from midwire.hw.kernels.base import Implementation, StreamPort
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.folded_convolution import FoldedConvolution
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.kernels.unrolled import unrolled
from midwire.hw.numeric import IntType
from midwire.hw.timing.cost import Cost
from midwire.sim.synth import synthesise

from ...hw.trees import random_trees

XCUP, ECP5 = TARGETS["xcup"], TARGETS["ecp5"]
INT8 = IntType(8, True)

Made = tuple[Implementation, Mapping[str, str]]
"""An implementation, and its memory images under the name "dut"."""


def shifter(rng: Any, channels: int, spans: list[tuple[int, int]]) -> MultiplyShift:
    """Multipliers of 12 bits, and offsets that differ."""
    span = sum(hi - lo for lo, hi in spans) + 1
    shift = max(1, int(np.ceil(np.log2(span / 256 * 3000))))
    return MultiplyShift(
        multiplier=(rng.uniform(0.5, 1.0, (channels, len(spans))) * 4096).astype(np.int64),
        offset=rng.integers(-(1 << shift), 1 << shift, channels),
        shift=shift,
        tie=0,
        parity=0,
        lo=np.full(channels, -128),
        hi=np.full(channels, 127),
    )


def conv(kernel: int, pe: int, simd: int, size: int = 8, depthwise: bool = False) -> Made:
    """16 to 16 channels, 8 bits."""
    rng = np.random.default_rng(5)
    weight = rng.integers(-127, 128, (16, kernel, kernel, 1 if depthwise else 16))
    geometry = Geometry((size, size), (kernel, kernel), pads=(kernel // 2,) * 4)
    made = ConvKernel(geometry, 16, INT8, weight, depthwise, 0)
    ends = [span for (span,) in made.ranges[0]]
    span = min(lo for lo, _ in ends), max(hi for _, hi in ends)
    finishers = [shifter(rng, 16, [span])]
    built = next(
        each
        for each in made.implementations(finishers, [INT8])
        if isinstance(each, FoldedConvolution) and each.parallelism == (pe, simd)
    )
    return built, made.images(built, finishers, "dut")


def dense(outputs: int, inputs: int, peak: int, share: float, shifted: bool = False) -> Made:
    """An unrolled dense layer."""
    rng = np.random.default_rng(5)
    weight = rng.integers(-peak, peak + 1, (outputs, inputs))
    weight[rng.random(weight.shape) > share] = 0
    ends = np.stack([weight * -128, weight * 127])
    ranges = list(zip(ends.min(0).sum(1).tolist(), ends.max(0).sum(1).tolist(), strict=True))
    span = min(lo for lo, _ in ranges), max(hi for _, hi in ranges)
    finisher = shifter(rng, outputs, [span]) if shifted else Direct(outputs, *span)
    out = INT8 if shifted else IntType.holding(*span)
    built = unrolled(weight, INT8, ranges, finisher, out, 4)
    assert built is not None
    return built, {}


def eltwise(terms: int, lanes: int) -> Made:
    """One or two streams of 8 channels."""
    made = EltwiseKernel((INT8,) * terms, 32, 8, 8)
    finishers = [shifter(np.random.default_rng(5), 8, [(-128, 127)] * terms)]
    offered = made.implementations(finishers, [INT8])
    built = next(each for each in offered if each.outputs[0].lanes == lanes)
    return built, made.images(built, finishers, "dut")


def largest(lanes: int) -> Made:
    """A 2 x 2 MaxPool of 16 channels."""
    made = PoolKernel(Geometry((8, 8), (2, 2), (2, 2)), 16, INT8, "max", 0)
    offered = made.implementations([Direct(16, -128, 127)], [INT8])
    return next(each for each in offered if each.outputs[0].lanes == lanes), {}


def trees(nodes: list[int], x: IntType, outputs: int) -> Made:
    """Random trees over 6 features."""
    made = random_trees(np.random.default_rng(5), x, 6, nodes, outputs)
    spans = made.output_ranges
    span = min(lo for lo, _ in spans), max(hi for _, hi in spans)
    (built,) = made.implementations([Direct(outputs, *span)], [IntType.holding(*span)])
    return built, {}


def fifo(lanes: int, depth: int) -> Made:
    return StreamFifo(StreamPort(INT8, lanes, 64), depth), {}


def adapter(lanes_in: int, lanes_out: int) -> Made:
    source, sink = (StreamPort(INT8, lanes, 24 // lanes) for lanes in (lanes_in, lanes_out))
    return LaneAdapter(source, sink), {}


Counts = tuple[int, int, int, int, int]
"""LUTs, LUTs as memory, flip-flops, multipliers, block memories."""

COUNTED: dict[str, tuple[Callable[[], Made], Counts]] = {
    "fifo 4 x 16": (lambda: fifo(4, 16), (12, 24, 13, 0, 0)),
    "fifo 4 x 100": (lambda: fifo(4, 100), (78, 0, 55, 0, 1)),
    "fifo 4 x 200": (lambda: fifo(4, 200), (77, 0, 58, 0, 1)),
    "fifo 8 x 1000": (lambda: fifo(8, 1000), (121, 0, 96, 0, 4)),
    "fifo 8 x 2": (lambda: fifo(8, 2), (7, 40, 4, 0, 0)),
    "lanes 1 to 8": (lambda: adapter(1, 8), (11, 0, 69, 0, 0)),
    "lanes 8 to 1": (lambda: adapter(8, 1), (27, 0, 3, 0, 0)),
    "lanes 6 to 4": (lambda: adapter(6, 4), (47, 56, 105, 0, 0)),
    "dense 16 to 8": (lambda: dense(8, 16, 127, 1.0), (2273, 88, 817, 0, 0)),
    "dense 16 to 8, finished": (lambda: dense(8, 16, 127, 1.0, True), (2341, 40, 1192, 8, 0)),
    "dense 16 to 16, 4 bits": (lambda: dense(16, 16, 7, 1.0), (2167, 144, 941, 0, 0)),
    "dense 12 to 12, sparse": (lambda: dense(12, 12, 127, 0.25), (803, 120, 512, 0, 0)),
    "conv 1 x 1 lanes": (lambda: conv(3, 1, 1), (200, 8, 294, 2, 3)),
    "conv 4 x 4 lanes": (lambda: conv(3, 4, 4), (1926, 24, 1052, 20, 1)),
    "conv 8 x 8 lanes": (lambda: conv(3, 8, 8), (3188, 120, 3020, 72, 0)),
    "conv 16 x 4 lanes": (lambda: conv(3, 16, 4), (2674, 80, 3611, 80, 1)),
    "conv 1 x 16 lanes, 3 taps": (lambda: conv(3, 1, 48), (2561, 248, 2689, 49, 0)),
    "conv 2 x 16 lanes, 9 taps": (lambda: conv(3, 2, 144), (7378, 736, 8643, 290, 0)),
    "pointwise 4 x 2 lanes": (lambda: conv(1, 4, 2), (468, 72, 741, 12, 0)),
    "dense folded 4 x 8 lanes": (lambda: conv(1, 4, 8, 1), (1137, 64, 1389, 36, 0)),
    "depthwise 1 lane": (lambda: conv(3, 1, 1, 8, True), (289, 8, 285, 2, 1)),
    "depthwise 4 lanes": (lambda: conv(3, 4, 4, 8, True), (355, 24, 553, 8, 1)),
    "depthwise 16 lanes, 3 taps": (
        lambda: conv(3, 16, 48, 8, True),
        (1172, 320, 2931, 64, 0),
    ),
    "scale 1 lane": (lambda: eltwise(1, 1), (63, 8, 92, 1, 0)),
    "scale 4 lanes": (lambda: eltwise(1, 4), (84, 24, 166, 4, 0)),
    "add 2 lanes": (lambda: eltwise(2, 2), (105, 16, 160, 4, 0)),
    "a tree": (lambda: trees([40], INT8, 1), (134, 8, 102, 0, 0)),
    "a forest": (lambda: trees([31] * 6, INT8, 2), (687, 16, 494, 0, 0)),
    "a forest, 12 bits": (lambda: trees([15] * 10, IntType(12, False), 3), (987, 24, 628, 0, 0)),
    "maxpool 4 lanes": (lambda: largest(4), (92, 24, 135, 0, 1)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_prices_are_near_what_yosys_counts(name: str) -> None:
    """Multipliers, memories exactly; LUTs within a third, flip-flops within 40 %, or ten bits."""
    make, (lut, lutram, ff, dsp, bram) = COUNTED[name]
    found = price(make()[0].cost, XCUP)
    assert (found.dsp, found.bram, found.lutram) == (dsp, bram, lutram)
    assert abs(found.lut - lut) <= max(lut / 3, 10)
    assert abs(found.ff - ff) <= max(0.4 * ff, 10), found


@pytest.mark.sweep
@pytest.mark.parametrize("name", COUNTED)
def test_the_counts_are_yosys_own(name: str, tmp_path: Path) -> None:
    make, counts = COUNTED[name]
    built, images = make()
    text = verilog.convert(built.component("dut"), name="dut", emit_src=False)
    (tmp_path / "dut.v").write_text(text)
    for file, words in images.items():
        (tmp_path / file).write_text(words)
    memories = sorted((Path(midwire.hw.__file__).parent / "verilog").glob("mw_*.v"))
    files = [tmp_path / file for file in images]
    found = synthesise([tmp_path / "dut.v", *memories], "dut", "xcup", images=files)
    assert found.tool == "Yosys 0.70"
    # Mapping to LUTs depends a little on the order of names.
    assert abs(found.lut - counts[0]) <= 0.02 * counts[0]
    assert (found.lutram, found.ff, found.dsp, found.bram) == counts[1:]


def test_adder_graphs_are_within_a_tenth() -> None:
    for name, (make, (lut, _, ff, _, _)) in COUNTED.items():
        if name.startswith("dense 1"):
            found = price(make()[0].cost, XCUP)
            assert 0 <= found.lut - lut <= lut / 10
            assert abs(found.ff - ff) <= ff / 10


def test_narrow_products_are_logic() -> None:
    """A product of less than 9 bits, or of one bit, gets no hard multiplier."""
    assert price(Cost(products=((4, 4), (19, 1))), XCUP).dsp == 0
    assert price(Cost(products=((4, 4),)), XCUP).lut == 16
    assert price(Cost(products=((8, 8), (27, 18))), XCUP).dsp == 2
    assert price(Cost(products=((28, 18), (20, 20))), XCUP).dsp == 4
    assert price(Cost(products=((20, 20),)), ECP5).dsp == 4


def test_memories_take_the_best_shape() -> None:
    assert price(Cost(memories=((8, 2304),)), XCUP).bram == 2
    assert price(Cost(memories=((9, 2048),)), XCUP).bram == 1
    assert price(Cost(memories=((7, 64),)), XCUP).lutram == 8
    # Fixed words stay out of block memories for longer than variable ones.
    assert price(Cost(roms=((128, 100),)), XCUP).bram == 0
    assert price(Cost(memories=((128, 100),)), XCUP).bram == 4


def test_the_scalar_is_the_share_of_a_device() -> None:
    """All LUTs of a device cost as much as all of its flip-flops, multipliers or memories."""
    for target in TARGETS.values():
        device = target.device
        whole = price(Cost(adders=device.lut), target).scalar
        for cost in (
            Cost(registers=device.ff),
            Cost(products=((16, 16),) * device.dsp),
            Cost(memories=((36, 512),) * device.bram),
        ):
            assert price(cost, target).scalar == pytest.approx(whole)


def test_costs_add_up() -> None:
    a, b = conv(3, 4, 4)[0].cost, fifo(8, 1000)[0].cost
    both, (first, second) = price(a + b, XCUP), (price(a, XCUP), price(b, XCUP))
    assert both.scalar == pytest.approx(first.scalar + second.scalar)
    assert (both.dsp, both.bram) == (first.dsp + second.dsp, first.bram + second.bram)


def test_unrolling_pays_where_every_cycle_counts() -> None:
    """A vector every cycle: adders beat multipliers; a vector every 64: they do not."""
    adders = price(dense(16, 16, 127, 1.0, True)[0].cost, XCUP).scalar
    assert adders < price(conv(1, 16, 16, 1)[0].cost, XCUP).scalar
    assert adders > price(conv(1, 2, 2, 1)[0].cost, XCUP).scalar
