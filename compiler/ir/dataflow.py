# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The third IR: streaming components and the streams between them.

Rules, checked by :func:`verify`:

D1. Stages stand in topological order; every stage has an implementation, so a dataflow cannot be
    undecided.
D2. A channel joins one output port to one input port, which are alike; where the ports of two
    operators differ, adapter stages stand between, and a tensor with several readers goes through a
    fork stage. At the border, each tensor of the slice has one channel, of its type and lanes.
D3. Every channel has a FIFO depth: 0 means wires only, None that ``balance`` has yet to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...hw.formats.tensor import TensorSpec
from ...hw.kernels.base import Implementation, SidePort, StreamPort


@dataclass(frozen=True, eq=False)
class Stage:
    """A streaming component.

    Attributes
    ----------
    name : unique, a Verilog identifier
    built : what it is
    contents : makes :attr:`images`, which is not needed before hardware is elaborated
    node : name of the integer node that it computes, None for forks and adapters
    """

    name: str
    built: Implementation
    contents: Callable[[], Mapping[str, str]] = dict
    node: str | None = None

    @cached_property
    def images(self) -> Mapping[str, str]:
        """Memory images, file name to text."""
        return self.contents()


@dataclass(frozen=True)
class Channel:
    """A stream between two stages, or a stage and the border (stage name "")."""

    source: tuple[str, int]
    sink: tuple[str, int]
    port: StreamPort
    depth: int | None = 0


@dataclass(frozen=True, eq=False)
class Dataflow:
    """Rules D1 to D3. Borders are channels whose other stage is ``""``; the index counts ports."""

    name: str
    stages: tuple[Stage, ...]
    channels: tuple[Channel, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def stage(self, name: str) -> Stage:
        """The stage of a name."""
        return next(s for s in self.stages if s.name == name)

    def side_ports(self) -> list[tuple[Stage, SidePort]]:
        """Every side port and the stage that has it, in the order of the slice's own."""
        return [(stage, side) for stage in self.stages for side in stage.built.side_ports]


def print_dataflow(flow: Dataflow) -> str:
    """Stable text form: a line a stage, a line a channel."""
    lines = [f"dataflow {flow.name}"]
    for stage in flow.stages:
        fold = " pe={} simd={}".format(*stage.built.parallelism) if stage.node else ""
        lines.append(f"  stage {stage.name}{fold} cycles={stage.built.cycles}")
    for channel in flow.channels:
        source = "{}.{}".format(*channel.source)
        sink = "{}.{}".format(*channel.sink)
        lines.append(f"  {source} -> {sink} x{channel.port.lanes} depth={channel.depth}")
    return "\n".join(lines) + "\n"


def verify(flow: Dataflow) -> list[str]:
    """Every violation of D1 to D3, as sentences; empty if the dataflow is legal."""
    wrong: list[str] = []
    order = {stage.name: index for index, stage in enumerate(flow.stages)}
    driven: set[tuple[str, int]] = set()
    read: set[tuple[str, int]] = set()
    for channel in flow.channels:
        for end, seen, verb in ((channel.sink, driven, "drives"), (channel.source, read, "reads")):
            if end in seen:
                whose = repr(end[0]) if end[0] else "the slice"
                wrong.append(f"D2: more than one channel {verb} port {end[1]} of {whose}")
            seen.add(end)
        strangers = [n for n in (channel.source[0], channel.sink[0]) if n and n not in order]
        if strangers:
            wrong.extend(f"D2: a channel names {name!r}, which is no stage" for name in strangers)
            continue
        if channel.source[0] and channel.sink[0]:
            if order[channel.source[0]] >= order[channel.sink[0]]:
                wrong.append(f"D1: {channel.source[0]!r} stands after {channel.sink[0]!r}")
        for name, index, ports in (
            (*channel.source, "outputs"),
            (*channel.sink, "inputs"),
        ):
            own = getattr(flow.stage(name).built, ports) if name else ()
            if name and (index >= len(own) or own[index] != channel.port):
                wrong.append(f"D2: port {index} of {name!r} differs from its channel")
        if channel.depth is not None and channel.depth < 0:
            wrong.append(f"D3: depth {channel.depth} after {channel.source[0]!r}")
    for stage in flow.stages:
        for index in range(len(stage.built.inputs)):
            if (stage.name, index) not in driven:
                wrong.append(f"D2: input {index} of {stage.name!r} is not connected")
        for index in range(len(stage.built.outputs)):
            if (stage.name, index) not in read:
                wrong.append(f"D2: output {index} of {stage.name!r} is not connected")
    for kind, specs, ends in (
        ("input", flow.inputs, {c.source[1]: c.port for c in flow.channels if not c.source[0]}),
        ("output", flow.outputs, {c.sink[1]: c.port for c in flow.channels if not c.sink[0]}),
    ):
        wrong.extend(_border(kind, specs, ends))
    return wrong


def _border(
    kind: str, specs: Sequence[TensorSpec], ends: Mapping[int, StreamPort]
) -> Iterator[str]:
    """Violations of D2 at the inputs, or the outputs, of the slice."""
    for index in sorted({*range(len(specs)), *ends}):
        if index not in ends:
            yield f"D2: {kind} {index} of the slice is not connected"
        elif not 0 <= index < len(specs):
            yield f"D2: the slice has no {kind} {index}"
        else:
            spec = specs[index]
            own = StreamPort(spec.qtype.integers, spec.lanes, spec.elements // spec.lanes)
            if ends[index] != own:
                yield f"D2: {kind} {index} of the slice differs from its channel"
