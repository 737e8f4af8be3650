# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Small networks: values under stalls, and the cycle model against the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import midwire.sim.errors
from midwire.hw.datapath.conv import FoldedConv, FoldedDepthwise
from midwire.hw.datapath.eltwise import EltwiseAdd, EltwiseScale
from midwire.hw.datapath.pool import FoldedPool
from midwire.hw.datapath.stream import Adapter, Fifo, Fork, beat, beats
from midwire.hw.kernels.integer import Geometry
from midwire.hw.timing.components import Schedule, ScheduleDeadlock
from midwire.hw.timing.steady import least_depths

INT8 = Shape(8, True)


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


def conv(
    name: str,
    geometry: Geometry,
    channels: tuple[int, int],
    folding: tuple[int, int],
    requantiser: Any,
    rng: np.random.Generator,
    **options: Any,
) -> tuple[FoldedConv, Any]:
    weights = rng.integers(-128, 128, (channels[1], *geometry.kernel, channels[0]))
    peak = 128 * 128 * geometry.taps * channels[0]
    part = FoldedConv(
        name,
        geometry,
        channels_in=channels[0],
        channels_out=channels[1],
        pe=folding[0],
        simd=folding[1],
        x=INT8,
        weight=INT8,
        out=INT8,
        accumulator=(-peak, peak),
        requantiser=requantiser(rng, channels[1], [(-peak // 4, peak // 4)], (8, True)),
        **options,
    )
    return part, weights


@pytest.mark.parametrize("second_depth", [None, 1])
def test_conv_conv(second_depth: int | None, bench: Any, check: Any, requantiser: Any) -> None:
    rng = np.random.default_rng(7)
    first, w1 = conv(
        "a", Geometry(6, 6, (3, 3), pads=(1, 1, 1, 1)), (2, 6), (3, 2), requantiser, rng
    )
    second, w2 = conv(
        "b",
        Geometry(6, 6, (3, 3), (2, 2), pads=(0, 0, 1, 1)),
        (6, 4),
        (4, 2),
        requantiser,
        rng,
        depth=second_depth,
    )
    adapter = Adapter(INT8, 3, 2)
    net = Net(
        {"i": In(beats(INT8, 2)), "o": Out(beats(INT8, 4))},
        {"a": first, "b": second, "adapter": adapter},
        lambda self: [
            (wiring.flipped(self.i), first.i),
            (first.o, adapter.i),
            (adapter.o, second.i),
            (second.o, wiring.flipped(self.o)),
        ],
    )
    x = rng.integers(-128, 128, (6, 6, 6, 2))
    wanted = second.reference(first.reference(x, w1), w2)
    schedule = Schedule()
    edges = [schedule.source("in", 36), schedule.edge("a", 72), schedule.edge("adapted", 108)]
    edges.append(schedule.edge("out", 9))
    first.timing(schedule, edges[0], edges[1])
    schedule.adapter(edges[1], edges[2], 3, 2)
    second.timing(schedule, edges[2], edges[3])
    schedule.sink(edges[3])
    dut = bench(net, files={**first.files(w1), **second.files(w2)})
    check(dut, [x], [wanted], schedule.run(len(x)))


def residual(depth: int | None, requantiser: Any) -> tuple[Schedule, Any]:
    """fork -> (conv 3x3, FIFO) -> add -> depthwise -> pool."""
    rng = np.random.default_rng(8)
    body, weights = conv(
        "body", Geometry(5, 5, (3, 3), pads=(1, 1, 1, 1)), (2, 2), (1, 1), requantiser, rng
    )
    add = EltwiseAdd(
        "add",
        lanes=1,
        a=INT8,
        b=INT8,
        out=INT8,
        requantiser=requantiser(rng, 2, [(-128, 127), (-128, 127)], (8, True), shared=True),
    )
    dw_weights = rng.integers(-128, 128, (2, 2, 2, 1))
    dw = FoldedDepthwise(
        "dw",
        Geometry(5, 5, (2, 2)),
        channels=2,
        lanes=1,
        x=INT8,
        weight=INT8,
        out=INT8,
        accumulator=(-65536, 65536),
        requantiser=requantiser(rng, 2, [(-30000, 30000)], (8, True)),
    )
    pool = FoldedPool("pool", Geometry(4, 4, (4, 4)), "sum", channels=2, lanes=1, x=INT8)
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
        fork = Fork(beat(INT8, 1), 2)
        fifo = Fifo(beat(INT8, 1), deep)
        net = Net(
            {"i": In(beats(INT8, 1)), "o": Out(beats(pool.out, 1))},
            {"fork": fork, "fifo": fifo, "body": body, "add": add, "dw": dw, "pool": pool},
            lambda self: [
                (wiring.flipped(self.i), fork.i),
                (fork.o[0], body.i),
                (fork.o[1], fifo.i),
                (body.o, add.a),
                (fifo.o, add.b),
                (add.o, dw.i),
                (dw.o, pool.i),
                (pool.o, wiring.flipped(self.o)),
            ],
        )
        x = rng.integers(-128, 128, (6, 5, 5, 2))
        wanted = pool.reference(
            dw.reference(add.reference(body.reference(x, weights), x), dw_weights)
        )
        files = {**body.files(weights), **add.files, **dw.files(dw_weights)}
        return net, files, x, wanted

    return schedule, build


@pytest.mark.parametrize("spare", [0, 1, 7])
def test_residual(spare: int, bench: Any, check: Any, requantiser: Any) -> None:
    """The depth that the model asks for is enough for the rate of an endless FIFO."""
    endless, _ = residual(None, requantiser)
    run = endless.run(6)
    late = next(edge for edge in endless.edges if edge.name == "late")
    depth = late.occupancy(6) + spare
    schedule, build = residual(depth, requantiser)
    predicted = schedule.run(6)
    assert predicted.last_out == run.last_out
    net, files, x, wanted = build(depth)
    check(bench(net, files=files), [x], [wanted], predicted)


def test_shallow_residual(bench: Any, check: Any, requantiser: Any) -> None:
    """The least depth without a deadlock is slower, exactly as predicted; one less deadlocks."""
    for depth in range(1, 60):
        schedule, build = residual(depth, requantiser)
        try:
            predicted = schedule.run(6)
        except ScheduleDeadlock as error:
            message = str(error)
            continue
        break
    assert "the network deadlocks" in message
    assert "waits for room on 'late'" in message
    net, files, x, _ = residual(depth - 1, requantiser)[1](depth - 1)
    dut = bench(net, files=files)
    with pytest.raises(midwire.sim.errors.DeadlockError):
        dut.run(x, out=[(1, 1, 2)])
    net, files, x, wanted = build(depth)
    check(bench(net, files=files), [x], [wanted], predicted)


def queued(parts: dict[str, Any], name: str, depth: int | None, a: Any, b: Any) -> list[Any]:
    """Connections from ``a`` to ``b`` through a FIFO, or directly where its depth is 0."""
    if not depth:
        return [(a, b)]
    fifo = parts[name]
    return [(a, fifo.i), (fifo.o, b)]


def test_a_heavy_stage_behind_a_join(bench: Any, check: Any, requantiser: Any) -> None:
    """Cheap, add, heavy, with the least depths: cycles and values for ten inferences."""
    rng = np.random.default_rng(9)
    cheap = EltwiseScale(
        "cheap",
        lanes=1,
        x=INT8,
        out=INT8,
        requantiser=requantiser(rng, 1, [(-128, 127)], (8, True), shared=True),
    )
    add = EltwiseAdd(
        "add",
        lanes=1,
        a=INT8,
        b=INT8,
        out=INT8,
        requantiser=requantiser(rng, 1, [(-128, 127), (-128, 127)], (8, True), shared=True),
    )
    heavy, weights = conv(
        "heavy", Geometry(5, 5, (3, 3), pads=(1, 1, 1, 1)), (1, 2), (1, 1), requantiser, rng
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
    parts: dict[str, Any] = {"fork": Fork(beat(INT8, 1), 2), "cheap": cheap, "add": add}
    parts |= {"heavy": heavy, "fifo": Fifo(beat(INT8, 1), depths[1] or 1)}
    fork = parts["fork"]
    net = Net(
        {"i": In(beats(INT8, 1)), "o": Out(beats(INT8, 1))},
        parts,
        lambda self: [
            (wiring.flipped(self.i), fork.i),
            (fork.o[0], cheap.i),
            (cheap.o, add.a),
            *queued(parts, "fifo", depths[1], fork.o[1], add.b),
            (add.o, heavy.i),
            (heavy.o, wiring.flipped(self.o)),
        ],
    )
    x = rng.integers(-128, 128, (10, 5, 5, 1))
    wanted = heavy.reference(add.reference(cheap.reference(x), x), weights)
    files = {**cheap.files, **add.files, **heavy.files(weights)}
    check(bench(net, files=files), [x], [wanted], predicted)


def test_two_inputs_and_two_outputs(bench: Any, check: Any, requantiser: Any) -> None:
    """128 and 16 beats in, 32 and 2 beats out; the inputs meet, and their sum goes two ways."""
    rng = np.random.default_rng(10)
    pool = FoldedPool("pool", Geometry(8, 8, (2, 2), (2, 2)), "max", channels=2, lanes=1, x=INT8)
    adapter = Adapter(INT8, 2, 1)
    add = EltwiseAdd(
        "add",
        lanes=1,
        a=INT8,
        b=INT8,
        out=INT8,
        requantiser=requantiser(rng, 2, [(-128, 127), (-128, 127)], (8, True), shared=True),
    )
    total = FoldedPool("total", Geometry(4, 4, (4, 4)), "sum", channels=2, lanes=1, x=INT8)
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
    fork = Fork(beat(INT8, 1), 2)
    net = Net(
        {
            "big": In(beats(INT8, 1)),
            "small": In(beats(INT8, 2)),
            "o": Out(beats(INT8, 1)),
            "whole": Out(beats(total.out, 1)),
        },
        {"pool": pool, "adapter": adapter, "add": add, "fork": fork, "total": total},
        lambda self: [
            (wiring.flipped(self.big), pool.i),
            (wiring.flipped(self.small), adapter.i),
            (pool.o, add.a),
            (adapter.o, add.b),
            (add.o, fork.i),
            (fork.o[0], wiring.flipped(self.o)),
            (fork.o[1], total.i),
            (total.o, wiring.flipped(self.whole)),
        ],
    )
    x = rng.integers(-128, 128, (6, 8, 8, 2))
    y = rng.integers(-128, 128, (6, 4, 4, 2))
    wanted = add.reference(pool.reference(x), y)
    dut = bench(net, inputs=["big", "small"], outputs=["o", "whole"], files=add.files)
    check(dut, [x, y], [wanted, total.reference(wanted)], predicted)
