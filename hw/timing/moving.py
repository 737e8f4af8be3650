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
T10. A component of groups takes a beat when there is a slot in its ring (``r[i - D] + 1``, ``r``
    the reads, ``D`` the beats of the ring). What a group's beats have in common is known some
    cycles after its last one was taken; then a beat is read each cycle if there is a credit.
T11. Accumulators take a beat when it is offered, and no earlier than the cycle after the beat
    before it; the beats that complete results need a credit of every output.
T12. A reader of rows makes some beats of each that it takes, one each cycle if there is a credit,
    and takes it with the last one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .components import Schedule
from .schedule import Edge
from .times import Cycles, spaced

__all__ = ["accumulate", "dot", "gather", "grouped", "reorder", "repeat", "scatter"]


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
    filled = np.arange(1, blocks + 1) * writes - 1
    freed = schedule.times(blocks)

    def writer(n: int) -> tuple[Cycles]:
        ready = i.offer.of(n).copy()
        ready[::writes] = np.maximum(ready[::writes], freed.before(n, 2))
        return (spaced(ready, i.take.last(n) + 1),)

    def reader(n: int) -> tuple[Cycles, Cycles]:
        ready = o.take.before(n, depth) + 1
        ready[::reads] = np.maximum(ready[::reads], i.take.of(n)[filled] + 1)
        at = spaced(ready, max(freed.last(n), 0))
        return at + latency + 1, at[reads - 1 :: reads] + 1

    schedule.add_batch(f"{name} (writer)", writer, [i.offer, freed], [i.take])
    schedule.add_batch(f"{name} (reader)", reader, [i.take, o.take], [o.offer, freed])


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
    places = _places(_turns(name, o, sum(turn), inputs, turn), turn, range(len(turn)))

    def update(n: int) -> tuple[Cycles, ...]:
        ready = o.take.before(n, depth) + 1
        for edge, place in zip(inputs, places, strict=True):
            ready[place] = np.maximum(ready[place], edge.offer.of(n))
        at = spaced(ready, max(edge.take.last(n) for edge in inputs) + 1)
        return at + latency + 1, *(at[place] for place in places)

    reads = [o.take, *(edge.offer for edge in inputs)]
    schedule.add_batch(name, update, reads, [o.offer, *(edge.take for edge in inputs)])


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
    places = _places(turns, turn, to)

    def update(n: int) -> tuple[Cycles, ...]:
        ready = i.offer.of(n).copy()
        for edge, place, depth in zip(outputs, places, depths, strict=True):
            ready[place] = np.maximum(ready[place], edge.take.before(n, depth) + 1)
        at = spaced(ready, i.take.last(n) + 1)
        made = [at[place] + late + 1 for place, late in zip(places, latencies, strict=True)]
        return at, *made

    reads = [i.offer, *(edge.take for edge in outputs)]
    schedule.add_batch(name, update, reads, [i.take, *(edge.offer for edge in outputs)])


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

    def update(n: int) -> tuple[Cycles, ...]:
        ready = np.maximum.reduce([edge.offer.of(n) for edge in inputs])
        ready[::steps] = np.maximum(ready[::steps], o.take.before(n, depth) + 1)
        at = spaced(ready, inputs[0].take.last(n) + 1)
        return at[steps - 1 :: steps] + latency + 1, *[at] * len(inputs)

    reads = [o.take, *(edge.offer for edge in inputs)]
    schedule.add_batch(name, update, reads, [o.offer, *(edge.take for edge in inputs)])


def repeat(
    schedule: Schedule, name: str, i: Edge, o: Edge, *, times: int, latency: int, depth: int
) -> None:
    """A :class:`~midwire.hw.datapath.rows.RowReader` (T12).

    Parameters
    ----------
    times : beats that are made of each
    latency : cycles from a beat to its written result
    depth : depth of the output FIFO
    """
    if o.beats != i.beats * times:
        raise ValueError(
            f"{name!r} makes {times} beats of each of {i.beats}, but edge {o.name!r} has {o.beats}"
        )

    def update(n: int) -> tuple[Cycles, Cycles]:
        ready = np.maximum(np.repeat(i.offer.of(n), times), o.take.before(n, depth) + 1)
        at = spaced(ready, i.take.last(n) + 1)
        return at + latency + 1, at[times - 1 :: times]

    schedule.add_batch(name, update, [i.offer, o.take], [o.offer, i.take])


