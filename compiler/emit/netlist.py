# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The slice's top module: stages and FIFOs joined by wires, in Verilog.

V1. Every stage and FIFO is a module of its own, elaborated by itself (:mod:`midwire.hw.elaborate`);
    the top only connects them, so a change of one layer elaborates that layer. A finisher with
    registers is a module inside of its layer's, ``_finish`` behind the layer's name, and so is what
    a convolution pads with, ``_pad``.
    All names begin with the prefix of the bundle.
V2. Input ``k`` of the slice has the AXI4-Stream ports ``s{k}_axis_tdata``, ``_tvalid``,
    ``_tready``, ``_tlast``, output ``k`` the same with ``m{k}``. Each lane has a container of 1, 2
    or 4 bytes; outputs are sign- or zero-extended into it.
    The clock is ``clk``; ``aresetn`` is active-low and sampled at its rising edge. Ports stand in
    the order clock, reset, inputs, outputs, side ports, each by its number.
V3. Side port ``k`` (:meth:`~..ir.dataflow.Dataflow.side_ports`) has the same ports with ``w{k}``:
    a word of a memory a beat, in whole bytes. All these memories have two banks: ``weight_bank``,
    the last port, says which one is read, and side ports write the other one. It changes only while
    no inference is under way. Where they are not wanted, ``tvalid`` and ``weight_bank`` are tied to
    0. A slice without side ports has no ``weight_bank``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...hw.elaborate import prefixed, renamed, verilog_of
from ...hw.formats.bundle import PREFIX, WEIGHT_BANK
from ...hw.kernels.adapt import StreamFifo
from ...hw.kernels.base import Implementation, SidePort, StreamPort
from ..ir.dataflow import Channel, Dataflow
from .remarks import described, fifo_name

_HEADER = re.compile(r"^module (\S+) \((.*?)\);", re.MULTILINE | re.DOTALL)


@dataclass
class _Text:
    """The parts of the top module."""

    ports: dict[str, list[str]] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)


Elaborate = Callable[[Sequence[Implementation]], list[str]]
"""Gives the Verilog of descriptions (:func:`midwire.hw.elaborate.verilog_of`)."""


def fifos(flow: Dataflow) -> dict[str, Implementation]:
    """The FIFOs of a balanced dataflow, by the names of their instances."""
    return {
        fifo_name(index): StreamFifo(channel.port, channel.depth)
        for index, channel in enumerate(flow.channels)
        if channel.depth
    }


def port_name(member: str) -> str:
    """What the ports of a member of a component begin with in its netlist."""
    return member.replace(".", "__")


def streams(flow: Dataflow) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """The streams between instances: source and sink, each an instance and how the names of its
    ports begin.
    """
    found = []
    for index, channel in enumerate(flow.channels):
        (source, out), (sink, into) = channel.source, channel.sink
        inner = [(fifo_name(index), end) for end in "io"] if channel.depth else []
        ends = [
            (source, port_name(flow.stage(source).built.output_names[out])) if source else None,
            *inner,
            (sink, port_name(flow.stage(sink).built.input_names[into])) if sink else None,
        ]
        pairs = zip(ends[::2], ends[1::2], strict=True)
        found += [(begin, end) for begin, end in pairs if begin and end]
    return found


