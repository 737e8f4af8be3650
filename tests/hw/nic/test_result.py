# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many fragments a result makes (R2), in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.nic.result import FragmentCount


@pytest.mark.parametrize(
    ("tensor", "wanted", "step", "count"),
    [
        (1, 1344, 1344, 1),
        (1344, 1344, 1344, 1),
        (1345, 1344, 1344, 2),
        (100_000, 9000, 8832, 12),
        (640, 0, 64, 10),
        (640, 191, 128, 5),
        (64 * 65535, 64, 64, 65535),
        (64 * 65535 + 1, 64, 128, 32768),
    ],
)
def test_r2(tensor: int, wanted: int, step: int, count: int) -> None:
    component = FragmentCount(tensor)

    async def bench(ctx: Any) -> None:
        for setting in (8832, wanted):  # a change starts anew
            ctx.set(component.wanted, setting)
            await ctx.tick().until(component.valid)
        assert (ctx.get(component.step), ctx.get(component.count)) == (step, count)

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