def grouped(
    schedule: Schedule,
    name: str,
    i: Edge,
    o: Edge,
    *,
    groups: int,
    ring: int,
    reduction: int,
    busy: int,
    latency: int,
    depth: int,
) -> None:
    """A :class:`~midwire.hw.datapath.groups.Grouped` (T10).

    Parameters
    ----------
    groups : of a tensor; they divide the beats of both edges, of which there are as many
    ring : beats in memory, at least a group
    reduction : cycles from a group's last beat to its queued totals
    busy : cycles that each group keeps the maker of statistics; 0 if there is none
    latency : cycles from a read to its written result
    depth : depth of the output FIFO
    """
    if i.beats != o.beats or i.beats % groups or ring < i.beats // groups:
        raise ValueError(
            f"{name!r} has a ring of {ring} beats for each of {groups} groups, but edges of "
            f"{i.beats} and {o.beats} beats"
        )
    size = i.beats // groups
    read, known = schedule.times(o.beats), schedule.times(groups)

    def writer(n: int) -> tuple[Cycles]:
        ready = np.maximum(i.offer.of(n), read.before(n, ring) + 1)
        return (spaced(ready, i.take.last(n) + 1),)

    def prepare(n: int) -> tuple[Cycles]:
        queued = i.take.of(n)[size - 1 :: size] + reduction + 1
        return (spaced(queued, max(known.last(n), 0), busy) + busy,)

    def reader(n: int) -> tuple[Cycles, Cycles]:
        ready = o.take.before(n, depth) + 1
        ready[::size] = np.maximum(ready[::size], known.of(n))
        at = spaced(ready, read.last(n) + 1)
        return at + latency + 1, at

    schedule.add_batch(f"{name} (writer)", writer, [i.offer, read], [i.take])
    schedule.add_batch(f"{name} (statistics)", prepare, [i.take], [known])
    schedule.add_batch(f"{name} (reader)", reader, [known, o.take], [o.offer, read])


def accumulate(
    schedule: Schedule,
    name: str,
    i: Edge,
    outputs: Sequence[Edge],
    *,
    turn: int,
    last: int,
    latencies: Sequence[int],
    depths: Sequence[int],
) -> None:
    """A :class:`~midwire.hw.datapath.accumulators.Accumulators` (T11).

    Parameters
    ----------
    turn : beats in which accumulators are filled
    last : beats of those, at the end, that each complete a beat of every output
    latencies, depths : as for :func:`gather`, one an output
    """
    turns = _turns(name, i, turn, outputs, [last] * len(outputs))
    place = np.flatnonzero(np.tile(np.arange(turn) >= turn - last, turns))

    def update(n: int) -> tuple[Cycles, ...]:
        ready = i.offer.of(n).copy()
        for edge, depth in zip(outputs, depths, strict=True):
            ready[place] = np.maximum(ready[place], edge.take.before(n, depth) + 1)
        at = spaced(ready, i.take.last(n) + 1)
        return at, *(at[place] + late + 1 for late in latencies)

    reads = [i.offer, *(edge.take for edge in outputs)]
    schedule.add_batch(name, update, reads, [i.take, *(edge.offer for edge in outputs)])


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


def _places(turns: int, turn: Sequence[int], parts: Sequence[int]) -> list[npt.NDArray[np.intp]]:
    """For each part but -1, which beats of a tensor are its own: in a turn, so many a block."""
    order = np.tile(np.repeat(parts, turn), turns)
    return [np.flatnonzero(order == k) for k in range(max(parts) + 1)]
