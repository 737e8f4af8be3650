# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact cycle model of a network of streaming components, without RTL simulation.

Every component has a timing process here that mirrors its handshakes beat by beat (not
multiply by multiply). Cycle 0 is the first cycle after reset. Rules, cited by tests as T1 to T6:

T1. An edge is one stream. ``offer[i]`` is the first cycle in which its producer shows beat ``i``,
    once the beat before is gone; ``take[i]`` is the cycle in which the beat is transferred, at
    least ``offer[i]`` and ``take[i - 1] + 1``. The producer makes ``offer``, the consumer ``take``.
T2. A FIFO of depth D takes beat ``i`` no earlier than ``r[i - D] + 1`` and offers it in the cycle
    after, where ``r`` are the transfers at its output.
T3. A pass (one accumulation) of a windowed component needs its last pixel to be in memory
    (taken before), a credit (``r[j - D] + 1``, D the depth of the output FIFO), and the pass before
    to have ended. It issues one step each cycle; its result is written ``latency`` cycles after
    the last step, and offered in the cycle after that.
T4. A windowed component takes a beat of line ``r`` when line ``r - lines`` is no longer needed.
    Lines are given up in the cycle after the last step of an output line.
T5. A fork shows a beat to every branch until that branch took it, and the next one in the cycle
    after all did. A joining component takes from all inputs in one cycle.
T6. A source always has a beat, a sink always takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import lcm

import numpy as np

from ..kernels.geometry import Geometry
from .schedule import Edge, Network, Run, ScheduleDeadlock
from .times import Cycles, evenly, spaced

__all__ = [
    "TREE_LEVELS",
    "Edge",
    "Queue",
    "Run",
    "Schedule",
    "ScheduleDeadlock",
    "outlet_depth",
    "tree_stages",
    "window_lines",
]

TREE_LEVELS = 3
"""Levels of an adder tree between two registers."""


@dataclass(eq=False)
class Queue:
    """A FIFO of a schedule, whose depth may be changed between runs.

    Attributes
    ----------
    i, o : its edges
    depth : beats that fit; 0 is a wire, None never fills
    process : index of its process
    """

    i: Edge
    o: Edge
    depth: int | None
    process: int = -1

    def update(self, n: int) -> tuple[Cycles, Cycles]:
        """``i.take`` and ``o.offer`` (T2)."""
        ready = self.i.offer.of(n)
        if self.depth == 0:
            return self.o.take.of(n), ready
        if self.depth is not None:
            ready = np.maximum(ready, self.o.take.before(n, self.depth) + 1)
        # A single slot takes 2 cycles a beat: one until it is offered, one until the slot is free.
        # That follows from what the reader says (T1), but only beat by beat.
        step = 2 if self.depth == 1 else 1
        take = spaced(ready, self.i.take.last(n) + step if n else 0, step)
        return take, take + 1


