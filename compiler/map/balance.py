# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose FIFO depths from the exact schedule, and read cycles from it.

A FIFO stands before each input of a join. The schedule runs once with those FIFOs unbounded; a FIFO
as deep as it ever got, and one more for the beat that comes while one leaves, gives the very same
schedule. So no depth can deadlock, and cycles are known without simulating RTL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...hw.formats.bundle import MEASURED_INFERENCES
from ...hw.timing.components import Edge, Run, Schedule
from ..ir.dataflow import Channel, Dataflow


@dataclass(frozen=True)
class Balanced:
    """A dataflow with all depths chosen, and what its schedule says.

    ``latency_cycles`` counts from the first beat in to the last beat out of a lone inference;
    ``cycles_per_inference`` is the distance of the last beats of back-to-back inferences.
    """

    flow: Dataflow
    latency_cycles: int
    cycles_per_inference: int


def balance(flow: Dataflow) -> Balanced:
    """Close every open depth (rule D3) and predict cycles."""
    run = _run(flow)
    channels = tuple(
        replace(channel, depth=run.occupancy[_name(channel)] + 1)
        if channel.depth is None
        else channel
        for channel in flow.channels
    )
    return Balanced(replace(flow, channels=channels), run.latency, run.cycles_per_inference)


def _name(channel: Channel) -> str:
    return "{}.{} -> {}.{}".format(*channel.source, *channel.sink)


def _run(flow: Dataflow) -> Run:
    schedule = Schedule()
    ends: dict[tuple[str, int], Edge] = {}
    starts: dict[tuple[str, int], Edge] = {}
    for channel in flow.channels:
        # A FIFO's occupancy goes by the name of the edge behind it.
        queued = channel.depth is None or channel.depth > 0
        name = _name(channel)
        first = f"{name} (in)" if queued else name
        if channel.source[0] == "":
            edge = schedule.source(first, channel.port.beats)
        else:
            edge = schedule.edge(first, channel.port.beats)
        starts[channel.source] = ends[channel.sink] = edge
        if queued:
            ends[channel.sink] = schedule.edge(name, channel.port.beats)
            schedule.fifo(edge, ends[channel.sink], channel.depth)
        if channel.sink[0] == "":
            schedule.sink(ends[channel.sink])
    for stage in flow.stages:
        built = stage.built
        inputs: Sequence[Edge] = [ends[stage.name, k] for k in range(len(built.inputs))]
        outputs: Sequence[Edge] = [starts[stage.name, k] for k in range(len(built.outputs))]
        built.timing(schedule, stage.name, inputs, outputs)
    return schedule.run(MEASURED_INFERENCES)
