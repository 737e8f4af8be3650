# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From a dataflow to Amaranth, and from Amaranth to Verilog."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hw.datapath.convert import to_verilog
from ...hw.datapath.stream import AxisTop, Fifo, beat, beats
from ..ir.dataflow import Channel, Dataflow, Port

SLICE_MODULE = "midwire_slice"


def _signature(port: Port) -> Any:
    return beats(Shape(port.bits, port.signed), port.lanes)


class SliceCore(wiring.Component):
    """All stages of a dataflow, joined.

    Members
    -------
    i0, i1, ... : In(stream), the slice's inputs
    o0, o1, ... : Out(stream), the slice's outputs
    """

    def __init__(self, flow: Dataflow) -> None:
        self._flow = flow
        members: dict[str, Any] = {}
        for channel in flow.channels:
            if channel.source[0] == "":
                members[f"i{channel.source[1]}"] = In(_signature(channel.port))
            if channel.sink[0] == "":
                members[f"o{channel.sink[1]}"] = Out(_signature(channel.port))
        super().__init__(dict(sorted(members.items())))

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        components = {}
        for stage in self._flow.stages:
            components[stage.name] = m.submodules[stage.name] = stage.build()
        for index, channel in enumerate(self._flow.channels):
            source = self._end(components, channel, "source")
            sink = self._end(components, channel, "sink")
            if channel.depth:
                shape = Shape(channel.port.bits, channel.port.signed)
                fifo = Fifo(beat(shape, channel.port.lanes), channel.depth)
                m.submodules[f"fifo{index}"] = fifo
                wiring.connect(m, source, fifo.i)
                source = fifo.o
            wiring.connect(m, source, sink)
        return m

    def _end(self, components, channel: Channel, side: str):  # type: ignore[no-untyped-def]
        name, index = getattr(channel, side)
        if name == "":
            return wiring.flipped(getattr(self, f"{'i' if side == 'source' else 'o'}{index}"))
        stage = self._flow.stage(name)
        path = (stage.output_names if side == "source" else stage.input_names)[index]
        port = components[name]
        for part in path.split("."):
            port = port[int(part)] if part.isdigit() else getattr(port, part)
        return port


def slice_verilog(flow: Dataflow) -> str:
    """Verilog of the slice core, with the port names of a bundle."""
    core = SliceCore(flow)
    inputs = [f"i{k}" for k in range(len(flow.inputs))]
    outputs = [f"o{k}" for k in range(len(flow.outputs))]
    top = AxisTop(core, inputs, outputs)
    return to_verilog(top, SLICE_MODULE, strip_internal_attrs=True)
