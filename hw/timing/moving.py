# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing processes of the components that move elements, and of the product of two streams.

Rules T1 to T6 of :mod:`midwire.hw.timing.components` hold. In addition:

T7. A reorder buffer takes a beat of a block when the block but one before is read; it reads a word
    each cycle once the whole block is there (taken before) and there is a credit.
"""

from __future__ import annotations

from .components import Schedule
from .schedule import Blocked, Edge

__all__ = ["reorder"]


def reorder(
    schedule: Schedule, name: str, i: Edge, o: Edge, *, blocks: int, latency: int, depth: int
) -> None:
    """A :class:`~midwire.hw.datapath.reorder.ReorderBuffer` (T7).

    Parameters
    ----------
    blocks : of a tensor; they divide the beats of both edges
    latency : cycles from a read to its written result
    depth : depth of the output FIFO
    """
    for edge in (i, o):
        if edge.beats % blocks:
            raise ValueError(
                f"{edge.beats} beats of edge {edge.name!r} are not a multiple of {blocks} blocks"
            )
    writes, reads = i.beats // blocks, o.beats // blocks
    offer, take, later, free = i.offer, i.take, o.offer, o.take
    freed = schedule.times()

    def writer(inferences: int) -> Blocked:
        at = -1
        n = 0
        for block in range(inferences * blocks):
            if block >= 2:
                while len(freed) <= block - 2:
                    yield freed
                at = max(at, freed[block - 2] - 1)
            for n in range(block * writes, (block + 1) * writes):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                take.append(at)

    def reader(inferences: int) -> Blocked:
        at = -1
        for block in range(inferences * blocks):
            last = (block + 1) * writes - 1
            while len(take) <= last:
                yield take
            at = max(at, take[last])
            for n in range(block * reads, (block + 1) * reads):
                at += 1
                if n >= depth:
                    while len(free) <= n - depth:
                        yield free
                    if free[n - depth] >= at:
                        at = free[n - depth] + 1
                later.append(at + latency + 1)
            freed.append(at + 1)

    schedule.add(f"{name} (writer)", writer, take)
    schedule.add(f"{name} (reader)", reader, later, freed)
