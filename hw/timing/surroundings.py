# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What part of a network is around a process, by who has events in common with whom.

A FIFO that is too shallow for the branch beside it stops between the fork where both begin and the
join where they meet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set


def surroundings(neighbours: Sequence[Set[int]], start: int) -> list[int]:
    """From where the streams that meet behind ``start`` parted to where they meet: all processes
    between the first and the last of a shortest ring through it, sorted; it alone if there is none.
    """
    ring = _shortest_ring(neighbours, start)
    first, last = min(ring), max(ring)
    behind, ahead = {first}, {last}
    for here in range(first, last):
        if here in behind:
            behind |= {there for there in neighbours[here] if here < there <= last}
    for here in range(last, first, -1):
        if here in ahead:
            ahead |= {there for there in neighbours[here] if first <= there < here}
    return sorted(behind & ahead)


def _shortest_ring(neighbours: Sequence[Set[int]], start: int) -> set[int]:
    # Who is reached first from one neighbour meets who is reached first from another.
    before: dict[int, int] = dict.fromkeys(neighbours[start], start)
    branch = {first: first for first in neighbours[start]}
    waiting = deque(sorted(neighbours[start]))
    while waiting:
        here = waiting.popleft()
        for there in sorted(neighbours[here] - {start}):
            if there not in branch:
                before[there], branch[there] = here, branch[here]
                waiting.append(there)
            elif branch[there] != branch[here]:
                ring = {start}
                for end in (here, there):
                    while end != start:
                        ring.add(end)
                        end = before[end]
                return ring
    return {start}
