# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing processes of the components that move elements, and of the product of two streams.

Rules T1 to T6 of :mod:`midwire.hw.timing.components` hold. In addition:

T7. A reorder buffer takes a beat of a block when the block but one before is read; it reads a word
    each cycle once the whole block is there (taken before) and there is a credit.
T8. Where streams take turns, a beat is taken when it is offered by, or there is a credit for, the
    stream whose turn it is, and no earlier than the cycle after the beat before it. What is dropped
    needs no credit.
T9. A product takes a beat of both streams in one cycle; the first one of a pass needs a credit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from .components import Schedule
from .schedule import Edge
from .times import Blocked

__all__ = ["dot", "gather", "reorder", "scatter"]


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


def gather(
    schedule: Schedule,
    name: str,
    inputs: Sequence[Edge],
    o: Edge,
    *,
    turn: Sequence[int],
    latency: int,
    depth: int,
) -> None:
    """A :class:`~midwire.hw.datapath.concat.ConcatMux` (T8).

    Parameters
    ----------
    turn : beats of each input in a turn
    latency : cycles from a beat to its written result
    depth : depth of the output FIFO
    """
    turns = _turns(name, o, sum(turn), inputs, turn)
    order = _order(turn)
    later, free = o.offer, o.take

    def process(inferences: int) -> Blocked:
        at = -1
        done = [0] * len(inputs)
        for n, k in enumerate(chain.from_iterable(repeat(order, inferences * turns))):
            offer = inputs[k].offer
            while len(offer) <= done[k]:
                yield offer
            ready = offer[done[k]]
            at = ready if ready > at else at + 1
            if n >= depth:
                while len(free) <= n - depth:
                    yield free
                if free[n - depth] >= at:
                    at = free[n - depth] + 1
            inputs[k].take.append(at)
            later.append(at + latency + 1)
            done[k] += 1

    schedule.add(name, process, later, *(i.take for i in inputs))


def scatter(
    schedule: Schedule,
    name: str,
    i: Edge,
    outputs: Sequence[Edge],
    *,
    turn: Sequence[int],
    to: Sequence[int],
    latencies: Sequence[int],
    depths: Sequence[int],
) -> None:
    """A :class:`~midwire.hw.datapath.split.SplitDemux` (T8).

    Parameters
    ----------
    turn : beats of each block in a turn
    to : for each block its output, or -1
    latencies, depths : as for :func:`gather`, one an output
    """
    beats = [
        sum(n for n, out in zip(turn, to, strict=True) if out == k) for k in range(len(outputs))
    ]
    turns = _turns(name, i, sum(turn), outputs, beats)
    order = [to[part] for part in _order(turn)]
    offer, take = i.offer, i.take

    def process(inferences: int) -> Blocked:
        at = -1
        done = [0] * len(outputs)
        for n, k in enumerate(chain.from_iterable(repeat(order, inferences * turns))):
            while len(offer) <= n:
                yield offer
            ready = offer[n]
            at = ready if ready > at else at + 1
            if k < 0:
                take.append(at)
                continue
            slot = done[k] - depths[k]
            if slot >= 0:
                free = outputs[k].take
                while len(free) <= slot:
                    yield free
                if free[slot] >= at:
                    at = free[slot] + 1
            take.append(at)
            outputs[k].offer.append(at + latencies[k] + 1)
            done[k] += 1

    schedule.add(name, process, take, *(o.offer for o in outputs))


def dot(
    schedule: Schedule,
    name: str,
    inputs: Sequence[Edge],
    o: Edge,
    *,
    steps: int,
    latency: int,
    depth: int,
) -> None:
    """A :class:`~midwire.hw.datapath.dot.DotProduct` (T9).

    Parameters
    ----------
    steps : beats of a pass; every edge of the inputs has that many for each one of the output
    latency : cycles from the last beat of a pass to the written result
    depth : depth of the output FIFO
    """
    for edge in inputs:
        if edge.beats != o.beats * steps:
            raise ValueError(
                f"{name!r} takes {steps} beats for each of {o.beats} results, but edge "
                f"{edge.name!r} has {edge.beats}"
            )
    offers, takes = [i.offer for i in inputs], [i.take for i in inputs]
    later, free = o.offer, o.take

    def process(inferences: int) -> Blocked:
        at = -1
        for group in range(inferences * o.beats):
            for n in range(group * steps, (group + 1) * steps):
                at += 1
                for offer in offers:
                    while len(offer) <= n:
                        yield offer
                    if offer[n] > at:
                        at = offer[n]
                if n == group * steps and group >= depth:
                    while len(free) <= group - depth:
                        yield free
                    if free[group - depth] >= at:
                        at = free[group - depth] + 1
                for take in takes:
                    take.append(at)
            later.append(at + latency + 1)

    schedule.add(name, process, later, *takes)


def _turns(name: str, whole: Edge, size: int, parts: Sequence[Edge], turn: Sequence[int]) -> int:
    """Turns of a tensor; refuses edges that have other numbers of beats."""
    turns = whole.beats // size
    for edge, beats in zip((whole, *parts), (size, *turn), strict=True):
        if edge.beats != turns * beats:
            raise ValueError(
                f"{name!r} takes {turns} turns of {beats} beats, but edge {edge.name!r} has "
                f"{edge.beats}"
            )
    return turns


def _order(turn: Sequence[int]) -> list[int]:
    """Whose beats follow each other in a turn."""
    return [k for k, beats in enumerate(turn) for _ in range(beats)]
