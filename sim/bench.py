# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one shared cocotb bench: frames through any top with AXI4-Stream ports, pauses crossed.

:func:`midwire.sim.runner.run_bench` starts it; this module runs inside the simulator. Every frame
goes through four times: with no pauses, with source pauses, with sink pauses and with both. It
checks the bytes, tlast, and that valid and payload hold until taken (rules S1, S3 and S4 of
``sim/cpp/driver.cpp``).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge, SimTimeoutError, gather, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from .runner import CYCLES_VARIABLE, SEED_VARIABLE, VECTORS_VARIABLE

_PERIOD_NS = 10
_RESET_CYCLES = 4


def pauses(seed: str) -> Iterator[bool]:
    """Endless pauses: mostly a cycle or two, now and then long enough to fill or drain a FIFO."""
    generator = random.Random(seed)
    while True:
        paused = generator.random() < 0.5
        longest = 24 if generator.random() < 0.1 else 3
        yield from [paused] * generator.randint(1, longest)


async def hold(dut: Any, name: str) -> None:
    """Watch an output stream: valid and payload must hold until taken."""
    valid, ready = getattr(dut, f"{name}_tvalid"), getattr(dut, f"{name}_tready")
    data, last = getattr(dut, f"{name}_tdata"), getattr(dut, f"{name}_tlast")
    offered: tuple[int, int] | None = None
    cycle = 0
    while True:
        await RisingEdge(dut.clk)  # values are those before the edge
        cycle += 1
        if not int(dut.aresetn.value):
            offered = None
            continue
        payload = (int(data.value), int(last.value)) if int(valid.value) else None
        if offered is not None and payload != offered:
            raise AssertionError(
                f"{name}: tvalid, tdata or tlast changed in cycle {cycle} with the beat not taken"
            )
        offered = None if int(ready.value) else payload


def load_vectors() -> tuple[list[list[bytes]], list[list[bytes]]]:
    """Frames to send and frames to expect, for each port."""
    sides: list[list[list[bytes]]] = []
    with np.load(Path(os.environ[VECTORS_VARIABLE]), allow_pickle=False) as arrays:
        for side in ("in", "out"):
            sides.append([])
            while f"{side}{len(sides[-1])}" in arrays:
                name = f"{side}{len(sides[-1])}"
                data, ends = arrays[name].tobytes(), np.cumsum(arrays[f"{name}_lengths"])
                sides[-1].append([data[s:e] for s, e in zip([0, *ends[:-1]], ends, strict=True)])
    return sides[0], sides[1]


def stream_names(dut: Any, side: str, count: int) -> list[str]:
    """Names of the AXI4-Streams of one side, "s" or "m", of which there must be `count`."""
    names: list[str] = []
    while hasattr(dut, f"{side}{len(names)}_axis_tdata"):
        names.append(f"{side}{len(names)}_axis")
    if len(names) != count:
        raise AssertionError(f"the design has {len(names)} {side}*_axis ports, not {count}")
    return names


def compare(name: str, index: int, expected: bytes, found: bytes) -> None:
    """Fail with the first byte in which a frame differs."""
    if len(found) != len(expected):
        raise AssertionError(
            f"{name}, frame {index}: expected {len(expected)} bytes up to tlast, found {len(found)}"
        )
    for at, (want, have) in enumerate(zip(expected, found, strict=True)):
        if want != have:
            raise AssertionError(
                f"{name}, frame {index}, byte {at} of {len(expected)}: expected {want:#04x}, found "
                f"{have:#04x}"
            )


@cocotb.test()
@cocotb.parametrize(source_pauses=[False, True], sink_pauses=[False, True])
async def frames(dut: Any, source_pauses: bool, sink_pauses: bool) -> None:
    """All frames, under one combination of pauses."""
    seed = os.environ[SEED_VARIABLE]
    cycles = int(os.environ[CYCLES_VARIABLE])
    inputs, outputs = load_vectors()
    dut.aresetn.value = 0
    Clock(dut.clk, _PERIOD_NS, "ns").start()
    sources, sinks = [], []
    idle = 0
    while hasattr(dut, f"w{idle}_axis_tvalid"):  # side ports: memories keep their images
        getattr(dut, f"w{idle}_axis_tvalid").value = 0
        idle += 1
    if idle:
        dut.weight_bank.value = 0
    for name in stream_names(dut, "s", len(inputs)):
        bus = AxiStreamBus.from_prefix(dut, name)
        sources.append(AxiStreamSource(bus, dut.clk, dut.aresetn, reset_active_level=False))
        if source_pauses:
            sources[-1].set_pause_generator(pauses(f"{seed} {name}"))
    for name in stream_names(dut, "m", len(outputs)):
        bus = AxiStreamBus.from_prefix(dut, name)
        sinks.append(AxiStreamSink(bus, dut.clk, dut.aresetn, reset_active_level=False))
        if sink_pauses:
            sinks[-1].set_pause_generator(pauses(f"{seed} {name}"))
        cocotb.start_soon(hold(dut, name))
    for stream in (*sources, *sinks):
        stream.log.setLevel("WARNING")  # one line with all bytes for each frame is too much
    for _ in range(_RESET_CYCLES):
        await RisingEdge(dut.clk)
    dut.aresetn.value = 1
    for port, source in enumerate(sources):
        for frame in inputs[port]:
            source.send_nowait(frame)

    got = dict.fromkeys(range(len(sinks)), 0)

    async def receive(port: int, sink: Any) -> None:
        for index, expected in enumerate(outputs[port]):
            frame = await sink.recv()
            compare(f"m{port}_axis", index, expected, bytes(frame.tdata))
            got[port] += 1

    try:
        everything = gather(*(receive(port, sink) for port, sink in enumerate(sinks)))
        await with_timeout(everything, cycles * _PERIOD_NS, "ns")
    except SimTimeoutError:
        states = [f"m{port}_axis sent {done} of {len(outputs[port])}" for port, done in got.items()]
        waiting = [f"s{port}_axis" for port, source in enumerate(sources) if not source.idle()]
        states.append(f"not all taken by {', '.join(waiting)}" if waiting else "all input taken")
        raise AssertionError(
            f"frames not through after {cycles} cycles: {'; '.join(states)}"
        ) from None
    for _ in range(32):
        await RisingEdge(dut.clk)
        await ReadOnly()
        for port, sink in enumerate(sinks):
            if int(getattr(dut, f"m{port}_axis_tvalid").value) or not sink.empty():
                raise AssertionError(f"m{port}_axis offers a beat after the last frame")
