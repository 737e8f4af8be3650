# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From a balanced dataflow to the files of a bundle."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from importlib.resources import files
from typing import Any

import numpy as np
import onnx

from ...hw.elaborate import Description, Elaborator, prefixed, renamed
from ...hw.formats.bundle import PREFIX, Bundle, Manifest, WritableMemory, write_bundle
from ...hw.formats.tensor import AnyArray
from ...hw.kernels.program import canonical
from ...hw.kernels.reference import Reference
from ...hw.nic.shape import NicShape, SideWords, SliceShape, WireTensor
from ...hw.shells.registry import Shell
from ...hw.sqnr import NOT_MEASURED
from ..ir.dataflow import Dataflow
from ..ir.quant import QGraph, program_of
from ..load.source import Source
from ..map.balance import Balanced
from ..map.inventory import Instance, inventory
from ..map.targets import Target
from ..quantise.loss import Measured, worst
from ..select.selection import Selection
from .figures import buffers, layers
from .integration import (
    FILE_LIST,
    WAIVERS,
    core_file,
    file_list,
    lint_waivers,
    shell_lists,
    verilog_files,
)
from .netlist import fifos, streams
from .parts import cloud_model, edge_model, middle_model
from .readme import readme
from .rtl import image_files, slice_files
from .slice_onnx import slice_model

REALISTIC, RANDOM = 16, 4
"""Golden vectors of each kind that a bundle brings for its own bench, at most."""

_RANDOM_MACS = 3e9
"""Multiply-accumulates of random ones, at most: one takes a simulation hours then. There is one
always."""

_SEED = 20261


def emit(
    output: str,
    source: Source,
    selection: Selection,
    qgraph: QGraph,
    balanced: Balanced,
    target: Target,
    measured: Measured,
    pareto: tuple[Mapping[str, Any], ...],
    elaborator: Elaborator,
    resources: Callable[[], Mapping[str, int]],
    prefix: str = PREFIX,
) -> Bundle:
    """Write the bundle.

    Parameters
    ----------
    measured : what :func:`~..quantise.loss.measure` gave; its wires are realistic, if there are
        any, and their answers the reference's
    pareto : what other intervals would cost (:meth:`~..map.front.Point.as_json`)
    elaborator : what :func:`elaborate_early` began with
    resources : what :func:`resources_of` gives, which is asked for last
    prefix : begins the names of modules and memory images
    """
    flow = balanced.flow
    steps, arrays = program_of(qgraph)
    contents: dict[str, bytes] = {
        "test_bundle.py": _packaged("templates/test_bundle.py"),
        "slice.onnx": _onnx(slice_model(qgraph)),
        "edge.onnx": _onnx(edge_model(source, flow.inputs)),
        "cloud.onnx": _onnx(cloud_model(source, flow.outputs)),
        "original.onnx": _onnx(middle_model(source, selection)),
        "program.npz": _npz(arrays),
        "golden.npz": _npz(_golden(flow, qgraph, measured)),
    }
    (nic,) = elaborator.verilog_of([_nic(flow, target)])
    origins = {node.name: node.sources for node in qgraph.nodes}
    rtl = slice_files(flow, elaborator.verilog_of, prefix, origins)
    rtl[f"{prefix}_nic.v"] = prefixed(renamed(nic, f"{prefix}_nic"), prefix)
    contents |= {f"rtl/{name}": text.encode("ascii") for name, text in rtl.items()}
    images = tuple(sorted(image_files(flow, prefix)))
    if target.shell:
        contents |= _adapter(target.shell, prefix, images, elaborator)
    contents |= {
        FILE_LIST: file_list(prefix).encode(),
        WAIVERS: lint_waivers(prefix).encode(),
        f"{prefix}.core": core_file(prefix, images).encode(),
    }
    least = worst(measured.losses, [tensor.name for tensor in qgraph.results])
    manifest = Manifest(
        name=source.name,
        model_sha256=source.sha256,
        inputs=flow.inputs,
        outputs=flow.outputs,
        steps=steps,
        slice={
            **selection.slice,
            "roots_in": list(qgraph.inputs),
            "roots_out": list(qgraph.outputs),
            "nodes": list(selection.middle),
        },
        target=target.name,
        clock_mhz=target.clock_mhz,
        cycles_per_inference=balanced.cycles_per_inference,
        latency_cycles=balanced.latency_cycles,
        resources=resources(),
        sqnr_db=None if least is None else least.sqnr.db,
        sqnr=NOT_MEASURED if least is None else least.sqnr.text,
        layers=layers(source, qgraph, balanced, measured.losses),
        fifos=buffers(flow),
        device=asdict(target.device),
        pareto=pareto,
        images=images,
        memories=tuple(
            WritableMemory(
                node=stage.node or stage.name,
                image=f"{prefix}_{side.image(stage.name)}",
                width=side.width,
                words=side.depth,
                hardware=hashlib.sha256(canonical(stage.built).encode()).hexdigest(),
            )
            for stage, side in flow.side_ports()
        ),
        batch=source.batch,
        prefix=prefix,
        tool={"midwire": metadata.version("midwire"), "amaranth": metadata.version("amaranth")},
    )
    contents["README.md"] = readme(manifest).encode()
    return write_bundle(output, manifest, contents)


