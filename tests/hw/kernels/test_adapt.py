# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What joins two ports of one tensor: rules A1 to A3, and that describing it loads no Amaranth."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.kernels.adapt import LaneAdapter, RunFill, RunTrim, StreamFifo, StreamFork, adapters
from midwire.hw.kernels.base import StreamPort
from midwire.hw.numeric import IntType
from midwire.hw.timing.components import Schedule

INT8 = IntType(8, True)


@st.composite
def ports(draw: st.DrawFn) -> tuple[StreamPort, StreamPort]:
    """Two ports of one tensor, with any lanes and any runs that divide it."""
    elements = draw(st.sampled_from([6, 12, 30, 48, 60]))
    runs = st.sampled_from([n for n in range(1, elements + 1) if elements % n == 0])
    lanes = st.integers(1, 9)
    return (
        StreamPort.of(INT8, draw(lanes), elements, draw(runs)),
        StreamPort.of(INT8, draw(lanes), elements, draw(runs)),
    )


@given(ports())
def test_a_chain_joins_any_two_ports(pair: tuple[StreamPort, StreamPort]) -> None:
    """A1 to A3, and cycles that come true."""
    source, sink = pair
    chain = adapters(source, sink)
    at = source
    for adapter in chain:
        assert adapter.inputs == (at,)
        (at,) = adapter.outputs
        assert at.elements == source.elements
    assert (at.lanes, at.run, at.beats) == (sink.lanes, sink.run, sink.beats)
    assert len(set(chain)) == len(chain)
    assert bool(chain) == ((source.lanes, source.run) != (sink.lanes, sink.run))
    if not source.padded and not sink.padded and chain:
        assert chain == [LaneAdapter(source, sink)]

    schedule = Schedule()
    edge = schedule.source("in", source.beats)
    for k, adapter in enumerate(chain):
        after = schedule.edge(f"a{k}", adapter.outputs[0].beats)
        adapter.timing(schedule, f"a{k}", [edge], [after])
        edge = after
    schedule.sink(edge)
    run = schedule.run(4)
    slowest = max([source.beats, *(adapter.cycles for adapter in chain)])
    assert run.cycles_per_inference == slowest


def test_the_three_kinds() -> None:
    """A2: 4 lanes over runs of 6 go through 2 lanes, over runs of 10 too."""
    source, sink = StreamPort.of(INT8, 4, 60, 6), StreamPort.of(INT8, 4, 60, 10)
    middle = StreamPort(INT8, 2, 30)
    assert adapters(source, sink) == [RunTrim(source, middle), RunFill(middle, sink)]
    assert adapters(source, source) == []


def test_costs_are_those_of_registers_and_multiplexers() -> None:
    narrow, wide = StreamPort(INT8, 1, 12), StreamPort(INT8, 4, 3)
    assert LaneAdapter(narrow, wide).cost.registers == 4 * 8 + 2 + 2
    assert LaneAdapter(wide, narrow).cost.registers == 2
    padded = StreamPort.of(INT8, 4, 12, 3)
    assert RunFill(narrow, padded).cost.registers == 3 * 8 + 2 + 2
    assert RunTrim(padded, narrow).cost.registers == 2
    assert StreamFork(wide, 3).cost.registers == 3
    assert StreamFifo(wide, 16).cost.memories == ((33, 16),)
    assert StreamFifo(wide, 1).cost.memories == ()


def test_forks_and_fifos() -> None:
    port = StreamPort(INT8, 2, 5)
    fork, fifo = StreamFork(port, 3), StreamFifo(port, 1)
    assert (fork.inputs, fork.outputs) == ((port,), (port,) * 3)
    assert (fork.cycles, fork.latency, fork.output_names) == (5, 0, ("o.0", "o.1", "o.2"))
    assert (fifo.inputs, fifo.outputs, fifo.cycles, fifo.latency) == ((port,), (port,), 10, 1)
    assert StreamFifo(port, 2).cycles == 5
    schedule = Schedule()
    source, held = schedule.source("in", 5), schedule.edge("held", 5)
    branches = [schedule.edge(f"b{k}", 5) for k in range(3)]
    fifo.timing(schedule, "fifo", [source], [held])
    fork.timing(schedule, "fork", [held], branches)
    for branch in branches:
        schedule.sink(branch)
    assert schedule.run(3).cycles_per_inference == 10


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"the source has 12 elements of .* and the sink 8 of"):
        adapters(StreamPort(INT8, 1, 12), StreamPort(INT8, 2, 4))


def test_describing_loads_no_amaranth() -> None:
    program = "import sys, midwire.hw.kernels.adapt; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
