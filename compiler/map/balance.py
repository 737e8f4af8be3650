# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose FIFO depths from the exact schedule, and read cycles from it.

A FIFO may stand before each input of a join, and behind what makes its outputs in turns. Its depth
is the least with which the dataflow keeps the wanted interval, or the best that its slowest stage
allows, and with which a lone inference takes no longer than with endless FIFOs (rules B1 to B3 of
:mod:`midwire.hw.timing.steady`). Depths come from a schedule for any number of inferences, so none
can deadlock and none grows with them. Cycles come from the schedule with those depths, without
simulating RTL.

A schedule does not depend on weights, so after a change of weights all that is known already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...hw.formats.bundle import MEASURED_INFERENCES
from ...hw.remembered import remembered
from ...hw.timing.components import Edge, Queue, Schedule
from ...hw.timing.describe import described
from ...hw.timing.steady import least_depths
from ..ir.dataflow import Channel, Dataflow


@dataclass(frozen=True)
class Balanced:
    """A dataflow with all depths chosen, and what its schedule says.

    ``latency_cycles`` counts from the first beat in to the last beat out of a lone inference;
    ``cycles_per_inference`` is the distance of the last beats of back-to-back inferences.
    ``spans`` has for each stage the cycles of the first beat that it takes and of the last that
    leaves it, of the first of these inferences, whose first beat goes in in cycle 0.
    """

    flow: Dataflow
    latency_cycles: int
    cycles_per_inference: int
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def balance(
    flow: Dataflow, interval: int = 1, stopped: Callable[[], bool] = lambda: False
) -> Balanced:
    """Close every open depth (rule D3) and predict cycles.

    Parameters
    ----------
    interval : cycles between two inferences that are wanted; by default the best that there is
    stopped : whether to give up

    Raises
    ------
    StoppedError
        If ``stopped`` said so.
    ScheduleDeadlock
        If the dataflow stops, whatever the open depths are.
    """
    network = _schedule(flow)
    question = json.dumps(
        [
            _SOURCE,
            described(network.schedule),
            [channel.port.payload_bits for channel in network.queues],
            network.ports(flow),
            interval,
            MEASURED_INFERENCES,
        ]
    )
    text = remembered(
        question.encode(), lambda: json.dumps(_solved(flow, network, interval, stopped)).encode()
    )
    found = json.loads(text)
    depths = dict(zip(network.queues, found["depths"], strict=True))
    channels = tuple(
        replace(channel, depth=depths[channel]) if channel in depths else channel
        for channel in flow.channels
    )
    spans = {
        stage.name: (first, last)
        for stage, (first, last) in zip(flow.stages, found["spans"], strict=True)
    }
    balanced = replace(flow, channels=channels)
    return Balanced(balanced, found["latency"], found["cycles_per_inference"], spans)


_SOURCE = Path(__file__).read_text("utf-8")


def _solved(
    flow: Dataflow, network: _Network, interval: int, stopped: Callable[[], bool]
) -> dict[str, Any]:
    """What a schedule says: depths of its FIFOs, cycles, and spans of its stages in order."""
    opened = {
        queue: channel.port.payload_bits
        for channel, queue in network.queues.items()
        if channel.depth is None
    }
    if opened:
        run = least_depths(network.schedule, opened, interval, stopped).run(MEASURED_INFERENCES)
    else:
        run = network.schedule.run(MEASURED_INFERENCES)
    spans = [
        (
            min(_taken(network.ends, stage.name, k, 0) for k in range(len(stage.built.inputs)))
            - run.first_in[0],
            max(_taken(network.starts, stage.name, k, -1) for k in range(len(stage.built.outputs)))
            - run.first_in[0],
        )
        for stage in flow.stages
    ]
    return {
        "depths": [queue.depth for queue in network.queues.values()],
        "latency": run.latency,
        "cycles_per_inference": run.cycles_per_inference,
        "spans": spans,
    }


Ports = dict[tuple[str, int], Edge]
"""The stream at each port of each stage."""


def _taken(edges: Ports, stage: str, port: int, beat: int) -> int:
    """The cycle in which a beat of the first tensor moves."""
    return int(edges[stage, port].take.of(0)[beat])


@dataclass(frozen=True)
class _Network:
    """A dataflow's schedule in the order of its streams, what is at outputs and inputs of stages,
    and the FIFOs.
    """

    schedule: Schedule
    starts: Ports
    ends: Ports
    queues: Mapping[Channel, Queue]

    def ports(self, flow: Dataflow) -> list[list[int]]:
        """For each stage the places of its edges among all: of its inputs, then of its outputs."""
        places = {edge.name: k for k, edge in enumerate(self.schedule.edges)}
        return [
            [
                *(places[self.ends[stage.name, k].name] for k in range(len(stage.built.inputs))),
                *(places[self.starts[stage.name, k].name] for k in range(len(stage.built.outputs))),
            ]
            for stage in flow.stages
        ]


def _schedule(flow: Dataflow) -> _Network:
    schedule = Schedule()
    starts: Ports = {}
    ends: Ports = {}
    queues: dict[Channel, Queue] = {}
    for channel in flow.channels:
        name = "{}.{} -> {}.{}".format(*channel.source, *channel.sink)
        make = schedule.source if channel.source[0] == "" else schedule.edge
        starts[channel.source] = ends[channel.sink] = make(name, channel.port.beats)
    inputs: dict[str, list[Channel]] = {name: [] for name in ("", *(s.name for s in flow.stages))}
    for channel in flow.channels:
        inputs[channel.sink[0]].append(channel)

    def enqueue(stage: str) -> None:
        for channel in inputs[stage]:
            edge = starts[channel.source]
            if channel.depth != 0:
                behind = schedule.edge(f"{edge.name} (FIFO)", edge.beats)
                queues[channel] = schedule.fifo(edge, behind, channel.depth)
                ends[channel.sink] = behind

    for stage in flow.stages:
        enqueue(stage.name)
        built = stage.built
        built.timing(
            schedule,
            stage.name,
            [ends[stage.name, k] for k in range(len(built.inputs))],
            [starts[stage.name, k] for k in range(len(built.outputs))],
        )
    enqueue("")
    for channel in inputs[""]:
        schedule.sink(ends[channel.sink])
    return _Network(schedule, starts, ends, queues)