class Schedule(Network):
    """A network of streaming components. Add components and edges, then
    :meth:`~.schedule.Network.run` it.
    """

    def fifo(self, i: Edge, o: Edge, depth: int | None) -> Queue:
        """A :class:`~midwire.hw.datapath.stream.Fifo`; without a depth it never fills (T2)."""
        _same_beats("a FIFO", i, o)
        queue = Queue(i, o, depth)
        reads, writes = [i.offer, o.take], [i.take, o.offer]
        name = f"FIFO {i.name} -> {o.name}"
        queue.process = self.add_batch(name, queue.update, reads, writes)
        return queue

    def fork(self, i: Edge, outputs: Sequence[Edge]) -> None:
        """A :class:`~midwire.hw.datapath.stream.Fork` (T5)."""
        _same_beats("a fork", i, *outputs)
        takes = [o.take for o in outputs]

        def update(n: int) -> tuple[Cycles, ...]:
            first = i.take.last(n) + 1
            taken = i.offer.of(n)
            for take in takes:
                taken = np.maximum(taken, take.of(n))
            taken = spaced(taken, first)
            offer = np.append(np.full(1, first, taken.dtype), taken[:-1] + 1)
            np.maximum(offer, i.offer.of(n), out=offer)
            return taken, *[offer] * len(takes)

        writes = [i.take, *(o.offer for o in outputs)]
        self.add_batch(f"fork of {i.name}", update, [i.offer, *takes], writes)

    def widen(self, i: Edge, o: Edge, parts: Sequence[int] = ()) -> None:
        """A :class:`~midwire.hw.datapath.lanes.Widen`: many beats become one.

        ``parts`` has the input beats of each output beat, in turn; by default all take as many.
        """
        last = _ends("widen", o, i, parts)
        starts, ends = evenly(np.concatenate([[0], last[:-1] + 1])), evenly(last)

        def update(n: int) -> tuple[Cycles, Cycles]:
            ready = i.offer.of(n).copy()
            # The full register empties and fills in one cycle.
            ready[starts] = np.maximum(ready[starts], o.take.before(n, 1))
            take = spaced(ready, i.take.last(n) + 1)
            return take, take[ends] + 1

        name = f"widen {i.name} -> {o.name}"
        self.add_batch(name, update, [i.offer, o.take], [i.take, o.offer])

    def narrow(self, i: Edge, o: Edge, parts: Sequence[int] = ()) -> None:
        """A :class:`~midwire.hw.datapath.lanes.Narrow`: one beat becomes many.

        ``parts`` has the output beats of each input beat, in turn; by default all give as many.
        """
        last = _ends("narrow", i, o, parts)
        counts, ends = np.diff(last, prepend=-1), evenly(last)
        repeats = counts if (counts != counts[0]).any() else int(counts[0])

        def update(n: int) -> tuple[Cycles, Cycles]:
            return o.take.of(n)[ends], np.repeat(i.offer.of(n), repeats)

        name = f"narrow {i.name} -> {o.name}"
        self.add_batch(name, update, [i.offer, o.take], [i.take, o.offer])

    def adapter(self, i: Edge, o: Edge, lanes_in: int, lanes_out: int) -> None:
        """A :class:`~midwire.hw.datapath.lanes.Adapter` between any two numbers of lanes."""
        if i.beats * lanes_in != o.beats * lanes_out:
            raise ValueError(
                f"{i.name!r} carries {i.beats} beats of {lanes_in} lanes, {o.name!r} {o.beats} of "
                f"{lanes_out}: not the same number of elements"
            )
        if lanes_out % lanes_in == 0:
            self.widen(i, o)
        elif lanes_in % lanes_out == 0:
            self.narrow(i, o)
        else:
            groups = i.beats * lanes_in // lcm(lanes_in, lanes_out)
            wide = self.edge(f"{i.name} -> {o.name} (wide)", groups)
            queue = self.edge(f"{i.name} -> {o.name} (queue)", groups)
            self.widen(i, wide)
            self.fifo(wide, queue, 2)
            self.narrow(queue, o)

    def window(
        self,
        name: str,
        i: Edge,
        o: Edge,
        *,
        geometry: Geometry,
        folds: int,
        passes: int,
        steps: int,
        latency: int,
        lines: int | None = None,
        depth: int | None = None,
    ) -> None:
        """A windowed component: convolution, depthwise convolution or pooling (T3, T4).

        Parameters
        ----------
        folds : beats of a pixel
        passes : passes (output beats) of an output pixel
        steps : steps of a pass
        latency : cycles from the last step to the written result
        lines : of the image in memory, default :func:`window_lines`
        depth : depth of the output FIFO, default :func:`outlet_depth`
        """
        lines = window_lines(geometry) if lines is None else lines
        depth = outlet_depth(steps, latency) if depth is None else depth
        _beats(f"the input of {name!r}", i, geometry.pixels * folds)
        _beats(f"the output of {name!r}", o, geometry.out_pixels * passes)
        freed = self.times(geometry.lines)
        line_beats = geometry.width * folds
        # The last beat that each window waits for.
        need = (geometry.needed + 1) * folds - 1
        # Lines given up when an output line ends.
        gone = np.diff(geometry.kept, append=geometry.lines)
        line_ends = np.arange(1, len(gone) + 1) * geometry.out_size[-1] * passes - 1

        def write(n: int) -> tuple[Cycles]:
            ready = i.offer.of(n).copy()
            ready[::line_beats] = np.maximum(ready[::line_beats], freed.before(n, lines))
            return (spaced(ready, i.take.last(n) + 1),)

        def read(n: int) -> tuple[Cycles, Cycles]:
            ready = o.take.before(n, depth) + 1
            pixels = ready[::passes]
            np.maximum(pixels, i.take.of(n).take(need) + 1, out=pixels)
            start = spaced(ready, o.offer.last(n) - latency if n else 0, steps)
            return start + (steps + latency), np.repeat(start[line_ends] + steps, gone)

        self.add_batch(f"{name} (writer)", write, [i.offer, freed], [i.take])
        self.add_batch(f"{name} (reader)", read, [i.take, o.take], [o.offer, freed])

    def stream(
        self, name: str, inputs: Sequence[Edge], o: Edge, *, latency: int, depth: int | None = None
    ) -> None:
        """A joining pipeline of one beat each cycle: Add, Scale (T5)."""
        _same_beats(repr(name), *inputs, o)
        depth = outlet_depth(1, latency) if depth is None else depth

        def update(n: int) -> tuple[Cycles, ...]:
            ready = o.take.before(n, depth) + 1
            for i in inputs:
                ready = np.maximum(ready, i.offer.of(n))
            take = spaced(ready, inputs[0].take.last(n) + 1)
            return take + (latency + 1), *[take] * len(inputs)

        reads = [*(i.offer for i in inputs), o.take]
        self.add_batch(name, update, reads, [o.offer, *(i.take for i in inputs)])


