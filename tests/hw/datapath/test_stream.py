# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from midwire.hw.datapath.stream import Fifo, Fork, beat, beats
from midwire.hw.timing.components import Schedule

INT5 = Shape(5, True)


def numbers(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(6).integers(-16, 16, shape)


@pytest.mark.parametrize("depth", [1, 2, 3, 40])
def test_fifo(depth: int, bench: Any, check: Any) -> None:
    """S1 to S4."""
    x = numbers((7, 13, 2))
    schedule = Schedule()
    source, target = schedule.source("in", 13), schedule.edge("out", 13)
    schedule.fifo(source, target, depth)
    schedule.sink(target)
    run = schedule.run(len(x))
    assert run.cycles_per_inference == (26 if depth == 1 else 13)
    check(bench(Fifo(beat(INT5, 2), depth)), [x], [x], run)


class Uneven(wiring.Component):
    """A fork with a FIFO of depth 1, a wide FIFO, and nothing behind its branches."""

    def __init__(self) -> None:
        branch = beats(INT5, 1)
        super().__init__({"i": In(branch), "o": Out(branch).array(3)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.fork = fork = Fork(beat(INT5, 1), 3)
        m.submodules.slow = slow = Fifo(beat(INT5, 1), 1)
        m.submodules.fast = fast = Fifo(beat(INT5, 1), 2)
        wiring.connect(m, wiring.flipped(self.i), fork.i)
        wiring.connect(m, fork.o[0], slow.i)
        wiring.connect(m, fork.o[1], fast.i)
        wiring.connect(m, slow.o, wiring.flipped(self.o[0]))
        wiring.connect(m, fast.o, wiring.flipped(self.o[1]))
        wiring.connect(m, fork.o[2], wiring.flipped(self.o[2]))
        return m


def test_fork(bench: Any, check: Any) -> None:
    x = numbers((5, 9))
    schedule = Schedule()
    source = schedule.source("in", 9)
    branches = [schedule.edge(f"branch{k}", 9) for k in range(3)]
    ends = [schedule.edge(f"end{k}", 9) for k in range(2)]
    schedule.fork(source, branches)
    schedule.fifo(branches[0], ends[0], 1)
    schedule.fifo(branches[1], ends[1], 2)
    for edge in (*ends, branches[2]):
        schedule.sink(edge)
    dut = bench(Uneven(), outputs=["o.0", "o.1", "o.2"])
    check(dut, [x], [x, x, x], schedule.run(len(x)))


def test_messages() -> None:
    with pytest.raises(ValueError, match="a FIFO needs a depth of at least 1, not 0"):
        Fifo(beat(INT5, 1), 0)
    with pytest.raises(ValueError, match="a beat needs at least 1 lane, not 0"):
        beats(INT5, 0)
