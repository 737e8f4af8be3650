# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The model's parts around the slice as ONNX: ``edge.onnx`` and ``cloud.onnx``.

P1. ``edge.onnx`` takes the model's inputs under their names and gives ``wire_in0, ...``;
    ``cloud.onnx`` takes ``wire_out0, ...`` and gives the model's outputs under their names.
P2. A wire tensor is flat: the integers in stream order, in the container type. What the edge gives
    equals :meth:`~midwire.hw.formats.tensor.TensorSpec.to_wire` of the tensor at the cut, bit for
    bit.
P3. All other nodes are the model's own, unchanged but for a newer opset where rounding needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...hw.formats.tensor import AnyArray, TensorSpec
from ...hw.numeric import QType
from ..errors import ModelError
from ..load.source import Source, elem_type_of, reads, subgraphs
from ..select.selection import Selection
from .wire_nodes import Emitter, emit_dequantise, emit_from_wire, emit_quantise, emit_to_wire

_WIRE = re.compile(r"wire_(in|out)[0-9]+")

_ROUND_OPSET = 11
"""Round is there, and QuantizeLinear's rounding with it, from this opset on."""

_PART_OPSET = 13
"""Opset of parts that have no node of the model, and of those that must be raised."""


def edge_model(source: Source, input_specs: Sequence[TensorSpec]) -> onnx.ModelProto:
    """The nodes before the slice, then quantisation and stream order (rules P1 to P3).

    A tensor that a DequantizeLinear has just made is taken before it, as integers. Any other float
    tensor is quantised in double: the quotient of two float32 values is either a tie or far enough
    from one for double, so this rounds as rule N3 does. The cuts are the names of the specs.

    Raises
    ------
    ModelError
        If the model cannot be brought to an opset with rounding, or the part is not legal ONNX.
    """
    wires = [f"wire_in{index}" for index in range(len(input_specs))]
    taken = [_before_dequantise(source, spec) for spec in input_specs]
    nodes = _collect(source, [name for name, _ in taken], {v.name for v in source.inputs})
    rounds = any(not integer for _, integer in taken)
    model = _part(source, f"{source.name}_edge", nodes, rounds)
    emitter = Emitter()
    for wire, spec, (name, integer) in zip(wires, input_specs, taken, strict=True):
        if not integer:
            name = emit_quantise(emitter, name, spec.qtype)
        emit_to_wire(emitter, name, spec, wire)
    given = {value.name for value in source.inputs}
    inputs = [value for value in source.model.graph.input if value.name in given]
    outputs = [_wire_info(wire, spec) for wire, spec in zip(wires, input_specs, strict=True)]
    return _finish(source, model, emitter.nodes, emitter.initialisers, inputs, outputs)


def cloud_model(source: Source, output_specs: Sequence[TensorSpec]) -> onnx.ModelProto:
    """ONNX order and dequantisation, then the nodes after the slice (rules P1 to P3).

    Raises
    ------
    ModelError
        If the part is not legal ONNX.
    """
    wires = [f"wire_out{index}" for index in range(len(output_specs))]
    nodes = _collect(source, source.outputs, {spec.name for spec in output_specs})
    model = _part(source, f"{source.name}_cloud", nodes, False)
    emitter = Emitter()
    for wire, spec in zip(wires, output_specs, strict=True):
        name = spec.name
        integers = emit_from_wire(emitter, wire, spec, name if spec.is_integer else None)
        if not spec.is_integer:
            emit_dequantise(emitter, integers, spec, name, model.opset_import[0].version)
    body = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(emitter.nodes)
    inputs = [_wire_info(wire, spec) for wire, spec in zip(wires, output_specs, strict=True)]
    return _finish(
        source, model, body, emitter.initialisers, inputs, list(source.model.graph.output)
    )


def middle_model(source: Source, selection: Selection) -> onnx.ModelProto:
    """The slice as the model has it, in float: from the input cuts to the output cuts."""
    nodes = _collect(source, selection.outputs, set(selection.inputs))
    model = _part(source, f"{source.name}_middle", nodes, False)
    return _finish(
        source,
        model,
        [],
        {},
        [_value_info(source, name) for name in selection.inputs],
        [_value_info(source, name) for name in selection.outputs],
    )


