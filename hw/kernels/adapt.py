# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands between kernels, as implementations: lane adapters, forks and FIFOs.

They move elements and compute nothing, so no kernel offers them: :func:`adapters` says which ones
join two ports of one tensor. Rules, cited by tests as A1 to A3:

A1. Ports that are alike need no adapter. Full beats on both sides take one :class:`LaneAdapter`.
A2. A padded source is trimmed to the most lanes that divide both its lanes and its run; a padded
    sink is filled from such lanes. Between the two, full beats as in A1.
A3. The output of an adapter is the input of the next; the first has the source's port as its input,
    the last the sink's as its output.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, lcm
from typing import Any

from ..timing.components import Edge, Schedule
from ..timing.cost import Cost, counter_cost, fifo_cost, select_bits
from .base import Implementation, StreamPort

__all__ = ["LaneAdapter", "RunFill", "RunTrim", "StreamFifo", "StreamFork", "adapters", "full"]


def adapters(source: StreamPort, sink: StreamPort) -> list[Implementation]:
    """The adapters, in order, that make a sink's beats of a source's (A1 to A3).

    Raises
    ------
    ValueError
        If the ports have different types or numbers of elements: not one tensor.
    """
    if source.type != sink.type or source.elements != sink.elements:
        raise ValueError(
            f"both ports must carry one tensor, but the source has {source.elements} elements of "
            f"{source.type} and the sink {sink.elements} of {sink.type}"
        )
    if (source.lanes, source.run) == (sink.lanes, sink.run):
        return []
    before, after = full(source), full(sink)
    chain: list[Implementation] = []
    if source.padded:
        chain.append(RunTrim(source, before))
    if before != after:
        chain.append(LaneAdapter(before, after))
    if sink.padded:
        chain.append(RunFill(after, sink))
    return chain


