# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Lane adapters in RTL, all in one design: rules L1, L2, S1 to S4, and the cycle model's T1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from midwire.hw.datapath.lanes import Adapter, Fill, Narrow, Trim, Widen
from midwire.hw.datapath.stream import beats
from midwire.hw.kernels.adapt import adapters
from midwire.hw.kernels.base import StreamPort
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

INT5 = IntType(5, True)
RUNS = 4

Pair = tuple[StreamPort, StreamPort]


def pair(lanes_in: int, run_in: int, lanes_out: int, run_out: int, elements: int) -> Pair:
    return (
        StreamPort.of(INT5, lanes_in, elements, run_in),
        StreamPort.of(INT5, lanes_out, elements, run_out),
    )


def pairs() -> Iterator[Pair]:
    """Every padded port of up to 4 lanes and runs of up to 6, filled and trimmed; and mixtures."""
    for lanes in (2, 3, 4):
        for run in range(1, 7):
            if run % lanes:
                yield pair(1, run, lanes, run, run * RUNS)
                yield pair(lanes, run, 1, run, run * RUNS)
    for lanes_in, lanes_out in [(1, 3), (3, 1), (2, 4), (4, 2), (2, 3), (3, 2), (4, 6)]:
        yield pair(lanes_in, 24, lanes_out, 24, 24)
    yield pair(4, 6, 4, 10, 60)  # padded on both sides, runs that do not match
    yield pair(4, 6, 3, 20, 60)  # trim to 2, 2 to 1, fill
    yield pair(4, 6, 4, 12, 24)  # trim to 2 lanes, widen
    yield pair(6, 24, 4, 6, 24)  # 6 to 2, fill


PAIRS = list(pairs())


class Chains(wiring.Component):
    """The adapters of every pair, side by side."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        shape = Shape(INT5.bits, INT5.signed)
        members: dict[str, Any] = {}
        for k, (source, sink) in enumerate(pairs):
            members[f"i{k}"] = In(beats(shape, source.lanes))
            members[f"o{k}"] = Out(beats(shape, sink.lanes))
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        for k, (source, sink) in enumerate(self.pairs):
            at = wiring.flipped(getattr(self, f"i{k}"))
            for n, adapter in enumerate(adapters(source, sink)):
                component = adapter.component("")
                m.submodules[f"a{k}_{n}"] = component
                wiring.connect(m, at, component.i)
                at = component.o
            wiring.connect(m, at, wiring.flipped(getattr(self, f"o{k}")))
        return m


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory, bench_in: Any) -> Any:
    names = range(len(PAIRS))
    folder: Path = tmp_path_factory.mktemp("chains")
    return bench_in(folder, Chains(PAIRS), [f"i{k}" for k in names], [f"o{k}" for k in names], {})


def padded(values: Any, port: StreamPort, filler: Any) -> Any:
    """Tensors (N, elements) as the beats of a port: the model of L2."""
    if not port.padded:
        return values
    runs = values.reshape(len(values), -1, port.run)
    room = -port.run % port.lanes
    tail = np.broadcast_to(filler, (*runs.shape[:2], room))
    return np.concatenate([runs, tail], axis=2).reshape(len(values), -1)


def schedule_of(schedule: Schedule, k: int, source: StreamPort, sink: StreamPort) -> None:
    at = schedule.source(f"i{k}", source.beats)
    for n, adapter in enumerate(adapters(source, sink)):
        after = schedule.edge(f"a{k}_{n}", adapter.outputs[0].beats)
        adapter.timing(schedule, f"a{k}_{n}", [at], [after])
        at = after
    schedule.sink(at)


def test_every_element_under_stalls(chains: Any, check: Any) -> None:
    """L1, L2: what fills a beat up on its way in is noise, and zero on its way out."""
    rng = np.random.default_rng(6)
    print("seed 6")
    arrays, wanted = [], []
    for source, sink in PAIRS:
        values = rng.integers(-16, 16, (5, source.elements))
        noise = rng.integers(-16, 16, (5, 1, -source.run % source.lanes if source.padded else 0))
        arrays.append(padded(values, source, noise))
        wanted.append(padded(values, sink, 0))
    check(chains, arrays, wanted)


@pytest.mark.parametrize("k", range(len(PAIRS)), ids=lambda k: f"{k}")
def test_cycles_of_each(k: int, chains: Any) -> None:
    """S4: pair ``k`` runs long tensors and the others their shortest, so it decides the end."""
    schedule = Schedule()
    arrays, shapes = [], []
    for j, (source, sink) in enumerate(PAIRS):
        times = 5 if j == k else 1
        source, sink = (StreamPort(p.type, p.lanes, p.beats * times, p.run) for p in (source, sink))
        schedule_of(schedule, j, source, sink)
        arrays.append(padded(np.zeros((4, source.elements), np.int64), source, 0))
        shapes.append((sink.beats * sink.lanes,))
    predicted = schedule.run(4)
    _, result = chains.run(*arrays, out=shapes)
    first = int(result.first_in[0]) - predicted.first_in[0]
    assert [int(c) - first for c in result.last_out] == list(predicted.last_out)


@pytest.mark.parametrize("k", range(len(PAIRS)))
def test_interval_and_latency(k: int) -> None:
    """What an adapter says of itself is what its schedule does."""
    for adapter in adapters(*PAIRS[k]):
        (i,), (o,) = adapter.inputs, adapter.outputs
        schedule = Schedule()
        at, out = schedule.source("i", i.beats), schedule.edge("o", o.beats)
        adapter.timing(schedule, "a", [at], [out])
        schedule.sink(out)
        assert schedule.run(6).cycles_per_inference == adapter.cycles
        # Beats that are collected before the first one goes out.
        whole = lcm(i.lanes, o.lanes) if not o.padded else min(o.lanes, o.run)
        first = 1 if i.padded else whole // i.lanes
        assert int(out.offer.cycles[0]) == first - 1 + adapter.latency


def test_messages() -> None:
    with pytest.raises(ValueError, match="the ratio of an adapter must be at least 2, not 1"):
        Widen(Shape(5), 2, 1)
    with pytest.raises(ValueError, match="the ratio of an adapter must be at least 2, not 0"):
        Narrow(Shape(5), 2, 0)
    with pytest.raises(ValueError, match="a run of 5 elements is no whole number of beats of 2"):
        Fill(Shape(5), 2, 2, 5)
    with pytest.raises(ValueError, match="a run of 7 elements is no whole number of beats of 3"):
        Trim(Shape(5), 3, 2, 7)
    assert Adapter(Shape(5), 2, 3).lanes_out == 3
