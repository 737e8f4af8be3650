# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finishers in RTL, all in one design: rules F1 to F4, and latencies by the cycle model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from midwire.hw.datapath.ranges import shape_for
from midwire.hw.datapath.stream import beats
from midwire.hw.finish.base import Finisher
from midwire.hw.finish.direct import Direct
from midwire.hw.finish.table import Table
from midwire.hw.finish.thresholds import Thresholds
from midwire.hw.kernels.eltwise import EltwiseKernel, FoldedEltwise
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

DEPTH, PIXELS = 4, 70
BYTE, WIDE = IntType(8, True), IntType(13, True)


def table(rng: np.random.Generator, x: IntType, out: IntType, shared: bool) -> Table:
    shape = (1 if shared else DEPTH, x.hi - x.lo + 1)
    return Table(DEPTH, x.lo, rng.integers(out.lo, out.hi + 1, shape))


def thresholds(
    rng: np.random.Generator, x: IntType, out: IntType, steps: int, own: tuple[bool, bool]
) -> Thresholds:
    rows, results = (DEPTH if each else 1 for each in own)
    points = np.sort(rng.integers(x.lo, x.hi + 1, (rows, steps)), axis=1)
    return Thresholds(DEPTH, points, rng.integers(out.lo, out.hi + 1, (results, steps + 1)))


def cases() -> dict[str, tuple[Finisher, IntType, IntType, int]]:
    """Finisher, types of accumulators and results, lanes."""
    rng = np.random.default_rng(8)
    byte, nibble = IntType(8, False), IntType(4, True)
    found: dict[str, tuple[Finisher, IntType, IntType, int]] = {
        "direct": (Direct(DEPTH, 0, 15), IntType(4, False), BYTE, 2),
        "one bit": (table(rng, IntType(1, True), nibble, True), IntType(1, True), nibble, 2),
        "small results": (table(rng, BYTE, IntType(3, False), True), BYTE, BYTE, 1),
    }
    for lanes in (1, 2, 4):
        found[f"table, {lanes}"] = table(rng, BYTE, byte, True), BYTE, byte, lanes
        found[f"tables, {lanes}"] = table(rng, BYTE, nibble, False), BYTE, nibble, lanes
        for steps, own in ((1, (False, False)), (3, (True, False)), (15, (True, False))):
            name = f"compared {steps}, {lanes}"
            found[name] = thresholds(rng, WIDE, BYTE, steps, own), WIDE, BYTE, lanes
        for steps, own in ((16, (True, False)), (3, (True, True)), (40, (False, True))):
            name = f"searched {steps}, {lanes}"
            found[name] = thresholds(rng, WIDE, BYTE, steps, own), WIDE, BYTE, lanes
    return found


CASES = cases()
LATENCY = {"direct": 0, "one": 1, "small": 1, "table": 1, "tables": 1, "compared": 2}


def built(name: str) -> tuple[FoldedEltwise, dict[str, str]]:
    finisher, x, out, lanes = CASES[name]
    kernel = EltwiseKernel((x,), PIXELS * DEPTH, DEPTH, DEPTH)
    (found,) = (i for i in kernel.implementations([finisher], [out]) if i.unit.lanes == lanes)
    return found, dict(kernel.images(found, [finisher], name.replace(", ", "_").replace(" ", "_")))


class Finishers(wiring.Component):
    """An elementwise stage for each case, side by side."""

    def __init__(self) -> None:
        members: dict[str, Any] = {}
        for k, (_, x, out, lanes) in enumerate(CASES.values()):
            members[f"i{k}"] = In(beats(shape_for(x), lanes))
            members[f"o{k}"] = Out(beats(shape_for(out), lanes))
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        for k, name in enumerate(CASES):
            part = built(name)[0].component(name.replace(", ", "_").replace(" ", "_"))
            m.submodules[f"stage{k}"] = part
            wiring.connect(m, wiring.flipped(getattr(self, f"i{k}")), part.i0)
            wiring.connect(m, part.o, wiring.flipped(getattr(self, f"o{k}")))
        return m


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory, bench_in: Any) -> Any:
    files = {file: text for name in CASES for file, text in built(name)[1].items()}
    folder: Path = tmp_path_factory.mktemp("finishers")
    ports = range(len(CASES))
    return bench_in(folder, Finishers(), [f"i{k}" for k in ports], [f"o{k}" for k in ports], files)


