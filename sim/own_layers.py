# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The model's own layers, unrounded, out of a bundle's parts, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ..hw.errors import BundleError, ToolError
from ..hw.formats.bundle import Bundle, spec_from
from ..hw.formats.tensor import AnyArray, TensorSpec
from ..hw.kernels.reference import Reference
from ..hw.session import Session, open_session

_PREFIX = "midwire/"
"""Of the names of nodes that the compiler added to a part."""


@dataclass(frozen=True)
class Ahead:
    """What the part ahead of the slice gives: the cuts by name, unrounded, and the wire tensors."""

    cuts: dict[str, AnyArray]
    wires: list[AnyArray]


@dataclass(frozen=True)
class Tail:
    """The layers behind some tensors of the slice, up to its outputs."""

    session: Session
    inputs: tuple[str, ...]
    through: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, tensors: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """The slice's outputs; those that are among the tensors as they are."""
        found = {name: tensors[name] for name in self.through}
        if self.outputs:
            feeds = {name: tensors[name] for name in self.inputs}
            results = self.session.run(list(self.outputs), feeds)
            found.update(zip(self.outputs, results, strict=True))
        return found


class OwnLayers:
    """Parts of a model without the rounding that the compiler added.

    Attributes
    ----------
    tensors : names of the tensors in the slice, as the model has them
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._specs = bundle.manifest.inputs
        self._results = [spec.name for spec in bundle.manifest.outputs]
        edge = onnx.load(bundle.path("edge.onnx"))
        known = {name for node in edge.graph.node for name in node.output}
        self._given = {value.name for value in edge.graph.input}
        self._made = [spec.name for spec in self._specs if spec.name in known]
        self._edge = _session(edge, self._made)
        self._middle_model = onnx.load(bundle.path("original.onnx"))
        made = {name for node in self._middle_model.graph.node for name in node.output}
        self.tensors = made | {value.name for value in self._middle_model.graph.input}
        self._middles: dict[tuple[str, ...], Session] = {}
        self._cloud, self._cloud_inputs, self._outputs = _unrounded(bundle)

    def edge(self, feeds: Mapping[str, AnyArray]) -> Ahead:
        """The part before the slice, for one sample."""
        wires = [f"wire_in{index}" for index in range(len(self._specs))]
        results = self._edge.run([*wires, *self._made], dict(feeds))
        found = dict(zip([*wires, *self._made], results, strict=True))
        cuts = {}
        for wire, spec in zip(wires, self._specs, strict=True):
            if spec.name in found:
                cuts[spec.name] = found[spec.name]
            elif spec.name in self._given:
                cuts[spec.name] = np.asarray(feeds[spec.name])
            else:  # the integers are the model's own, from which it makes this tensor
                integers = spec.layout.from_stream(found[wire], spec.shape)
                cuts[spec.name] = spec.qtype.dequantise(integers).astype(spec.dtype)
        return Ahead(cuts, [found[wire] for wire in wires])

    def middle(self, cuts: Mapping[str, AnyArray], watched: Iterable[str]) -> dict[str, AnyArray]:
        """Tensors of the slice, its outputs among them, from the cuts."""
        names = tuple(dict.fromkeys([*self._results, *watched]))
        wanted = [name for name in names if name not in cuts]
        if names not in self._middles:
            model = onnx.ModelProto()
            model.CopyFrom(self._middle_model)
            self._middles[names] = _session(model, wanted)
        results = self._middles[names].run(wanted, dict(cuts))
        return {**cuts, **dict(zip(wanted, results, strict=True))}

    def cloud(self, tensors: Mapping[str, AnyArray]) -> dict[str, Any]:
        """The model's outputs from the slice's; some may be no tensors."""
        feeds = {name: tensors[name] for name in self._cloud_inputs}
        return dict(zip(self._outputs, self._cloud.run(self._outputs, feeds), strict=True))

    def tail(self, specs: Sequence[TensorSpec]) -> Tail | None:
        """The layers behind some tensors; None if they need others of the slice too."""
        stops = {spec.name: spec for spec in specs}
        outputs = [name for name in self._results if name not in stops]
        graph = self._middle_model.graph
        constants = {tensor.name for tensor in graph.initializer}
        producers = {name: node for node in graph.node for name in node.output if name}
        needed, kept, used = list(outputs), set(), set()
        while needed:
            name = needed.pop()
            if name in stops:
                used.add(name)
                continue
            node = producers.get(name)
            if node is None:
                if name and name not in constants:
                    return None
                continue
            if id(node) not in kept:
                kept.add(id(node))
                needed += _reads(node)
        nodes = [node for node in graph.node if id(node) in kept]
        inputs = [_value_info(stops[name]) for name in sorted(used)]
        return Tail(
            _opened(_copy(self._middle_model, nodes, inputs, outputs)) if outputs else None,
            tuple(sorted(used)),
            tuple(name for name in self._results if name in stops),
            tuple(outputs),
        )


def _reads(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those of sub-graphs (If, Loop, Scan) included."""
    found = list(node.input)
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            found += [name for inner in graph.node for name in _reads(inner)]
    return found