def full(port: StreamPort) -> StreamPort:
    """The port with the most lanes of which every beat is full and no run ends within one (A2)."""
    lanes = gcd(port.lanes, port.run) if port.padded else port.lanes
    return StreamPort(port.type, lanes, port.elements // lanes)


@dataclass(frozen=True)
class _Between(Implementation):
    """From one port to another of the same tensor, at the speed of the one with more beats."""

    source: StreamPort
    sink: StreamPort

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The source's beats."""
        return (self.source,)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The sink's beats."""
        return (self.sink,)

    @property
    def cycles(self) -> int:
        """A cycle for each beat of the side that has more."""
        return max(self.source.beats, self.sink.beats)

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :mod:`midwire.hw.timing.components`."""
        self._timing(schedule, inputs[0], outputs[0])

    @abstractmethod
    def _timing(self, schedule: Schedule, i: Edge, o: Edge) -> None: ...


class LaneAdapter(_Between):
    """Between any two numbers of lanes, all beats full: a
    :class:`~midwire.hw.datapath.lanes.Adapter`.
    """

    @property
    def latency(self) -> int:
        """One cycle to collect a wide beat, and one in the FIFO behind it where it is divided."""
        common = lcm(self.source.lanes, self.sink.lanes)
        return 0 if common == self.source.lanes else 1 if common == self.sink.lanes else 2

    @property
    def cost(self) -> Cost:
        """Collects beats of the least common multiple, and divides them."""
        common = lcm(self.source.lanes, self.sink.lanes)
        bits = self.source.type.bits
        cost = Cost()
        if common != self.source.lanes:
            cost += _fill_cost(bits, self.source.lanes, common // self.source.lanes)
        if common not in (self.source.lanes, self.sink.lanes):
            cost += fifo_cost(bits * common + 1, 2)
        if common != self.sink.lanes:
            cost += _trim_cost(bits, self.sink.lanes, common // self.sink.lanes)
        return cost

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.lanes.Adapter`."""
        from ..datapath.lanes import Adapter

        return Adapter(_shape(self.source), self.source.lanes, self.sink.lanes)

    def _timing(self, schedule: Schedule, i: Edge, o: Edge) -> None:
        schedule.adapter(i, o, self.source.lanes, self.sink.lanes)


class RunFill(_Between):
    """From full beats to wider ones that a run's end does not fill: a
    :class:`~midwire.hw.datapath.lanes.Fill`.
    """

    @property
    def latency(self) -> int:
        """A cycle to collect a beat."""
        return 1

    @property
    def cost(self) -> Cost:
        """Registers of a beat."""
        parts = _beat_parts(self.source, self.sink)
        cost = _fill_cost(self.source.type.bits, self.source.lanes, max(parts))
        return cost + counter_cost(len(parts))

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.lanes.Fill`."""
        from ..datapath.lanes import Fill

        lanes = self.source.lanes
        return Fill(_shape(self.source), lanes, self.sink.lanes // lanes, self.sink.run)

    def _timing(self, schedule: Schedule, i: Edge, o: Edge) -> None:
        schedule.widen(i, o, _beat_parts(self.source, self.sink))


class RunTrim(_Between):
    """From beats that a run's end does not fill to narrower full ones: a
    :class:`~midwire.hw.datapath.lanes.Trim`.
    """

    @property
    def latency(self) -> int:
        """No cycle passes."""
        return 0

    @property
    def cost(self) -> Cost:
        """A multiplexer."""
        parts = _beat_parts(self.sink, self.source)
        cost = _trim_cost(self.source.type.bits, self.sink.lanes, max(parts))
        return cost + counter_cost(len(parts))

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.lanes.Trim`."""
        from ..datapath.lanes import Trim

        lanes = self.sink.lanes
        return Trim(_shape(self.source), lanes, self.source.lanes // lanes, self.source.run)

    def _timing(self, schedule: Schedule, i: Edge, o: Edge) -> None:
        schedule.narrow(i, o, _beat_parts(self.sink, self.source))


@dataclass(frozen=True)
class StreamFork(Implementation):
    """One stream to several readers: a :class:`~midwire.hw.datapath.stream.Fork`."""

    port: StreamPort
    branches: int

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The stream."""
        return (self.port,)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The stream, for each reader."""
        return (self.port,) * self.branches

    @property
    def output_names(self) -> tuple[str, ...]:
        """One for each branch."""
        return tuple(f"o.{k}" for k in range(self.branches))

    @property
    def cycles(self) -> int:
        """A cycle for each beat."""
        return self.port.beats

    @property
    def latency(self) -> int:
        """No cycle passes."""
        return 0

    @property
    def cost(self) -> Cost:
        """Remembers for each branch whether it took the beat."""
        return Cost(adders=2 * self.branches, registers=self.branches)

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :meth:`~midwire.hw.timing.components.Schedule.fork`."""
        schedule.fork(inputs[0], outputs)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.stream.Fork`."""
        from ..datapath.stream import Fork, beat

        return Fork(beat(_shape(self.port), self.port.lanes), self.branches)


@dataclass(frozen=True)
class StreamFifo(Implementation):
    """A FIFO of ``depth`` beats: a :class:`~midwire.hw.datapath.stream.Fifo`."""

    port: StreamPort
    depth: int

    @property
    def inputs(self) -> tuple[StreamPort, ...]:
        """The stream."""
        return (self.port,)

    @property
    def outputs(self) -> tuple[StreamPort, ...]:
        """The stream."""
        return (self.port,)

    @property
    def cycles(self) -> int:
        """A cycle for each beat; two if only one fits."""
        return self.port.beats * (2 if self.depth == 1 else 1)

    @property
    def latency(self) -> int:
        """A beat taken is offered in the next cycle."""
        return 1

    @property
    def cost(self) -> Cost:
        """A memory and its pointers."""
        return fifo_cost(self.port.payload_bits, self.depth)

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """See :meth:`~midwire.hw.timing.components.Schedule.fifo`."""
        schedule.fifo(inputs[0], outputs[0], self.depth)

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.stream.Fifo`."""
        from ..datapath.stream import Fifo, beat

        return Fifo(beat(_shape(self.port), self.port.lanes), self.depth)


def _beat_parts(narrow: StreamPort, wide: StreamPort) -> tuple[int, ...]:
    """Narrow beats in each wide beat of a run."""
    full, rest = divmod(wide.run // narrow.lanes, wide.lanes // narrow.lanes)
    return (wide.lanes // narrow.lanes,) * full + (rest,)


def _fill_cost(bits: int, lanes: int, parts: int) -> Cost:
    """Registers for ``parts`` beats of ``lanes`` elements, each with its enable."""
    return counter_cost(parts) + Cost(adders=parts, registers=bits * lanes * parts + 2)


def _trim_cost(bits: int, lanes: int, parts: int) -> Cost:
    """A multiplexer of ``parts`` beats of ``lanes`` elements."""
    return counter_cost(parts) + Cost(adders=select_bits(bits * lanes, parts))


def _shape(port: StreamPort) -> Any:
    """Amaranth's shape of a port's elements."""
    from ..datapath.ranges import shape_for

    return shape_for(port.type)
