# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Unrolled dense layers in RTL: exact under stalls, a vector every cycle, cycles as predicted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from midwire.hw.datapath.ranges import shape_for
from midwire.hw.datapath.stream import beats
from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.unrolled import UnrolledDense, unrolled
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

INT8 = IntType(8, True)
VECTORS = 4


def ranges_of(weight: Any, x: IntType) -> list[tuple[int, int]]:
    ends = np.stack([weight * x.lo, weight * x.hi])
    return list(zip(ends.min(0).sum(1).tolist(), ends.max(0).sum(1).tolist(), strict=True))


def plain(weight: Any, x: IntType) -> UnrolledDense:
    """A layer whose accumulators are its outputs."""
    ranges = ranges_of(weight, x)
    low, high = min(lo for lo, _ in ranges), max(hi for _, hi in ranges)
    finisher = Direct(len(weight), low, high)
    built = unrolled(weight, x, ranges, finisher, IntType.holding(low, high), VECTORS)
    assert built is not None
    return built


def matrices() -> Mapping[str, tuple[Any, IntType]]:
    rng = np.random.default_rng(11)
    cases: dict[str, tuple[Any, IntType]] = {
        "powers": (np.array([[1, 0, -8], [0, 0, 0], [2, 64, 0]]), INT8),
        "wires": (np.array([[1, 0], [0, 4]]), INT8),
        "zero_columns": (np.array([[0, 3, 0, 5], [0, -7, 0, 0]]), INT8),
        "negative": (np.array([[-3, -5, -1], [-1, 0, 0]]), IntType(5, False)),
        "one_bit": (rng.integers(-1, 2, (5, 9)), IntType(1, False)),
        "one_signed_bit": (rng.integers(-4, 5, (3, 7)), IntType(1, True)),
        "equal_rows": (np.array([[3, 5, 9], [6, 10, 18], [-3, -5, -9]]), INT8),
        "far_apart": (np.array([[1, 4096], [4095, -4096]]), IntType(6, True)),
        "unsigned": (rng.integers(-31, 32, (4, 6)), IntType(7, False)),
        "wide": (rng.integers(-500, 501, (2, 5)), IntType(12, True)),
        "deep": (rng.integers(-127, 128, (2, 20)), INT8),
    }
    for k in range(6):
        weight = rng.integers(-15, 16, rng.integers(1, 6, 2))
        weight[rng.random(weight.shape) < 0.3] = 0
        cases[f"random{k}"] = weight, IntType(int(rng.integers(1, 9)), bool(k % 2))
    return cases


CASES = matrices()


class Beside(wiring.Component):
    """Layers side by side, with ports ``i0, i1, ...`` and ``o0, o1, ...``."""

    def __init__(self, layers: list[UnrolledDense]) -> None:
        self.layers = layers
        members: dict[str, Any] = {}
        for k, layer in enumerate(layers):
            (i,), (o,) = layer.inputs, layer.outputs
            members[f"i{k}"] = In(beats(shape_for(i.type), i.lanes))
            members[f"o{k}"] = Out(beats(shape_for(o.type), o.lanes))
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        for k, layer in enumerate(self.layers):
            m.submodules[f"layer{k}"] = component = layer.component(f"l{k}")
            wiring.connect(m, wiring.flipped(getattr(self, f"i{k}")), component.i)
            wiring.connect(m, component.o, wiring.flipped(getattr(self, f"o{k}")))
        return m


def predicted(layers: list[UnrolledDense], inferences: int) -> Any:
    schedule = Schedule()
    for k, layer in enumerate(layers):
        source = schedule.source(f"i{k}", layer.vectors)
        target = schedule.edge(f"o{k}", layer.vectors)
        layer.timing(schedule, f"l{k}", [source], [target])
        schedule.sink(target)
    return schedule.run(inferences)


def test_all_kinds_of_matrices(tmp_path: Path, bench: Any, check: Any) -> None:
    """Zero rows and columns, powers of two, 1-bit types, negations, wide shifts; in one design."""
    layers = [plain(weight, x) for weight, x in CASES.values()]
    rng = np.random.default_rng(2)
    arrays, wanted = [], []
    for weight, x in CASES.values():
        values = rng.integers(x.lo, x.hi + 1, (6, VECTORS, weight.shape[1]))
        values[0, 0], values[0, 1] = x.lo, x.hi
        arrays.append(values)
        wanted.append(values @ weight.T)
    names = range(len(layers))
    dut = bench(Beside(layers), [f"i{k}" for k in names], [f"o{k}" for k in names])
    check(dut, arrays, wanted, predicted(layers, 6))


def test_a_dense_layer(bench: Any, check: Any, requantiser: Any) -> None:
    """16 inputs, 8 outputs, 8 bits: a vector every cycle, and exactly the latency that it says."""
    rng = np.random.default_rng(16)
    weight = rng.integers(-127, 128, (8, 16))
    ranges = ranges_of(weight, INT8)
    span = min(lo for lo, _ in ranges), max(hi for _, hi in ranges)
    finisher = requantiser(rng, 8, [span], (8, True))
    built = unrolled(weight.reshape(8, 1, 1, 16), INT8, ranges, finisher, INT8, 12)
    assert built is not None
    assert built.graph.output_ranges == tuple(ranges)
    x = rng.integers(-128, 128, (20, 12, 16))
    wanted = finisher.apply(x @ weight.T)
    assert len(np.unique(wanted)) > 100
    run = predicted([built], 20)
    assert run.cycles_per_inference == built.cycles == 12
    # The first of 12 vectors goes in, and comes out after the latency; 11 more follow.
    assert run.latency == built.latency + 12
    assert built.strategy == "unrolled"
    assert finisher.images(built.unit, "layer_finish.hex") == {}
    check(bench(built.component("layer")), [x], [wanted], run)


def test_what_is_too_large_is_not_tried() -> None:
    weight = np.full((2, 2), 0b101)
    ranges = ranges_of(weight, INT8)
    direct = Direct(2, *ranges[0])
    wide = IntType(12, True)
    assert unrolled(weight, INT8, ranges, direct, wide, 1, most_digits=7) is None
    built = unrolled(weight, INT8, ranges, direct, wide, 1, most_digits=8)
    assert built is not None
    assert hash(built) == hash(unrolled(weight, INT8, ranges, direct, wide, 1))
    with pytest.raises(
        ValueError, match=r"a matrix \(outputs, inputs\) can be unrolled, not \(2, 3"
    ):
        unrolled(np.zeros((2, 3, 3, 2), dtype=np.int64), INT8, ranges, direct, wide, 1)
