# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a process does when its neighbours are always ready."""

from __future__ import annotations

import pytest

from midwire.hw.timing.alone import Alone, alone
from midwire.hw.timing.components import Schedule


@pytest.mark.parametrize(("depth", "step"), [(None, 1), (2, 1), (1, 2)])
def test_interval_and_reach_of_a_fifo(depth: int | None, step: int) -> None:
    """The last beat of two tensors is offered in the cycle after it is taken."""
    schedule = Schedule()
    i, o = schedule.edge("i", 5), schedule.edge("o", 5)
    queue = schedule.fifo(i, o, depth)
    found = alone(schedule.processes[queue.process])
    assert found == Alone(interval=5 * step, reach=9 * step + 1)


def test_all_times_are_as_before() -> None:
    schedule = Schedule()
    i, o = schedule.edge("i", 3), schedule.edge("o", 3)
    schedule.stream("add", [i], o, latency=7)
    kept = [times.cycles for times in schedule.all_times]
    # Beats are taken in cycles 0 to 5, and a result is offered in the cycle after its latency.
    assert alone(schedule.processes[0]) == Alone(interval=3, reach=5 + 7 + 1)
    assert all(now.cycles is then for now, then in zip(schedule.all_times, kept, strict=True))