def test_every_result_under_stalls(stages: Any, check: Any) -> None:
    """F1, F3: numpy and RTL agree, for every accumulator of a byte and many of more bits."""
    rng = np.random.default_rng(9)
    print("seed 9")
    arrays, wanted = [], []
    for finisher, x, _, _ in CASES.values():
        accs = rng.integers(x.lo, x.hi + 1, (5, PIXELS, DEPTH))
        every = np.arange(x.lo, x.hi + 1)[: 4 * PIXELS]
        for channel in range(DEPTH):
            accs[:4, :, channel] = np.resize(every, (4, PIXELS))
        low, high = (finisher.low, finisher.high) if isinstance(finisher, Direct) else (x.lo, x.hi)
        accs = accs.clip(low, high)
        arrays.append(accs)
        wanted.append(finisher.apply(accs))
    check(stages, arrays, wanted)


@pytest.mark.parametrize("k", range(len(CASES)), ids=lambda k: list(CASES)[k])
def test_latency(k: int, stages: Any) -> None:
    """F4: case ``k`` runs long tensors and the others one beat, so it decides the end."""
    schedule = Schedule()
    arrays, shapes = [], []
    for j, name in enumerate(CASES):
        implementation, _ = built(name)
        _, x, _, lanes = CASES[name]
        elements = PIXELS * DEPTH if j == k else lanes
        source = schedule.source(f"i{j}", elements // lanes)
        target = schedule.edge(f"o{j}", elements // lanes)
        implementation.timing(schedule, name, [source], [target])
        schedule.sink(target)
        arrays.append(np.full((3, elements), max(0, x.lo)))
        shapes.append((elements,))
    predicted = schedule.run(3)
    _, result = stages.run(*arrays, out=shapes)
    first = int(result.first_in[0]) - predicted.first_in[0]
    assert [int(c) - first for c in result.last_out] == list(predicted.last_out)


def test_units_are_data() -> None:
    """F2: equal for other values of the memories, and hashable; the images differ."""
    rng = np.random.default_rng(10)
    for make in (
        lambda: table(rng, BYTE, BYTE, False),
        lambda: thresholds(rng, WIDE, BYTE, 40, (True, True)),
    ):
        ends = [np.array([[-128], [127]]), np.array([[WIDE.lo], [WIDE.hi]])]
        finishers = []
        for _ in range(2):
            finisher = make()
            if isinstance(finisher, Table):
                finisher.table[:, :2] = ends[0].T
            else:
                finisher.values[:, :2] = ends[0].T
                finisher.thresholds[:, [0, -1]] = ends[1].T
            finishers.append(finisher)
        span = (BYTE.lo, BYTE.hi) if isinstance(finishers[0], Table) else (WIDE.lo, WIDE.hi)
        units = {finisher.unit(2, [span], BYTE) for finisher in finishers}
        assert len(units) == 1
        (unit,) = units
        images = [finisher.images(unit, "a.hex") for finisher in finishers]
        assert images[0].keys() == images[1].keys() and images[0] != images[1]
        assert all(name.startswith("a_") and name.endswith(".hex") for name in images[0])


def test_what_a_unit_says_of_itself() -> None:
    for name, (finisher, x, out, lanes) in CASES.items():
        unit = finisher.unit(lanes, [(x.lo, x.hi)], out)
        kind, number = name.split(",")[0].split(" ")[0], name.split(",")[0].split(" ")[-1]
        if kind == "searched":
            assert unit.latency == int(number).bit_length() + 1
        else:
            assert unit.latency == LATENCY[kind]
        assert (unit.cost.products, unit.lanes, unit.out) == ((), lanes, out)
    shared, own = (
        CASES[name][0].unit(2, [(-128, 127)], IntType(9, True))
        for name in ("table, 2", "tables, 2")
    )
    assert shared.cost.roms == ((8, 256), (8, 256))
    assert own.cost.roms == ((4, 512), (4, 512))


def test_messages() -> None:
    rng = np.random.default_rng(11)
    for finisher in (table(rng, BYTE, BYTE, False), thresholds(rng, BYTE, BYTE, 3, (True, False))):
        with pytest.raises(ValueError, match="4 channels are not a multiple of 3 lanes; choose"):
            finisher.unit(3, [(-128, 127)], BYTE)
        with pytest.raises(ValueError, match=r"results from .* do not fit in IntType"):
            finisher.unit(2, [(-128, 127)], IntType(3, True))
    sentence = "accumulators from -129 to 127 have no entries in a table from -128 to 127"
    with pytest.raises(ValueError, match=sentence):
        table(rng, BYTE, BYTE, True).unit(1, [(-129, 127)], BYTE)
    with pytest.raises(ValueError, match=r"accumulators from 0 to 200 do not fit in IntType"):
        Direct(1, 0, 200).unit(1, [(0, 200)], BYTE)