def check_names(source: Source) -> None:
    """Refuse a model whose tensors are called what those between the parts are, at any depth: a
    sub-graph sees the names around it.

    Raises
    ------
    ModelError
        If there is such a tensor; names the first.
    """
    for name in sorted(set(_defined(source.model.graph))):
        if _WIRE.fullmatch(name) or name.startswith(Emitter.PREFIX):
            raise ModelError(
                "the model uses a name that midwire needs for itself",
                where=f"tensor {name!r}",
                expected=f"no tensor called wire_in..., wire_out... or {Emitter.PREFIX}...",
                found=repr(name),
                remedy="Rename the tensor in the model",
            )


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the tensors that a graph and those in it define."""
    yield from (value.name for value in (*graph.input, *graph.initializer))
    for node in graph.node:
        yield from node.output
        for inner in subgraphs(node):
            yield from _defined(inner)


def _before_dequantise(source: Source, spec: TensorSpec) -> tuple[str, bool]:
    """The tensor to take at a cut, and whether it holds the integers already: those of its own type
    may be more (rule N16), and are bounded as reals of step 1.
    """
    if spec.is_integer:
        return spec.name, not spec.saturates
    node = source.producers.get(spec.name)
    if node is None or node.domain or node.op_type != "DequantizeLinear":
        return spec.name, False
    value = source.values.get(node.input[0])
    if value is None or np.dtype(value.dtype) != spec.qtype.wire_dtype:
        return spec.name, False
    if spec.qtype.bits != 8 * spec.qtype.container_bytes:
        return spec.name, False
    return (node.input[0], True) if _same_grid(source, node, spec.qtype) else (spec.name, False)


def _same_grid(source: Source, node: onnx.NodeProto, qtype: QType) -> bool:
    """Whether a DequantizeLinear's scale and zero point are those of a type."""
    known = {**source.folded, **source.initialisers}
    arrays = [known.get(name) for name in node.input[1:] if name]
    if any(array is None or array.size != 1 for array in arrays):
        return False
    numbers = [float(array.reshape(-1)[0]) for array in arrays if array is not None]
    return numbers == [qtype.scale, qtype.zero_point][: len(numbers)] and (
        len(numbers) == 2 or qtype.zero_point == 0
    )


def _collect(source: Source, wanted: Iterable[str], stops: set[str]) -> list[onnx.NodeProto]:
    """The nodes that make tensors from others, constants included; folded ones stay out."""
    found: set[str] = set()
    needed = list(wanted)
    seen: set[str] = set()
    while needed:
        name = needed.pop()
        if name in stops or name in source.folded or name in seen:
            continue
        seen.add(name)
        node = source.producers.get(name)
        if node is None:
            continue
        found.add(node.name)
        needed.extend(reads(node))
    return [node for node in source.nodes if node.name in found]


def _part(
    source: Source, name: str, nodes: Sequence[onnx.NodeProto], rounds: bool
) -> onnx.ModelProto:
    """A model of some nodes, with their constants, without inputs and outputs yet."""
    needed = {read for node in nodes for read in reads(node)} | set(source.outputs)
    tensors = [t for t in source.model.graph.initializer if t.name in needed]
    tensors += [
        numpy_helper.from_array(np.asarray(array), key)
        for key, array in source.folded.items()
        if key in needed
    ]
    graph = helper.make_graph(list(nodes), name, [], [], tensors)
    domains = _domains(nodes) - {""}
    imports = [helper.make_opsetid("", source.opset)]
    imports += [entry for entry in source.model.opset_import if entry.domain in domains]
    model = helper.make_model(
        graph, opset_imports=imports, ir_version=source.model.ir_version, producer_name="midwire"
    )
    if not nodes:
        model.opset_import[0].version = max(source.opset, _PART_OPSET)
    elif rounds and source.opset < _ROUND_OPSET:
        model = _raised(source, model)
    return model


def _domains(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """The domains of nodes, those in their sub-graphs (If, Loop, Scan) included."""
    found: set[str] = set()
    for node in nodes:
        found.add(node.domain)
        for graph in subgraphs(node):
            found |= _domains(graph.node)
    return found


def _raised(source: Source, model: onnx.ModelProto) -> onnx.ModelProto:
    """The same nodes in a newer opset."""
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    given = {value.name for value in source.inputs}
    read = {name for node in graph.node for name in reads(node)}
    graph.input.extend(_value_info(source, name) for name in sorted(given & read))
    graph.output.extend(
        _value_info(source, name) for name in sorted(made - read) if name in source.values
    )
    try:
        raised = onnx.version_converter.convert_version(model, _PART_OPSET)
    except (RuntimeError, TypeError, ValueError) as error:
        text = " ".join(str(error).split()).rstrip(".")
        raise ModelError(
            "the nodes before the slice cannot be brought to an opset with rounding",
            where=str(source.path),
            expected=f"opset {_ROUND_OPSET} or later",
            found=f"opset {source.opset}; {text[:300]}",
            remedy="Export the model with opset 13, or cut at the model's input",
        ) from error
    del raised.graph.input[:], raised.graph.output[:], raised.graph.value_info[:]
    return raised


def _value_info(source: Source, name: str) -> onnx.ValueInfoProto:
    value = source.values[name]
    return helper.make_tensor_value_info(name, elem_type_of(value.dtype), list(value.shape))


def _wire_info(wire: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(wire, elem_type_of(spec.qtype.wire_dtype), [spec.elements])


def _finish(
    source: Source,
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    initialisers: dict[str, AnyArray],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """Append nodes, set the borders, drop unused constants, and check the result."""
    graph = model.graph
    graph.node.extend(nodes)
    for name, array in initialisers.items():
        graph.initializer.append(numpy_helper.from_array(array, name))
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    needed = {name for node in graph.node for name in reads(node)}
    needed.update(value.name for value in graph.output)
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelError(
            "a part of the model is not legal ONNX",
            where=f"{source.path}: {graph.name}",
            expected="a part that the ONNX checker takes",
            found=" ".join(str(error).split())[:300].rstrip("."),
            remedy="Cut the model elsewhere, and report the model",
        ) from error
    return model
