# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Small networks: values under stalls, and the cycle model against the simulator."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import midwire.sim.errors
from midwire.hw.datapath.lanes import Adapter
from midwire.hw.datapath.ranges import shape_for
from midwire.hw.datapath.stream import Fifo, Fork, beat, beats
from midwire.hw.finish.base import Finisher
from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.adapt import RunFill, RunTrim, adapters
from midwire.hw.kernels.base import Implementation, Kernel
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Edge, Schedule, ScheduleDeadlock
from midwire.hw.timing.steady import least_depths

IntArray = npt.NDArray[np.int64]

INT8 = IntType(8, True)


class Net(wiring.Component):
    """Components and connections, given as pairs of ports."""

    def __init__(self, signature: dict[str, Any], parts: dict[str, Any], wires: Any) -> None:
        self._parts = parts
        self._wires = wires
        super().__init__(signature)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
        for a, b in self._wires(self):
            wiring.connect(m, a, b)
        return m


@dataclass(frozen=True)
class Part:
    """A kernel, its finisher, and what is built of it."""

    name: str
    kernel: Kernel
    finisher: Finisher
    built: Implementation

    @classmethod
    def of(cls, name: str, kernel: Kernel, finisher: Finisher, out: IntType, built: Any) -> Part:
        """``built`` chooses the implementation."""
        return cls(name, kernel, finisher, built(kernel, [finisher], [out]))

    @property
    def component(self) -> Any:
        """A new one each time."""
        return self.built.component(self.name)

    @property
    def files(self) -> Mapping[str, str]:
        return self.kernel.images(self.built, [self.finisher], self.name)

    def reference(self, *streams: IntArray) -> IntArray:
        (terms,) = self.kernel.run(*streams)
        return self.finisher.apply(*terms).reshape(len(streams[0]), -1)

    def timing(self, schedule: Schedule, *edges: Edge) -> None:
        self.built.timing(schedule, self.name, edges[:-1], edges[-1:])


