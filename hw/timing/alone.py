# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a process does by itself, when its neighbours are always ready."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .times import Process


@dataclass(frozen=True)
class Alone:
    """A process whose neighbours are always ready.

    Attributes
    ----------
    interval : cycles from tensor to tensor
    reach : the last cycle in which it does anything for two tensors
    """

    interval: int
    reach: int


def alone(process: Process) -> Alone:
    """Let it make two tensors from others' events in cycle 0; all times are as before then."""
    kept = {times: times.cycles for times in (*process.reads, *process.writes)}
    for times in kept:
        times.cycles = np.zeros(2 * (times.each or 0), np.int64)
    for n in range(2):
        for times, cycles in zip(process.writes, process.update(n), strict=True):
            times.of(n)[:] = cycles
    intervals = [int((times.of(1) - times.of(0)).max()) for times in process.writes]
    reach = max((int(times.cycles.max()) for times in process.writes), default=0)
    for times, cycles in kept.items():
        times.cycles = cycles
    return Alone(max(intervals, default=0), reach)
