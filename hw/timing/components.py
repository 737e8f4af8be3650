# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact cycle model of a network of streaming components, without RTL simulation.

Every component has a timing process here that mirrors its handshakes beat by beat (not
multiply by multiply). Cycle 0 is the first cycle after reset. Rules, cited by tests as T1 to T6:

T1. An edge is one stream. ``offer[i]`` is the first cycle in which its producer can show beat
    ``i``; ``take[i]`` is the cycle in which the beat is transferred, at least ``offer[i]`` and
    ``take[i - 1] + 1``. The producer fills ``offer``, the consumer fills ``take``.
T2. A FIFO of depth D takes beat ``i`` no earlier than ``r[i - D] + 1`` and offers it in the cycle
    after, where ``r`` are the transfers at its output.
T3. A pass (one accumulation) of a windowed component needs its last pixel to be in memory
    (taken before), a credit (``r[j - D] + 1``, D the depth of the output FIFO), and the pass before
    to have ended. It issues one step each cycle; its result is written ``latency`` cycles after
    the last step, and offered in the cycle after that.
T4. A windowed component takes a beat of row ``r`` when row ``r - rows`` is no longer needed. Rows
    are given up in the cycle after the last step of an output row.
T5. A fork shows a beat to every branch until that branch took it, and the next one in the cycle
    after all did. A joining component takes from all inputs in one cycle.
T6. A source always has a beat, a sink always takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice, pairwise
from math import lcm

from ..kernels.geometry import Geometry
from .schedule import Blocked, Edge, Network, Run, ScheduleDeadlock

__all__ = [
    "TREE_LEVELS",
    "Edge",
    "Run",
    "Schedule",
    "ScheduleDeadlock",
    "outlet_depth",
    "tree_stages",
    "window_rows",
]

TREE_LEVELS = 3
"""Levels of an adder tree between two registers."""


