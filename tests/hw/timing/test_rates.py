# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Several inputs and outputs at different rates: the cycle model and the simulator count alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from midwire.hw.datapath.stream import Fifo, beat, beats
from midwire.hw.timing.components import Schedule

INT5 = Shape(5, True)


class Lanes(wiring.Component):
    """Two FIFOs side by side: a beat a cycle, and, of depth 1, a beat every second cycle."""

    def __init__(self) -> None:
        super().__init__({"i": In(beats(INT5, 1)).array(2), "o": Out(beats(INT5, 1)).array(2)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        for index, depth in enumerate((2, 1)):
            m.submodules[f"fifo{index}"] = fifo = Fifo(beat(INT5, 1), depth)
            wiring.connect(m, wiring.flipped(self.i[index]), fifo.i)
            wiring.connect(m, fifo.o, wiring.flipped(self.o[index]))
        return m


@pytest.mark.parametrize(("first", "second"), [(12, 3), (12, 9), (5, 5)])
def test_the_last_of_all_outputs_counts(first: int, second: int, bench: Any, check: Any) -> None:
    rng = np.random.default_rng(7)
    arrays = [rng.integers(-16, 16, (6, count)) for count in (first, second)]
    schedule = Schedule()
    for index, (count, depth) in enumerate(zip((first, second), (2, 1), strict=True)):
        source, target = schedule.source(f"in{index}", count), schedule.edge(f"out{index}", count)
        schedule.fifo(source, target, depth)
        schedule.sink(target)
    run = schedule.run(6)
    # Each sends at its own pace; what ends last is the inference's end.
    assert run.cycles_per_inference == max(first, 2 * second)
    check(bench(Lanes(), ["i.0", "i.1"], ["o.0", "o.1"]), arrays, arrays, run)