def conv(
    name: str,
    geometry: Geometry,
    channels: tuple[int, int],
    folding: tuple[int, int],
    requantiser: Any,
    rng: np.random.Generator,
    built: Any,
    **options: Any,
) -> Part:
    weights = rng.integers(-128, 128, (channels[1], *geometry.kernel, channels[0]))
    peak = 128 * 128 * geometry.taps * channels[0]
    kernel = ConvKernel(geometry, channels[0], INT8, weights, False, 0)
    finisher = requantiser(rng, channels[1], [(-peak // 4, peak // 4)], (8, True))
    pe, simd = folding
    choose = functools.partial(built, pe=pe, simd=simd, **options)
    return Part.of(name, kernel, finisher, INT8, choose)


@pytest.mark.parametrize("second_depth", [None, 1])
def test_conv_conv(
    second_depth: int | None, bench: Any, check: Any, requantiser: Any, built: Any
) -> None:
    rng = np.random.default_rng(7)
    first = conv(
        "a", Geometry((6, 6), (3, 3), pads=(1, 1, 1, 1)), (2, 6), (3, 2), requantiser, rng, built
    )
    second = conv(
        "b",
        Geometry((6, 6), (3, 3), (2, 2), pads=(0, 0, 1, 1)),
        (6, 4),
        (4, 2),
        requantiser,
        rng,
        built,
        depth=second_depth,
    )
    a, b = first.component, second.component
    adapter = Adapter(shape_for(INT8), 3, 2)
    net = Net(
        {"i": In(beats(shape_for(INT8), 2)), "o": Out(beats(shape_for(INT8), 4))},
        {"a": a, "b": b, "adapter": adapter},
        lambda self: [
            (wiring.flipped(self.i), a.i),
            (a.o, adapter.i),
            (adapter.o, b.i),
            (b.o, wiring.flipped(self.o)),
        ],
    )
    x = rng.integers(-128, 128, (6, 6 * 6 * 2))
    wanted = second.reference(first.reference(x))
    schedule = Schedule()
    edges = [schedule.source("in", 36), schedule.edge("a", 72), schedule.edge("adapted", 108)]
    edges.append(schedule.edge("out", 9))
    first.timing(schedule, edges[0], edges[1])
    schedule.adapter(edges[1], edges[2], 3, 2)
    second.timing(schedule, edges[2], edges[3])
    schedule.sink(edges[3])
    dut = bench(net, files={**first.files, **second.files})
    check(dut, [x], [wanted], schedule.run(len(x)))


def test_padded_chain(bench: Any, check: Any, requantiser: Any, built: Any) -> None:
    """A1 to A3, S1: 5 channels as 3 and 2, then as 2, 2 and 1, through the adapters that the
    compiler would take; what fills a beat up never gets into a result.
    """
    rng = np.random.default_rng(9)
    first = conv("a", Geometry((3, 3)), (4, 5), (3, 4), requantiser, rng, built)
    second = conv("b", Geometry((3, 3), (2, 2)), (5, 2), (2, 2), requantiser, rng, built)
    chain = adapters(first.built.outputs[0], second.built.inputs[0])
    assert [type(each) for each in chain] == [RunTrim, RunFill]
    middle = [each.component("") for each in chain]
    parts = [first.component, *middle, second.component]
    net = Net(
        {"i": In(beats(shape_for(INT8), 4)), "o": Out(beats(shape_for(INT8), 2))},
        {f"p{k}": part for k, part in enumerate(parts)},
        lambda self: [
            (wiring.flipped(self.i), parts[0].i),
            *((before.o, after.i) for before, after in pairwise(parts)),
            (parts[-1].o, wiring.flipped(self.o)),
        ],
    )
    schedule = Schedule()
    edge = schedule.source("in", first.built.inputs[0].beats)
    for k, each in enumerate([first.built, *chain, second.built]):
        after = schedule.edge(f"e{k}", each.outputs[0].beats)
        each.timing(schedule, f"p{k}", [edge], [after])
        edge = after
    schedule.sink(edge)
    x = rng.integers(-128, 128, (6, 3 * 3 * 4))
    wanted = second.reference(first.reference(x))
    dut = bench(net, files={**first.files, **second.files})
    check(dut, [x], [wanted], schedule.run(len(x)))


def residual(depth: int | None, requantiser: Any, built: Any) -> tuple[Schedule, Any]:
    """fork -> (conv 3x3, FIFO) -> add -> depthwise -> pool."""
    rng = np.random.default_rng(8)
    one = functools.partial(built, pe=1)
    body = conv(
        "body", Geometry((5, 5), (3, 3), pads=(1, 1, 1, 1)), (2, 2), (1, 1), requantiser, rng, built
    )
    add = Part.of(
        "add",
        EltwiseKernel((INT8, INT8), 5 * 5 * 2, 2, 2),
        requantiser(rng, 2, [(-128, 127), (-128, 127)], (8, True), shared=True),
        INT8,
        one,
    )
    weights = rng.integers(-128, 128, (2, 2, 2, 1))
    dw = Part.of(
        "dw",
        ConvKernel(Geometry((5, 5), (2, 2)), 2, INT8, weights, True, 0),
        requantiser(rng, 2, [(-30000, 30000)], (8, True)),
        INT8,
        one,
    )
    span = (-128 * 16, 127 * 16)
    sums = IntType.holding(*span)
    kernel = PoolKernel(Geometry((4, 4), (4, 4)), 2, INT8, "sum", 0)
    pool = Part.of("pool", kernel, Direct(2, *span), sums, one)
    schedule = Schedule()
    source = schedule.source("in", 50)
    names = ("long", "short", "late", "made", "sum", "mixed", "out")
    long, short, late, made, total, mixed, out = (
        schedule.edge(name, {"mixed": 32, "out": 2}.get(name, 50)) for name in names
    )
    schedule.fork(source, [long, short])
    schedule.fifo(short, late, depth)
    body.timing(schedule, long, made)
    add.timing(schedule, made, late, total)
    dw.timing(schedule, total, mixed)
    pool.timing(schedule, mixed, out)
    schedule.sink(out)

    def build(deep: int) -> Any:
        fork = Fork(beat(shape_for(INT8), 1), 2)
        fifo = Fifo(beat(shape_for(INT8), 1), deep)
        parts = {part.name: part.component for part in (body, add, dw, pool)}
        net = Net(
            {"i": In(beats(shape_for(INT8), 1)), "o": Out(beats(shape_for(sums), 1))},
            {"fork": fork, "fifo": fifo, **parts},
            lambda self: [
                (wiring.flipped(self.i), fork.i),
                (fork.o[0], parts["body"].i),
                (fork.o[1], fifo.i),
                (parts["body"].o, parts["add"].i0),
                (fifo.o, parts["add"].i1),
                (parts["add"].o, parts["dw"].i),
                (parts["dw"].o, parts["pool"].i),
                (parts["pool"].o, wiring.flipped(self.o)),
            ],
        )
        x = rng.integers(-128, 128, (6, 5 * 5 * 2))
        wanted = pool.reference(dw.reference(add.reference(body.reference(x), x)))
        return net, {**body.files, **add.files, **dw.files}, x, wanted

    return schedule, build


@pytest.mark.parametrize("spare", [0, 1, 7])
def test_residual(spare: int, bench: Any, check: Any, requantiser: Any, built: Any) -> None:
    """The depth that the model asks for is enough for the rate of an endless FIFO."""
    endless, _ = residual(None, requantiser, built)
    run = endless.run(6)
    late = next(edge for edge in endless.edges if edge.name == "late")
    depth = late.occupancy(6) + spare
    schedule, build = residual(depth, requantiser, built)
    predicted = schedule.run(6)
    assert predicted.last_out == run.last_out
    net, files, x, wanted = build(depth)
    check(bench(net, files=files), [x], [wanted], predicted)


def test_shallow_residual(bench: Any, check: Any, requantiser: Any, built: Any) -> None:
    """The least depth without a deadlock is slower, exactly as predicted; one less deadlocks."""
    for depth in range(1, 60):
        schedule, build = residual(depth, requantiser, built)
        try:
            predicted = schedule.run(6)
        except ScheduleDeadlock as error:
            message = str(error)
            continue
        break
    assert "the network deadlocks" in message
    assert "waits for room on 'late'" in message
    net, files, x, _ = residual(depth - 1, requantiser, built)[1](depth - 1)
    dut = bench(net, files=files)
    with pytest.raises(midwire.sim.errors.DeadlockError):
        dut.run(x, out=[(2,)])
    net, files, x, wanted = build(depth)
    check(bench(net, files=files), [x], [wanted], predicted)


def queued(parts: dict[str, Any], name: str, depth: int | None, a: Any, b: Any) -> list[Any]:
    """Connections from ``a`` to ``b`` through a FIFO, or directly where its depth is 0."""
    if not depth:
        return [(a, b)]
    fifo = parts[name]
    return [(a, fifo.i), (fifo.o, b)]


def alike(name: str, terms: int, elements: int, depth: int, requantiser: Any, built: Any) -> Part:
    """One lane of bytes, all requantised alike: a sum, or a change of scale."""
    rng = np.random.default_rng(terms)
    kernel = EltwiseKernel((INT8,) * terms, elements, depth, depth)
    finisher = requantiser(rng, depth, [(-128, 127)] * terms, (8, True), shared=True)
    return Part.of(name, kernel, finisher, INT8, functools.partial(built, pe=1))


def test_a_heavy_stage_behind_a_join(bench: Any, check: Any, requantiser: Any, built: Any) -> None:
    """Cheap, add, heavy, with the least depths: cycles and values for ten inferences."""
    rng = np.random.default_rng(9)
    cheap = alike("cheap", 1, 25, 1, requantiser, built)
    add = alike("add", 2, 25, 1, requantiser, built)
    heavy = conv(
        "heavy",
        Geometry((5, 5), (3, 3), pads=(1, 1, 1, 1)),
        (1, 2),
        (1, 1),
        requantiser,
        rng,
        built,
    )
    schedule = Schedule()
    source = schedule.source("in", 25)
    names = ("long", "short", "scaled", "a", "b", "sum")
    long, short, scaled, a, b, total = (schedule.edge(name, 25) for name in names)
    out = schedule.edge("out", 50)
    schedule.fork(source, [long, short])
    cheap.timing(schedule, long, scaled)
    queues = [schedule.fifo(scaled, a, None), schedule.fifo(short, b, None)]
    add.timing(schedule, a, b, total)
    heavy.timing(schedule, total, out)
    schedule.sink(out)
    latency = schedule.run(1).latency
    interval = least_depths(schedule, dict.fromkeys(queues, 8), 1).interval
    predicted = schedule.run(10)
    assert interval == predicted.cycles_per_inference == 25 * 2 * 9
    assert predicted.latency <= latency
    depths = [queue.depth for queue in queues]
    assert depths[0] == 0 and 0 < (depths[1] or 0) < 8
    int8 = beat(shape_for(INT8), 1)
    parts = {part.name: part.component for part in (cheap, add, heavy)}
    parts |= {"fork": Fork(int8, 2), "fifo": Fifo(int8, depths[1] or 1)}
    fork = parts["fork"]
    net = Net(
        {"i": In(beats(shape_for(INT8), 1)), "o": Out(beats(shape_for(INT8), 1))},
        parts,
        lambda self: [
            (wiring.flipped(self.i), fork.i),
            (fork.o[0], parts["cheap"].i0),
            (parts["cheap"].o, parts["add"].i0),
            *queued(parts, "fifo", depths[1], fork.o[1], parts["add"].i1),
            (parts["add"].o, parts["heavy"].i),
            (parts["heavy"].o, wiring.flipped(self.o)),
        ],
    )
    x = rng.integers(-128, 128, (10, 25))
    wanted = heavy.reference(add.reference(cheap.reference(x), x))
    files = {**cheap.files, **add.files, **heavy.files}
    check(bench(net, files=files), [x], [wanted], predicted)


def test_two_inputs_and_two_outputs(bench: Any, check: Any, requantiser: Any, built: Any) -> None:
    """128 and 16 beats in, 32 and 2 beats out; the inputs meet, and their sum goes two ways."""
    rng = np.random.default_rng(10)
    one = functools.partial(built, pe=1)
    largest = PoolKernel(Geometry((8, 8), (2, 2), (2, 2)), 2, INT8, "max", 0)
    pool = Part.of("pool", largest, Direct(2, -128, 127), INT8, one)
    adapter = Adapter(shape_for(INT8), 2, 1)
    add = alike("add", 2, 32, 2, requantiser, built)
    span = (-128 * 16, 127 * 16)
    sums = IntType.holding(*span)
    kernel = PoolKernel(Geometry((4, 4), (4, 4)), 2, INT8, "sum", 0)
    total = Part.of("total", kernel, Direct(2, *span), sums, one)
    schedule = Schedule()
    big, small = schedule.source("big", 128), schedule.source("small", 16)
    names = ("pooled", "adapted", "a", "b", "sum", "first", "second")
    pooled, adapted, a, b, joined, first, second = (schedule.edge(n, 32) for n in names)
    whole = schedule.edge("whole", 2)
    pool.timing(schedule, big, pooled)
    schedule.adapter(small, adapted, 2, 1)
    queues = [schedule.fifo(pooled, a, None), schedule.fifo(adapted, b, None)]
    add.timing(schedule, a, b, joined)
    schedule.fork(joined, [first, second])
    total.timing(schedule, second, whole)
    schedule.sink(first)
    schedule.sink(whole)
    assert least_depths(schedule, dict.fromkeys(queues, 8), 1).interval == 128
    # The small input waits at its port: no memory is needed to wait for the big one.
    assert [queue.depth for queue in queues] == [0, 0]
    predicted = schedule.run(6)
    assert predicted.cycles_per_inference == 128
    fork = Fork(beat(shape_for(INT8), 1), 2)
    parts = {part.name: part.component for part in (pool, add, total)}
    net = Net(
        {
            "big": In(beats(shape_for(INT8), 1)),
            "small": In(beats(shape_for(INT8), 2)),
            "o": Out(beats(shape_for(INT8), 1)),
            "whole": Out(beats(shape_for(sums), 1)),
        },
        {"adapter": adapter, "fork": fork, **parts},
        lambda self: [
            (wiring.flipped(self.big), parts["pool"].i),
            (wiring.flipped(self.small), adapter.i),
            (parts["pool"].o, parts["add"].i0),
            (adapter.o, parts["add"].i1),
            (parts["add"].o, fork.i),
            (fork.o[0], wiring.flipped(self.o)),
            (fork.o[1], parts["total"].i),
            (parts["total"].o, wiring.flipped(self.whole)),
        ],
    )
    x = rng.integers(-128, 128, (6, 8 * 8 * 2))
    y = rng.integers(-128, 128, (6, 4 * 4 * 2))
    wanted = add.reference(pool.reference(x), y)
    dut = bench(net, inputs=["big", "small"], outputs=["o", "whole"], files=add.files)
    check(dut, [x, y], [wanted, total.reference(wanted)], predicted)
