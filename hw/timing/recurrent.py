# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing process of recurrent components.

Rules T1 to T6 of :mod:`midwire.hw.timing.components` hold. In addition:

T11. A recurrent component takes a beat of a row when the row but one before is no longer needed,
    which is in the cycle after the last product of its step. A step begins when its row is there
    (taken before), and ``drain`` cycles behind the one before; so does the second half of a step of
    two. The first cycles of a pass wait for a credit each, if its results leave; the others follow
    without a pause.
"""

from __future__ import annotations

import numpy as np

from .components import Schedule
from .schedule import Edge
from .times import ALWAYS, Cycles, spaced

__all__ = ["recurrent"]


def recurrent(
    schedule: Schedule,
    name: str,
    i: Edge,
    o: Edge,
    *,
    steps: int,
    sequences: int,
    halves: int,
    passes: int,
    parallel: int,
    depth: int,
    drain: int,
    latency: int,
    outlet: int,
) -> None:
    """A :class:`~midwire.hw.datapath.recurrent.RecurrentLayer` (T11).

    Parameters
    ----------
    steps : of a sequence
    sequences : of a tensor; all their steps divide the beats of the input
    halves : of a step, each with all passes; the results are those of the last one
    passes : of a half
    parallel : results of a pass
    depth : cycles of a pass
    drain : cycles that a half rests behind the one before
    latency : cycles from the last product of a pass to its first written result
    outlet : depth of the output FIFO

    Raises
    ------
    ValueError
        If the output has neither the results of all steps nor those of one a sequence.
    """
    each = passes * parallel
    rows = sequences * steps
    if i.beats % rows or o.beats not in (each * sequences, each * rows):
        raise ValueError(
            f"{name!r} has {sequences} times {steps} steps of {each} results, but edges of "
            f"{i.beats} and {o.beats} beats"
        )
    width, quiet = i.beats // rows, steps - o.beats // (each * sequences)
    filled = np.arange(1, rows + 1) * width - 1
    freed = schedule.times(rows)
    # One event for each cycle that may wait: the pauses between them are known.
    pauses = np.ones(rows * halves * each, np.int64)
    pauses[::parallel] += depth - parallel
    pauses[::each] += drain
    pauses[0] = 0
    ramp = np.cumsum(pauses)
    places = np.arange(len(pauses)).reshape(sequences, steps, halves, each)
    leaves = places[:, quiet:, -1].ravel()

    def writer(n: int) -> tuple[Cycles]:
        ready = i.offer.of(n).copy()
        ready[::width] = np.maximum(ready[::width], freed.before(n, 2))
        return (spaced(ready, i.take.last(n) + 1),)

    def reader(n: int) -> tuple[Cycles, Cycles]:
        ready = np.full(len(pauses), ALWAYS, np.int64)
        ready[leaves] = o.take.before(n, outlet) + 1
        begins = ready[:: halves * each]
        begins[:] = np.maximum(begins, i.take.of(n)[filled] + 1)
        ready[0] = max(ready[0], freed.last(n) + drain if n else 0)
        at = np.maximum.accumulate(ready - ramp) + ramp
        # A pass ends so many cycles behind its last credit, and its results follow each other.
        ends = at[parallel - 1 :: parallel] + (depth - parallel)
        results = (ends[:, None] + np.arange(parallel)).ravel()[leaves]
        ended = ends[halves * passes - 1 :: halves * passes]
        return results + latency + 1, ended + 1

    schedule.add_batch(f"{name} (writer)", writer, [i.offer, freed], [i.take])
    schedule.add_batch(f"{name} (reader)", reader, [i.take, o.take], [o.offer, freed])
