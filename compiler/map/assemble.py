# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From integer nodes and their foldings to streaming components: stages, forks and lane
adapters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from amaranth.hdl import Shape
from amaranth.lib import wiring

from ...hw.datapath.stream import Adapter, Fork, beat
from ...hw.formats.tensor import TensorSpec
from ...hw.timing.components import Edge, Schedule
from ..ir.dataflow import Channel, Dataflow, Folding, Port, Stage
from ..ir.graph import Graph
from ..ir.quant import QGraph, QNode, QTensor


@dataclass
class _State:
    stages: list[Stage] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)

    def place(self, stage: Stage) -> Stage:
        self.stages.append(stage)
        return stage


def assemble(qgraph: QGraph, graph: Graph, foldings: Mapping[str, Folding]) -> Dataflow:
    """The dataflow of a folded graph, FIFO depths at joins still open (rule D3).

    ``graph`` gives the ONNX types of the borders.
    """
    state = _State()
    built = [
        (node, _stage(qgraph, node, foldings[node.name], index))
        for index, node in enumerate(qgraph.nodes)
    ]
    readers = _readers(qgraph, [stage for _, stage in built])
    lanes_in = []
    for index, name in enumerate(qgraph.inputs):
        first = readers[name][0][1]
        _spread(state, ("", index), first, readers[name], f"in{index}")
        lanes_in.append(first.lanes)
    for node, stage in built:
        state.place(stage)
        _spread(state, (stage.name, 0), stage.outputs[0], readers[node.output], stage.name)
    lanes_out = [_output_port(state, index).lanes for index in range(len(qgraph.outputs))]
    return Dataflow(
        qgraph.name,
        _ordered(state),
        tuple(state.channels),
        tuple(
            _spec(graph, name, qgraph.tensors[name], lanes)
            for name, lanes in zip(qgraph.inputs, lanes_in, strict=True)
        ),
        tuple(
            _spec(graph, tensor.name, tensor, lanes)
            for tensor, lanes in zip(qgraph.results, lanes_out, strict=True)
        ),
    )


def _stage(qgraph: QGraph, node: QNode, folding: Folding, index: int) -> Stage:
    out = qgraph.tensors[node.output].qtype
    return node.core.stage(node, out, folding, f"n{index}_{_identifier(node)}")


def _identifier(node: QNode) -> str:
    """A short Verilog identifier that reminds of the node."""
    words = re.findall(r"[A-Za-z0-9]+", node.name.split(";")[0].split("/")[-1])
    return ("_".join(words) or node.core.kernel)[:24].lower()


def _spec(graph: Graph, name: str, tensor: QTensor, lanes: int) -> TensorSpec:
    value = graph.values[name]
    return TensorSpec(name, value.shape, value.dtype, tensor.qtype, tensor.layout, lanes)


Reader = tuple[tuple[str, int], Port]


def _readers(qgraph: QGraph, stages: Sequence[Stage]) -> dict[str, list[Reader]]:
    """For each tensor, the input ports that read it; a border output reads it with its own
    lanes.
    """
    readers: dict[str, list[Reader]] = {name: [] for name in qgraph.tensors}
    by_name = {node.name: stage for node, stage in zip(qgraph.nodes, stages, strict=True)}
    for node in qgraph.nodes:
        stage = by_name[node.name]
        for index, name in enumerate(node.inputs):
            readers[name].append(((stage.name, index), stage.inputs[index]))
    makers = {node.output: by_name[node.name] for node in qgraph.nodes}
    for index, name in enumerate(qgraph.outputs):
        readers[name].append((("", index), makers[name].outputs[0]))
    return readers


def _spread(
    state: _State,
    source: tuple[str, int],
    port: Port,
    readers: Sequence[Reader],
    name: str,
) -> None:
    """Connect an output to all its readers."""
    if len(readers) > 1:
        fork = state.place(_fork_stage(f"{name}_fork", port, len(readers)))
        state.channels.append(Channel(source, (fork.name, 0), port))
        ends = [(fork.name, k) for k in range(len(readers))]
    else:
        ends = [source]
    for k, (end, (sink, wanted)) in enumerate(zip(ends, readers, strict=True)):
        if wanted.lanes != port.lanes:
            suffix = f"_{k}" if len(readers) > 1 else ""
            adapter = state.place(_adapter_stage(f"{name}{suffix}_adapter", port, wanted))
            state.channels.append(Channel(end, (adapter.name, 0), port))
            state.channels.append(Channel((adapter.name, 0), sink, wanted))
        else:
            state.channels.append(Channel(end, sink, port))


def _output_port(state: _State, index: int) -> Port:
    return next(c.port for c in state.channels if c.sink == ("", index))


def _fork_stage(name: str, port: Port, count: int) -> Stage:
    shape = Shape(port.bits, port.signed)

    def build() -> wiring.Component:
        return Fork(beat(shape, port.lanes), count)

    def timing(schedule: Schedule, inputs: Sequence[Edge], outputs: Sequence[Edge]) -> None:
        schedule.fork(inputs[0], outputs)

    names = tuple(f"o.{k}" for k in range(count))
    return Stage(name, (port,), (port,) * count, build, timing, output_names=names)


def _adapter_stage(name: str, source: Port, sink: Port) -> Stage:
    shape = Shape(source.bits, source.signed)

    def build() -> wiring.Component:
        return Adapter(shape, source.lanes, sink.lanes)

    def timing(schedule: Schedule, inputs: Sequence[Edge], outputs: Sequence[Edge]) -> None:
        schedule.adapter(inputs[0], outputs[0], source.lanes, sink.lanes)

    return Stage(name, (source,), (sink,), build, timing)


def _ordered(state: _State) -> tuple[Stage, ...]:
    """Stages in topological order; opens the depth of every channel into a join (rule D3)."""
    joins = {stage.name for stage in state.stages if len(stage.inputs) > 1}
    state.channels = [
        replace(channel, depth=None) if channel.sink[0] in joins else channel
        for channel in state.channels
    ]
    waiting = {stage.name: len(stage.inputs) for stage in state.stages}
    by_name = {stage.name: stage for stage in state.stages}
    ordered: list[Stage] = []
    ready = [""]
    while ready:
        name = ready.pop(0)
        if name:
            ordered.append(by_name[name])
        for channel in state.channels:
            if channel.source[0] == name and channel.sink[0]:
                waiting[channel.sink[0]] -= 1
                if waiting[channel.sink[0]] == 0:
                    ready.append(channel.sink[0])
    return tuple(ordered)
