# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing process of recurrent components.

Rules T1 to T6 of :mod:`midwire.hw.timing.components` hold. In addition:

T13. A recurrent component takes a beat of a row when the row but one before is no longer needed,
    which is in the cycle after the last product of its step. A step begins when its row is there
    (taken before), and ``drain`` cycles behind the one before; so does the second half of a step of
    two. The first cycles of a pass wait for a credit each of every output that its results leave
    by; the others follow without a pause. Rows of first states are taken one a sequence: it begins
    when they are there, and the next ones are taken ``late`` cycles behind the end of its first
    step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .components import Schedule
from .schedule import Edge
from .times import ALWAYS, Cycles, Times, spaced

__all__ = ["recurrent"]


def recurrent(
    schedule: Schedule,
    name: str,
    inputs: Sequence[Edge],
    outputs: Sequence[Edge],
    *,
    steps: int,
    sequences: int,
    halves: int,
    passes: int,
    parallel: int,
    depth: int,
    drain: int,
    late: int,
    latencies: Sequence[int],
    depths: Sequence[int],
) -> None:
    """A :class:`~midwire.hw.datapath.recurrent.RecurrentLayer` (T13).

    Parameters
    ----------
    inputs : the sequences, then first states
    outputs : of the steps that have results, the last ones
    steps : of a sequence
    sequences : of a tensor; all their steps divide the beats of the input
    halves : of a step, each with all passes; the results are those of the last one
    passes : of a half
    parallel : results of a pass
    depth : cycles of a pass
    drain : cycles that a half rests behind the one before
    late : cycles from the end of a sequence's first step until its first states are read
    latencies : for each output, cycles from the last product of a pass to its first written result
    depths : of the output FIFOs

    Raises
    ------
    ValueError
        If an output has neither the results of all steps nor those of one a sequence, or another
        edge does not fit.
    """
    i, *begins = inputs
    each = passes * parallel
    rows = sequences * steps
    _check(name, inputs, outputs, (sequences, steps, each))
    width = i.beats // rows
    filled = np.arange(1, rows + 1) * width - 1
    freed, over = schedule.times(rows), schedule.times(sequences)
    # One event for each cycle that may wait: the pauses between them are known.
    pauses = np.ones(rows * halves * each, np.int64)
    pauses[::parallel] += depth - parallel
    pauses[::each] += drain
    pauses[0] = 0
    ramp = np.cumsum(pauses)
    places = np.arange(len(pauses)).reshape(sequences, steps, halves, each)
    leaving = [places[:, steps - o.beats // (each * sequences) :, -1].ravel() for o in outputs]

    def writer(n: int) -> tuple[Cycles]:
        ready = i.offer.of(n).copy()
        ready[::width] = np.maximum(ready[::width], freed.before(n, 2))
        return (spaced(ready, i.take.last(n) + 1),)

    def reader(n: int) -> tuple[Cycles, ...]:
        ready = np.full(len(pauses), ALWAYS, np.int64)
        for o, leaves, slots in zip(outputs, leaving, depths, strict=True):
            ready[leaves] = np.maximum(ready[leaves], o.take.before(n, slots) + 1)
        starts = ready[:: halves * each]
        starts[:] = np.maximum(starts, i.take.of(n)[filled] + 1)
        for state in begins:
            starts[::steps] = np.maximum(starts[::steps], state.take.of(n)[each - 1 :: each] + 1)
        ready[0] = max(ready[0], freed.last(n) + drain if n else 0)
        at = np.maximum.accumulate(ready - ramp) + ramp
        # A pass ends so many cycles behind its last credit, and its results follow each other.
        ends = at[parallel - 1 :: parallel] + (depth - parallel)
        results = (ends[:, None] + np.arange(parallel)).ravel()
        offers = [
            results[leaves] + latency + 1
            for leaves, latency in zip(leaving, latencies, strict=True)
        ]
        ended = ends[halves * passes - 1 :: halves * passes] + 1
        return ended, ended[::steps] + late, *offers

    schedule.add_batch(f"{name} (writer)", writer, [i.offer, freed], [i.take])
    for k, state in enumerate(begins):
        load, reads = _loader(state, over, each), [state.offer, over]
        schedule.add_batch(f"{name} (first states {k})", load, reads, [state.take])
    reads = [edge.take for edge in (*inputs, *outputs)]
    writes = [freed, over, *(o.offer for o in outputs)]
    schedule.add_batch(f"{name} (reader)", reader, reads, writes)


def _loader(state: Edge, over: Times, size: int) -> Callable[[int], tuple[Cycles]]:
    """When rows of first states are taken."""

    def load(n: int) -> tuple[Cycles]:
        ready = state.offer.of(n).copy()
        ready[::size] = np.maximum(ready[::size], over.before(n, 1))
        return (spaced(ready, state.take.last(n) + 1),)

    return load


def _check(
    name: str, inputs: Sequence[Edge], outputs: Sequence[Edge], sizes: tuple[int, int, int]
) -> None:
    """Refuse edges that do not fit so many sequences, steps of each, and results of a step."""
    sequences, steps, each = sizes
    i, *begins = inputs
    rows = sequences * steps
    found = [edge.beats for edge in (*inputs, *outputs)]
    fits = i.beats % rows == 0 and all(edge.beats == each * sequences for edge in begins)
    if not fits or any(o.beats not in (each * sequences, each * rows) for o in outputs):
        raise ValueError(
            f"{name!r} has {sequences} times {steps} steps of {each} results, but edges of "
            f"{found} beats"
        )