class Schedule(Network):
    """A network of streaming components. Add components and edges, then :meth:`run` it."""

    def fifo(self, i: Edge, o: Edge, depth: int | None) -> None:
        """A :class:`~midwire.hw.datapath.stream.Fifo`; without a depth it never fills (T2)."""
        _same_beats("a FIFO", i, o)
        offer, take, later, free = i.offer, i.take, o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * i.beats):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                if depth is not None and n >= depth:
                    while len(free) <= n - depth:
                        yield free
                    if free[n - depth] >= at:
                        at = free[n - depth] + 1
                take.append(at)
                later.append(at + 1)

        self.add(f"FIFO {i.name} -> {o.name}", process, take, later)

    def fork(self, i: Edge, outputs: Sequence[Edge]) -> None:
        """A :class:`~midwire.hw.datapath.stream.Fork` (T5)."""
        _same_beats("a fork", i, *outputs)
        offer, take = i.offer, i.take
        offers, takes = [o.offer for o in outputs], [o.take for o in outputs]

        def process(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * i.beats):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                for branch in offers:
                    branch.append(at)
                for taken in takes:
                    while len(taken) <= n:
                        yield taken
                    if taken[n] > at:
                        at = taken[n]
                take.append(at)

        self.add(f"fork of {i.name}", process, take, *offers)

    def widen(self, i: Edge, o: Edge, parts: Sequence[int] = ()) -> None:
        """A :class:`~midwire.hw.datapath.lanes.Fill`: many beats become one.

        ``parts`` has the input beats of each output beat, in turn; by default all take as many.
        """
        parts = _parts("widen", o, i, parts)
        offer, take, later, free = i.offer, i.take, o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            n = 0
            for group, count in enumerate(islice(cycle(parts), inferences * o.beats)):
                for part in range(count):
                    while len(offer) <= n:
                        yield offer
                    ready = offer[n]
                    at = ready if ready > at else at + 1
                    if part == 0 and group:
                        while len(free) < group:
                            yield free
                        # The full register empties and fills in one cycle.
                        if free[group - 1] > at:
                            at = free[group - 1]
                    take.append(at)
                    n += 1
                later.append(at + 1)

        self.add(f"widen {i.name} -> {o.name}", process, take, later)

    def narrow(self, i: Edge, o: Edge, parts: Sequence[int] = ()) -> None:
        """A :class:`~midwire.hw.datapath.lanes.Trim`: one beat becomes many.

        ``parts`` has the output beats of each input beat, in turn; by default all give as many.
        """
        parts = _parts("narrow", i, o, parts)
        offer, take, later, free = i.offer, i.take, o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            end = 0
            for n, count in enumerate(islice(cycle(parts), inferences * i.beats)):
                while len(offer) <= n:
                    yield offer
                ready = offer[n]
                at = ready if ready > at else at + 1
                later.extend([at] * count)
                end += count
                while len(free) < end:
                    yield free
                at = free[end - 1]
                take.append(at)

        self.add(f"narrow {i.name} -> {o.name}", process, take, later)

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
        rows: int | None = None,
        depth: int | None = None,
    ) -> None:
        """A windowed component: convolution, depthwise convolution or pooling (T3, T4).

        Parameters
        ----------
        folds : beats of a pixel
        passes : passes (output beats) of an output pixel
        steps : steps of a pass
        latency : cycles from the last step to the written result
        rows : image rows in memory, default :func:`window_rows`
        depth : depth of the output FIFO, default :func:`outlet_depth`
        """
        rows = window_rows(geometry) if rows is None else rows
        depth = outlet_depth(steps, latency) if depth is None else depth
        height, width = geometry.height, geometry.width
        _beats(f"the input of {name!r}", i, height * width * folds)
        _beats(f"the output of {name!r}", o, geometry.out_height * geometry.out_width * passes)
        offer, take, later, free = i.offer, i.take, o.offer, o.take
        freed = self.times()
        row_beats = width * folds
        (reach_y, reach_x), (sh, sw) = geometry.reach, geometry.stride
        top, left = geometry.pads[:2]
        # Beats of the image that the windows of an output row or column wait for.
        need_y = [
            min(max(oy * sh - top + reach_y, 0), height - 1) * row_beats
            for oy in range(geometry.out_height)
        ]
        need_x = [
            (min(max(ox * sw - left + reach_x, 0), width - 1) + 1) * folds - 1
            for ox in range(geometry.out_width)
        ]
        # Rows given up when an output row ends.
        firsts = [min(max(oy * sh - top, 0), height) for oy in range(geometry.out_height)]
        firsts.append(height)
        gone = [after - row for row, after in pairwise(firsts)]

        def writer(inferences: int) -> Blocked:
            at = -1
            for row in range(inferences * height):
                if row >= rows:
                    while len(freed) <= row - rows:
                        yield freed
                    if freed[row - rows] > at:
                        at = freed[row - rows] - 1
                for n in range(row * row_beats, (row + 1) * row_beats):
                    while len(offer) <= n:
                        yield offer
                    ready = offer[n]
                    at = ready if ready > at else at + 1
                    take.append(at)

        def reader(inferences: int) -> Blocked:
            at = 0
            j = -depth
            written = steps + latency
            for image in range(inferences):
                base = image * height * row_beats
                for need_row, count in zip(need_y, gone, strict=True):
                    for need_column in need_x:
                        need = base + need_row + need_column
                        while len(take) <= need:
                            yield take
                        if take[need] >= at:
                            at = take[need] + 1
                        for _ in range(passes):
                            if j >= 0:
                                while len(free) <= j:
                                    yield free
                                if free[j] >= at:
                                    at = free[j] + 1
                            later.append(at + written)
                            at += steps
                            j += 1
                    freed.extend([at] * count)

        self.add(f"{name} (writer)", writer, take)
        self.add(f"{name} (reader)", reader, later, freed)

    def stream(
        self, name: str, inputs: Sequence[Edge], o: Edge, *, latency: int, depth: int | None = None
    ) -> None:
        """A joining pipeline of one beat each cycle: Add, Scale (T5)."""
        _same_beats(repr(name), *inputs, o)
        depth = outlet_depth(1, latency) if depth is None else depth
        offers, takes = [i.offer for i in inputs], [i.take for i in inputs]
        later, free = o.offer, o.take

        def process(inferences: int) -> Blocked:
            at = -1
            for n in range(inferences * o.beats):
                at += 1
                for offer in offers:
                    while len(offer) <= n:
                        yield offer
                    if offer[n] > at:
                        at = offer[n]
                if n >= depth:
                    while len(free) <= n - depth:
                        yield free
                    if free[n - depth] >= at:
                        at = free[n - depth] + 1
                for take in takes:
                    take.append(at)
                later.append(at + latency + 1)

        self.add(name, process, later, *takes)


def window_rows(geometry: Geometry) -> int:
    """Image rows in memory with which no window waits for rows that could not be written.

    Within an image: the rows of a window and those that come new with the next output row. From
    image to image: what is left from the last window on and what the next first window reads.
    """
    reach, height, top = geometry.reach[0], geometry.height, geometry.pads[0]
    within = min(reach + 1, height) + min(geometry.stride[0], height)
    last = min(max((geometry.out_height - 1) * geometry.stride[0] - top, 0), height)
    first = min(max(reach - top, 0), height - 1) + 1
    return max(within, height - last + first)


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


def _parts(what: str, few: Edge, many: Edge, parts: Sequence[int]) -> Sequence[int]:
    """Narrow beats of each wide beat, in turn."""
    if not parts:
        if many.beats % few.beats:
            raise ValueError(f"cannot {what}: {many.beats} beats are not a multiple of {few.beats}")
        return (many.beats // few.beats,)
    if few.beats % len(parts) or few.beats // len(parts) * sum(parts) != many.beats:
        raise ValueError(
            f"cannot {what}: {few.beats} beats of {tuple(parts)} parts in turn are not "
            f"{many.beats} beats"
        )
    return parts