@cache  # every implementation of a layer asks
@lru_cache(maxsize=256)
def window_lines(geometry: Geometry) -> int:
    """Image lines in memory with which no window waits for lines that could not be written.

    Within an image: the lines of a window and those that come new with the next output line. From
    line to line, and from image to image: what is left from one window on and what the next reads.
    (Where an image of planes is read faster than it comes, and strides leave planes out, the writer
    may still wait: more lines would be needed for some cycles an image.)
    """
    g = geometry
    read = g.last_lines + 1
    across = np.append(read[1:], read[0] + g.lines) - g.kept
    axes = zip(g.reach[:-1], g.size[:-1], g.steps[:-1], strict=True)
    within = 1 + sum(min(r, n - 1) * step // g.width for r, n, step in axes)
    within += min(g.stride[-2], g.size[-2])
    # While windows lie before or behind the image no line is given up, and the writer goes on.
    ends = zip(g.starts[:-1], g.reach[:-1], g.size[:-1], strict=True)
    beside = sum(int(at[0] + r < 0) + int(at[-1] >= n) for at, r, n in ends)
    return max(within, int(across.max())) + beside


def outlet_depth(steps: int, latency: int) -> int:
    """Smallest output FIFO with which credits never delay a pass.

    A slot is reserved when a pass starts, can be read ``steps + latency`` cycles later, and is back
    in the cycle after it was; a reader that keeps up (:class:`~midwire.hw.datapath.lanes.Narrow`,
    say) may look at a beat for as long as a pass.
    """
    return 2 + -(-latency // steps)


def tree_stages(terms: int) -> int:
    """Register stages of an adder tree over ``terms`` products."""
    return -(-(terms - 1).bit_length() // TREE_LEVELS)


def _beats(what: str, edge: Edge, beats: int) -> None:
    if edge.beats != beats:
        raise ValueError(f"{what} is {beats} beats, but edge {edge.name!r} has {edge.beats}")


def _same_beats(what: str, *edges: Edge) -> None:
    if len({edge.beats for edge in edges}) != 1:
        found = ", ".join(f"{edge.name!r} {edge.beats}" for edge in edges)
        raise ValueError(f"all edges of {what} must have the same number of beats, not {found}")


def _ends(what: str, few: Edge, many: Edge, parts: Sequence[int]) -> Cycles:
    """The last narrow beat of each wide beat."""
    if not parts:
        if many.beats % few.beats:
            raise ValueError(f"cannot {what}: {many.beats} beats are not a multiple of {few.beats}")
        parts = (many.beats // few.beats,)
    if few.beats % len(parts) or few.beats // len(parts) * sum(parts) != many.beats:
        raise ValueError(
            f"cannot {what}: {few.beats} beats of {tuple(parts)} parts in turn are not "
            f"{many.beats} beats"
        )
    return np.cumsum(np.tile(np.array(parts, np.int64), few.beats // len(parts))) - 1