def elaborate_early(flow: Dataflow, target: Target, elaborator: Elaborator) -> None:
    """Begin with all hardware of a dataflow that is known before it is balanced."""
    around: list[Description] = [_nic(flow, target)]
    if target.shell:
        around.append(target.shell.port)
    elaborator.start([*around, *(stage.built for stage in flow.stages)])


def elaborate_fifos(flow: Dataflow, elaborator: Elaborator) -> None:
    """Begin with the rest of it, once FIFOs have their depths."""
    elaborator.start(list(fifos(flow).values()))


def resources_of(
    flow: Dataflow, target: Target, elaborator: Elaborator, stopped: Callable[[], bool]
) -> dict[str, int]:
    """What all instances of a balanced slice take; ``stopped`` says whether to give up."""
    instances = {stage.name: stage.built for stage in flow.stages} | fifos(flow)
    images = {stage.name: stage.images for stage in flow.stages}
    netlists = elaborator.netlists_of(list(instances.values()))
    placed = [
        Instance(name, netlist, images.get(name, {}), module)
        for name, modules in zip(instances, netlists, strict=True)
        for module, netlist in modules.items()
    ]
    return inventory(placed, target, streams(flow), stopped)


def _nic(flow: Dataflow, target: Target) -> NicShape:
    """The NIC shell of a slice, with streams as wide as those of what it is built into."""
    shape = SliceShape(
        inputs=tuple(WireTensor(edge.beat_bytes, edge.wire_bytes) for edge in flow.inputs),
        outputs=tuple(WireTensor(edge.beat_bytes, edge.wire_bytes) for edge in flow.outputs),
        sides=tuple(SideWords(side.word_bytes, side.depth) for _, side in flow.side_ports()),
    )
    if target.shell is None:
        return NicShape((shape,))
    return NicShape((shape,), target.shell.port.beat_bytes)


def _adapter(
    shell: Shell, prefix: str, images: Sequence[str], elaborator: Elaborator
) -> dict[str, bytes]:
    """The files that build the pipeline into a shell."""
    (verilog,) = elaborator.verilog_of([shell.port])
    port = prefixed(renamed(verilog, f"{prefix}_port"), prefix)
    paths = [f"rtl/{name}" for name in images]
    found = shell.contents(prefix, port, verilog_files(prefix), paths)
    found |= shell_lists(shell, prefix)
    return {name: text.encode("ascii") for name, text in found.items()}


def _packaged(name: str) -> bytes:
    return files("midwire.hw").joinpath(name).read_bytes()


def _onnx(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def _npz(arrays: Mapping[str, Any]) -> bytes:
    """An ``.npz`` whose bytes depend on its contents only (numpy dates entries 1980)."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _golden(flow: Dataflow, qgraph: QGraph, measured: Measured) -> dict[str, AnyArray]:
    """A few realistic vectors (if there are any), a few random ones, and the right answers."""
    rng = np.random.default_rng(_SEED)
    wires = measured.wires
    real = min(len(wires[0]), REALISTIC) if wires else 0
    macs = sum(node.kernel.macs for node in qgraph.nodes)
    random = max(1, min(RANDOM, int(_RANDOM_MACS / max(1, macs))))
    noises: list[AnyArray] = []
    inputs: list[AnyArray] = []
    for index, spec in enumerate(flow.inputs):
        noise = rng.integers(spec.qtype.lo, spec.qtype.hi + 1, (random, spec.elements))
        parts = [wires[index][:real], noise] if wires else [noise]
        noises.append(noise)
        inputs.append(np.concatenate(parts).astype(spec.qtype.wire_dtype))
    reference = Reference(qgraph.inputs, qgraph.outputs, qgraph.nodes)
    outputs = reference.run_wire(noises)
    if wires:
        known = [answer[:real] for answer in measured.answers]
        outputs = [np.concatenate(parts) for parts in zip(known, outputs, strict=True)]
    found: dict[str, AnyArray] = {f"in{i}": wire for i, wire in enumerate(inputs)}
    for index, (spec, wire) in enumerate(zip(flow.outputs, outputs, strict=True)):
        found[f"out{index}"] = wire.astype(spec.qtype.wire_dtype)
    found["realistic"] = np.array(real)
    return found