def _session(model: onnx.ModelProto, watched: Sequence[str]) -> Session:
    """A session that gives more tensors."""
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in watched if name not in present
    )
    return _opened(model.SerializeToString())


def _opened(model: bytes) -> Session:
    """A session, of the model as it stands where ONNX Runtime cannot load what it makes of it: it
    moves a MaxPool between 4-bit quantisers to integers that it has no MaxPool for.
    """
    try:
        return open_session(model)
    except ToolError:
        return open_session(model, exact=True)


def _copy(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
) -> bytes:
    """The model with other nodes and borders; ONNX Runtime finds the types of results."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    kept = list(nodes)
    read = {name for node in kept for name in _reads(node)}
    constants = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.input[:], graph.output[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(constants)
    graph.input.extend(inputs)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return bytes(copy.SerializeToString())


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    """Type and shape of a tensor as the bundle has them: no inference knows all domains."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return onnx.helper.make_tensor_value_info(spec.name, kind, spec.shape)


def _unrounded(bundle: Bundle) -> tuple[Session, list[str], list[str]]:
    """The part behind the slice, from its outputs as the model has them; its borders' names."""
    model = onnx.load(bundle.path("cloud.onnx"))
    graph = model.graph
    nodes = [node for node in graph.node if not node.name.startswith(_PREFIX)]
    outputs = [value.name for value in graph.output]
    read = {name for node in nodes for name in _reads(node)} | set(outputs)
    inputs = []
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    made = {name for node in nodes for name in node.output}
    for spec in bundle.manifest.outputs:
        if spec.name not in read:
            continue
        graph.input.append(_value_info(spec))
        inputs.append(spec.name)
    # An output of the slice may be one of the model's: ONNX Runtime wants a node for it.
    for value in graph.output:
        if value.name not in made:
            old, value.name = value.name, f"{_PREFIX}{value.name}"
            graph.node.append(onnx.helper.make_node("Identity", [old], [value.name]))
    run = [value.name for value in graph.output]
    session = _opened(model.SerializeToString())
    return _Renamed(session, dict(zip(outputs, run, strict=True))), inputs, outputs


class _Renamed:
    """A session whose outputs go by other names."""

    def __init__(self, session: Session, names: Mapping[str, str]) -> None:
        self._session, self._names = session, names

    def run(self, wanted: Sequence[str], feeds: Mapping[str, AnyArray]) -> list[AnyArray]:
        """As a session does."""
        return list(self._session.run([self._names[name] for name in wanted], dict(feeds)))


def shared_tensors(bundle: Bundle, own: OwnLayers, reference: Reference) -> dict[str, TensorSpec]:
    """Tensors of the reference that the model's own layers have too, by the reference's name.

    Raises
    ------
    BundleError
        If the manifest's layers are not what this version of midwire writes.
    """
    manifest = bundle.manifest
    found = dict(zip(reference.inputs, manifest.inputs, strict=True))
    try:
        for layer in manifest.layers:
            for tensor in layer.get("tensors", ()):
                spec = spec_from(tensor)
                if spec.name in own.tensors:
                    found[spec.name] = spec
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            "the layers of the manifest cannot be read",
            where=str(bundle.root),
            expected="layers with their tensors",
            found=f"{type(error).__name__}: {error}",
            remedy="Compile the bundle again",
        ) from error
    made = {name for step in reference.operations for name in step.outputs}
    found = {name: spec for name, spec in found.items() if name in {*made, *reference.inputs}}
    # An output may go by another name, behind views.
    found.update(zip(reference.outputs, manifest.outputs, strict=True))
    return found


def real_of(spec: TensorSpec, stream: AnyArray) -> AnyArray:
    """A stream as the model's own layers take the tensor."""
    integers = spec.layout.from_stream(stream, spec.shape)
    return (integers if spec.is_integer else spec.qtype.dequantise(integers)).astype(spec.dtype)


def as_real(spec: TensorSpec, array: AnyArray) -> AnyArray:
    """A tensor as the model has it, as the real numbers that it means."""
    return spec.qtype.dequantise(array) if spec.is_integer else array