def slice_verilog(
    flow: Dataflow,
    elaborate: Elaborate = verilog_of,
    prefix: str = PREFIX,
    origins: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Verilog of a balanced dataflow: the top module, then every instance's.

    Parameters
    ----------
    prefix : of all names
    origins : integer node to the names of the ONNX nodes that it stands for
    """
    instances = {stage.name: stage.built for stage in flow.stages} | fifos(flow)
    texts = elaborate(list(instances.values()))
    modules = {
        name: prefixed(renamed(text, f"{prefix}_{name}"), prefix)
        for name, text in zip(instances, texts, strict=True)
    }
    remarks = described(flow, origins or {})
    top = _Text(body=["  wire rst = ~aresetn;"])
    for index, channel in enumerate(flow.channels):
        top.body += _wires(f"c{index}", channel.port)
        if channel.depth:
            top.body += _wires(f"f{index}", channel.port)
    for index, channel in enumerate(flow.channels):
        _border(top, flow, index, channel)
        if channel.depth:
            name = fifo_name(index)
            ends = [("i", f"c{index}"), ("o", f"f{index}")]
            top.body += [f"  // {remarks[name]}", _instance(name, modules[name], ends)]
    sides: dict[str, list[tuple[str, str]]] = {}
    for k, (stage, side) in enumerate(flow.side_ports()):
        _side(top, k, side)
        sides.setdefault(stage.name, []).append((side.name, f"w{k}"))
    for stage in flow.stages:
        ends = sides.get(stage.name, [])
        for index, channel in enumerate(flow.channels):
            if channel.source[0] == stage.name:
                ends.append((stage.built.output_names[channel.source[1]], f"c{index}"))
            if channel.sink[0] == stage.name:
                ends.append((stage.built.input_names[channel.sink[1]], _far(index, channel)))
        top.body += [
            f"  // {remarks[stage.name]}",
            _instance(stage.name, modules[stage.name], ends),
        ]
    streams = [port for name in sorted(top.ports, key=_place) for port in top.ports[name]]
    bank = [f"input wire {WEIGHT_BANK}"] if sides else []
    ports = ",\n  ".join(["input wire clk", "input wire aresetn", *streams, *bank])
    whole = f"module {prefix}_slice (\n  {ports}\n);\n" + "\n".join(top.body) + "\nendmodule\n"
    inner = [f"// {prefix}_{name}: {remarks[name]}\n{modules[name]}" for name in modules]
    return "\n".join([whole, *inner])


def _place(stream: str) -> tuple[int, int]:
    """Where the ports of a stream stand in the top: inputs, outputs, side ports, by number."""
    return "smw".index(stream[0]), int(stream[1:])


def _far(index: int, channel: Channel) -> str:
    """The wires at a channel's sink."""
    return f"f{index}" if channel.depth else f"c{index}"


def _wires(name: str, port: StreamPort) -> list[str]:
    high = port.payload_bits - 1
    return [f"  wire [{high}:0] {name}_payload;", f"  wire {name}_valid, {name}_ready;"]


def _instance(name: str, module: str, ends: list[tuple[str, str]]) -> str:
    """An instance whose stream ports are joined to wires."""
    header = _HEADER.match(module)
    assert header is not None, module[:200]
    known = {port.strip() for port in header[2].split(",")}
    joined = [f".{port}({port})" for port in ("clk", "rst", WEIGHT_BANK) if port in known]
    for member, wires in ends:
        port = port_name(member)
        for signal in ("payload", "valid", "ready"):
            joined.append(f".{port}__{signal}({wires}_{signal})")
    return f"  {header[1]} {name}({', '.join(joined)});"


def _border(top: _Text, flow: Dataflow, index: int, channel: Channel) -> None:
    """Ports of the slice, and what joins them to a channel (rule V2)."""
    port = channel.port
    bits = port.type.bits
    if channel.source[0] == "":
        k, wires = channel.source[1], f"c{index}"
        container = 8 * flow.inputs[k].qtype.container_bytes
        top.ports[f"s{k}"] = _axis(f"s{k}_axis", port.lanes * container, "input", "output")
        lanes = [
            f"s{k}_axis_tdata[{lane * container + bits - 1}:{lane * container}]"
            for lane in reversed(range(port.lanes))
        ]
        top.body += [
            f"  assign {wires}_payload = {{s{k}_axis_tlast, {', '.join(lanes)}}};",
            f"  assign {wires}_valid = s{k}_axis_tvalid;",
            f"  assign s{k}_axis_tready = {wires}_ready;",
        ]
    if channel.sink[0] == "":
        k, wires = channel.sink[1], _far(index, channel)
        container = 8 * flow.outputs[k].qtype.container_bytes
        top.ports[f"m{k}"] = _axis(f"m{k}_axis", port.lanes * container, "output", "input")
        parts = []
        for lane in reversed(range(port.lanes)):
            low, high = lane * bits, (lane + 1) * bits - 1
            if container > bits:
                sign = f"{wires}_payload[{high}]" if port.type.signed else "1'b0"
                parts.append(f"{{{container - bits}{{{sign}}}}}")
            parts.append(f"{wires}_payload[{high}:{low}]")
        top.body += [
            f"  assign m{k}_axis_tdata = {{{', '.join(parts)}}};",
            f"  assign m{k}_axis_tlast = {wires}_payload[{port.payload_bits - 1}];",
            f"  assign m{k}_axis_tvalid = {wires}_valid;",
            f"  assign {wires}_ready = m{k}_axis_tready;",
        ]


def _side(top: _Text, k: int, side: SidePort) -> None:
    """Ports of the slice for a side port (rule V3)."""
    top.ports[f"w{k}"] = _axis(f"w{k}_axis", 8 * side.word_bytes, "input", "output")
    top.body += [
        f"  wire [{side.width}:0] w{k}_payload;",
        f"  wire w{k}_valid, w{k}_ready;",
        f"  assign w{k}_payload = {{w{k}_axis_tlast, w{k}_axis_tdata[{side.width - 1}:0]}};",
        f"  assign w{k}_valid = w{k}_axis_tvalid;",
        f"  assign w{k}_axis_tready = w{k}_ready;",
    ]


def _axis(prefix: str, width: int, forth: str, back: str) -> list[str]:
    return [
        f"{forth} wire [{width - 1}:0] {prefix}_tdata",
        f"{forth} wire {prefix}_tvalid",
        f"{back} wire {prefix}_tready",
        f"{forth} wire {prefix}_tlast",
    ]
