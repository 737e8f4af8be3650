# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From integer nodes and their implementations to a dataflow: stages, forks and lane adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ...hw.formats.tensor import TensorSpec
from ...hw.kernels.adapt import StreamFork, adapters, full
from ...hw.kernels.base import Implementation, StreamPort
from ..ir.dataflow import Channel, Dataflow, Stage
from ..ir.graph import Graph
from ..ir.quant import QGraph, QNode, QTensor


@dataclass
class _State:
    stages: list[Stage] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)

    def place(self, name: str, built: Implementation) -> Stage:
        """A stage that moves elements only."""
        self.stages.append(Stage(name, built))
        return self.stages[-1]


def assemble(
    qgraph: QGraph, graph: Graph, implementations: Mapping[str, Implementation]
) -> Dataflow:
    """The dataflow of implemented nodes, FIFO depths at joins still open (rule D3).

    ``graph`` gives the ONNX types of the borders.
    """
    state = _State()
    built = [
        (node, _stage(node, implementations[node.name], index))
        for index, node in enumerate(qgraph.nodes)
    ]
    readers = _readers(qgraph, [stage for _, stage in built])
    lanes_in = []
    for index, name in enumerate(qgraph.inputs):
        first = full(readers[name][0][1])
        _spread(state, ("", index), first, readers[name], f"in{index}")
        lanes_in.append(first.lanes)
    for node, stage in built:
        state.stages.append(stage)
        for k, name in enumerate(node.outputs):
            suffix = f"_{k}" if len(node.outputs) > 1 else ""
            port = stage.built.outputs[k]
            _spread(state, (stage.name, k), port, readers[name], f"{stage.name}{suffix}")
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


def _stage(node: QNode, built: Implementation, index: int) -> Stage:
    name = f"n{index}_{_identifier(node)}"
    images = partial(node.kernel.images, built, node.finishers, name)
    return Stage(name, built, images, node.name)


def _identifier(node: QNode) -> str:
    """A short Verilog identifier that reminds of the node."""
    words = re.findall(r"[A-Za-z0-9]+", node.name.split(";")[0].split("/")[-1])
    return ("_".join(words) or node.kernel.name)[:24].lower()


def _spec(graph: Graph, name: str, tensor: QTensor, lanes: int) -> TensorSpec:
    value = graph.values[name]
    return TensorSpec(name, value.shape, value.dtype, tensor.qtype, tensor.layout, lanes)


Reader = tuple[tuple[str, int], StreamPort]


def _readers(qgraph: QGraph, stages: Sequence[Stage]) -> dict[str, list[Reader]]:
    """For each tensor, the input ports that read it; a border output reads it with the lanes of
    its maker, every beat full.
    """
    readers: dict[str, list[Reader]] = {name: [] for name in qgraph.tensors}
    makers: dict[str, StreamPort] = {}
    for node, stage in zip(qgraph.nodes, stages, strict=True):
        for index, name in enumerate(node.inputs):
            readers[name].append(((stage.name, index), stage.built.inputs[index]))
        makers.update(zip(node.outputs, stage.built.outputs, strict=True))
    for index, name in enumerate(qgraph.outputs):
        readers[name].append((("", index), full(makers[name])))
    return readers


def _spread(
    state: _State,
    source: tuple[str, int],
    port: StreamPort,
    readers: Sequence[Reader],
    name: str,
) -> None:
    """Connect an output to all its readers."""
    if len(readers) > 1:
        fork = state.place(f"{name}_fork", StreamFork(port, len(readers)))
        state.channels.append(Channel(source, (fork.name, 0), port))
        ends = [(fork.name, k) for k in range(len(readers))]
    else:
        ends = [source]
    for k, (end, (sink, wanted)) in enumerate(zip(ends, readers, strict=True)):
        suffix = f"_{k}" if len(readers) > 1 else ""
        for n, built in enumerate(adapters(port, wanted)):
            adapter = state.place(f"{name}{suffix}_adapter{n or ''}", built)
            state.channels.append(Channel(end, (adapter.name, 0), built.inputs[0]))
            end = (adapter.name, 0)
        state.channels.append(Channel(end, sink, wanted))


def _output_port(state: _State, index: int) -> StreamPort:
    return next(c.port for c in state.channels if c.sink == ("", index))


def _ordered(state: _State) -> tuple[Stage, ...]:
    """Stages in topological order; opens the depth of every channel into a join, and of those out
    of what makes outputs in turns (rule D3): in its turn one comes faster than its reader, which
    keeps the interval on the average only, may take it.
    """
    joins = {stage.name for stage in state.stages if len(stage.built.inputs) > 1}
    turns = {stage.name for stage in state.stages if stage.built.in_turns}
    state.channels = [
        replace(channel, depth=None)
        if channel.sink[0] in joins or channel.source[0] in turns
        else channel
        for channel in state.channels
    ]
    waiting = {stage.name: len(stage.built.inputs) for stage in state.stages}
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
