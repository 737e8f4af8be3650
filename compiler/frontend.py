# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Read an ONNX file into a :class:`~midwire.compiler.source.Source`, or say why not.

Opsets 7 to the newest that the installed onnx knows. Nodes of other domains (QONNX, com.microsoft) are
kept: they are listed as unsupported later, and do not stop a model from loading.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import google.protobuf.message
import onnx
from onnx import external_data_helper, helper, numpy_helper

from ..hw.bundle import AnyArray
from . import shapes
from .errors import ModelError
from .source import Source, Value, dtype_name, reads

OLDEST_OPSET = 7
"""Broadcasting as we know it came with opset 7."""

MAX_BYTES = (1 << 31) - 1
"""Protobuf's own limit, for the file and for all external data together."""

_COMPLETE = "Check that the file is complete: compare its SHA-256 with where it came from"


def load_model(path: str | os.PathLike[str]) -> Source:
    """Read, check and normalise a model, with the batch bound to 1.

    Raises
    ------
    ModelError
        If the file is missing, damaged, no legal ONNX model, of an opset that is too old or too new,
        or has inputs whose shapes cannot be bound.
    """
    file = Path(path)
    raw = _read(file)
    model = _parse(file, raw)
    _load_external_data(file, model)
    _check_opsets(file, model)
    model = _normalise(file, model)
    _check(file, model)
    shapes.bind_batch(model.graph)
    return _source(file, hashlib.sha256(raw).hexdigest(), model)


def _read(file: Path) -> bytes:
    where = str(file)
    expected = "an ONNX model, a file that ends in .onnx"
    if file.is_dir():
        inside = sorted(p.name for p in file.glob("*.onnx"))
        raise ModelError(
            "this is a folder",
            where=where,
            expected=expected,
            found=f"a folder with {', '.join(inside[:4])}" if inside else "a folder",
            remedy="Give the file inside it",
        )
    if not file.is_file():
        raise ModelError(
            "no such file",
            where=where,
            expected=expected,
            found="nothing",
            remedy="Check the path",
        )
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(
                "the file is too large",
                where=where,
                expected=f"at most {MAX_BYTES} bytes, protobuf's limit",
                found=f"{size} bytes",
                remedy="Export the model with external data",
            )
        return file.read_bytes()
    except OSError as error:
        raise ModelError(
            "the file cannot be read",
            where=where,
            expected="a readable file",
            found=error.strerror or str(error),
            remedy="Check its permissions",
        ) from error


def _parse(file: Path, raw: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    found = ""
    if not raw:
        found = "an empty file"
    else:
        try:
            model.ParseFromString(raw)
        except google.protobuf.message.DecodeError:
            found = f"{len(raw)} bytes that are no such message"
    if found:
        raise ModelError(
            "not an ONNX model, or a truncated one",
            where=str(file),
            expected="an ONNX protobuf message",
            found=found,
            remedy=_COMPLETE,
        )
    missing = [
        what
        for what, there in (
            ("a graph", model.HasField("graph")),
            ("nodes", bool(model.graph.node)),
            ("outputs", bool(model.graph.output)),
            ("an IR version", model.ir_version > 0),
            ("an opset", bool(model.opset_import)),
        )
        if not there
    ]
    if missing:
        raise ModelError(
            "not an ONNX model, or a truncated one",
            where=str(file),
            expected="a model with a graph, nodes, outputs, an IR version and an opset",
            found=f"none of: {', '.join(missing)}",
            remedy=_COMPLETE,
        )
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a graph: initialisers, and attributes of nodes at any depth."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _tensors(inner)


def _load_external_data(file: Path, model: onnx.ModelProto) -> None:
    """Read tensors that lie in other files, which must be inside the model's folder."""
    folder = file.resolve().parent
    total = 0
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        expected, found = "", ""
        try:
            target = (folder / location).resolve()
            offset, length = (int(entries.get(key, 0)) for key in ("offset", "length"))
            if not location or not target.is_relative_to(folder):
                expected, found = "a file in the model's folder", repr(location)
            elif not target.is_file():
                expected, found = f"the file {location!r} beside the model", "no such file"
            elif min(offset, length) < 0 or target.stat().st_size < offset + length:
                expected = f"at least {offset + length} bytes in {location!r}"
                found = f"{target.stat().st_size}"
            else:
                total += length or target.stat().st_size - offset
        except (OSError, ValueError) as error:
            expected, found = "a file name, an offset and a length", str(error)
        if not found and total > MAX_BYTES:
            expected, found = (
                f"at most {MAX_BYTES} bytes of external data",
                f"{total} bytes or more",
            )
        if not found:
            try:
                external_data_helper.load_external_data_for_tensor(tensor, str(folder))
                tensor.data_location = onnx.TensorProto.DEFAULT
                del tensor.external_data[:]
            except (onnx.checker.ValidationError, OSError, RuntimeError, ValueError) as error:
                expected, found = f"readable data in {location!r}", _short(error)
        if found:
            raise ModelError(
                "external data is missing or not usable",
                where=f"{file}: tensor {tensor.name!r}",
                expected=expected,
                found=found,
                remedy="Copy the model together with its external data files",
            )


def _check_opsets(file: Path, model: onnx.ModelProto) -> None:
    for entry in model.opset_import:
        if entry.domain == "ai.onnx":
            entry.domain = ""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if len(versions) != len(model.opset_import) or "" not in versions:
        raise ModelError(
            "the opsets are not clear",
            where=str(file),
            expected="one version of the default domain, and one of each other",
            found=", ".join(f"{e.domain or 'ai.onnx'} {e.version}" for e in model.opset_import),
            remedy="Export the model again",
        )
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= versions[""] <= newest:
        raise ModelError(
            "the opset is not supported",
            where=str(file),
            expected=f"an opset from {OLDEST_OPSET} to {newest}",
            found=f"opset {versions['']}",
            remedy="Export the model with opset 13 or later, or convert it with "
            "onnx.version_converter",
        )


def _normalise(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Rules S1 and S2, but for the batch. Takes the model over."""
    _clean_domains(model.graph)
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(
                "its local functions cannot be inlined",
                where=str(file),
                expected="functions that are defined once and not recursive",
                found=_short(error),
                remedy="Export the model again without local functions",
            ) from error
    graph = model.graph
    if graph.sparse_initializer:
        raise ModelError(
            "sparse initialisers are not supported",
            where=f"{file}: tensor {graph.sparse_initializer[0].values.name!r}",
            expected="dense initialisers",
            found=f"{len(graph.sparse_initializer)} sparse",
            remedy="Export the model with dense weights",
        )
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    nodes = _sorted(file, graph, stored | {value.name for value in inputs})
    _name(nodes)
    del graph.input[:], graph.node[:], graph.value_info[:]
    graph.input.extend(inputs)
    graph.node.extend(nodes)
    known = {entry.domain for entry in model.opset_import}
    for domain in sorted({node.domain for node in nodes} - known):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    # From IR version 4 on, initialisers need not be inputs; nothing else differs for us.
    model.ir_version = max(model.ir_version, 8)
    return model


def _clean_domains(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _clean_domains(inner)


def _sorted(file: Path, graph: onnx.GraphProto, given: set[str]) -> list[onnx.NodeProto]:
    """Nodes in topological order (theirs, where it is one); every tensor defined just once."""
    makers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if name and (name in makers or name in given):
                raise ModelError(
                    "two nodes make the same tensor"
                    if name in makers
                    else "a node makes a tensor that is an input or initialiser",
                    where=f"{file}: tensor {name!r}",
                    expected="one producer for each tensor",
                    found=f"a second one, node {node.name or node.op_type!r}",
                    remedy="Export the model again",
                )
            if name:
                makers[name] = index
    waiting: list[set[int]] = []
    for node in graph.node:
        names = reads(node)
        unknown = [name for name in names if name not in makers and name not in given]
        if unknown:
            raise ModelError(
                "a node reads a tensor that nothing makes",
                where=f"{file}: node {node.name or node.op_type!r}",
                expected="inputs that are model inputs, initialisers or outputs of nodes",
                found=repr(unknown[0]),
                remedy="Export the model again",
            )
        waiting.append({makers[name] for name in names if name in makers})
    missing = [v.name for v in graph.output if v.name not in makers and v.name not in given]
    if missing:
        raise ModelError(
            "an output of the model is made by no node",
            where=f"{file}: output {missing[0]!r}",
            expected="outputs of nodes",
            found=repr(missing[0]),
            remedy="Export the model again",
        )
    return [graph.node[index] for index in _topological(file, graph, waiting)]


def _topological(file: Path, graph: onnx.GraphProto, waiting: list[set[int]]) -> list[int]:
    readers: dict[int, list[int]] = {}
    for index, needs in enumerate(waiting):
        for need in needs:
            readers.setdefault(need, []).append(index)
    if all(need < index for index, needs in enumerate(waiting) for need in needs):
        return list(range(len(waiting)))
    left = [len(needs) for needs in waiting]
    ready = [index for index, count in enumerate(left) if not count]
    order: list[int] = []
    for index in ready:  # grows while it is walked
        order.append(index)
        for reader in readers.get(index, ()):
            left[reader] -= 1
            if not left[reader]:
                ready.append(reader)
    if len(order) < len(waiting):
        stuck = sorted(set(range(len(waiting))) - set(order))
        names = [graph.node[i].name or graph.node[i].op_type for i in stuck]
        raise ModelError(
            "the graph has a cycle",
            where=str(file),
            expected="a graph whose nodes can be put in order",
            found=f"nodes that wait for each other: {', '.join(names[:6])}",
            remedy="Export the model again",
        )
    return order


def _name(nodes: list[onnx.NodeProto]) -> None:
    """Give every node a name of its own."""
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name or f"{node.op_type}_{index}"
        count = 2
        unique = name
        while unique in taken:
            unique = f"{name}#{count}"
            count += 1
        taken.add(unique)
        node.name = unique


def _check(file: Path, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            "the ONNX checker refuses the model",
            where=str(file),
            expected="a legal ONNX model",
            found=_short(error),
            remedy="Export the model again, or repair the node that is named",
        ) from error


def _short(error: BaseException) -> str:
    """The first lines of a library's message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3]).rstrip(".") or type(error).__name__
    return text if len(text) <= 400 else text[:397] + "..."


def _source(file: Path, sha256: str, model: onnx.ModelProto) -> Source:
    graph = model.graph
    opset = next(e.version for e in model.opset_import if e.domain == "")
    initialisers = _arrays(file, graph)
    facts = shapes.analyse(model, opset, initialisers)
    values: dict[str, Value] = {}
    for name, kind in facts.types.items():
        shape = shapes.static_shape(kind)
        if shape is not None:
            values[name] = Value(name, shape, dtype_name(kind.tensor_type.elem_type))
    for value in graph.output:
        if value.name in values:
            kind = facts.types[value.name].tensor_type
            value.CopyFrom(
                helper.make_tensor_value_info(
                    value.name, kind.elem_type, list(values[value.name].shape)
                )
            )
    return Source(
        path=file,
        name=file.resolve().parent.name if file.stem == "model" else file.stem,
        sha256=sha256,
        model=model,
        opset=opset,
        inputs=tuple(values[value.name] for value in graph.input),
        outputs=tuple(value.name for value in graph.output),
        values=values,
        initialisers=initialisers,
        folded=facts.folded,
        constants=frozenset(facts.constants),
    )


def _arrays(file: Path, graph: onnx.GraphProto) -> Mapping[str, AnyArray]:
    arrays: dict[str, AnyArray] = {}
    for tensor in graph.initializer:
        try:
            array = numpy_helper.to_array(tensor)
        except (TypeError, ValueError) as error:
            raise ModelError(
                "an initialiser cannot be read",
                where=f"{file}: tensor {tensor.name!r}",
                expected=f"{math.prod(tensor.dims)} values for the shape {list(tensor.dims)}",
                found=_short(error),
                remedy=_COMPLETE,
            ) from error
        if tensor.name in arrays:
            raise ModelError(
                "two initialisers have the same name",
                where=f"{file}: tensor {tensor.name!r}",
                expected="one initialiser of a name",
                found="two",
                remedy="Export the model again",
            )
        arrays[tensor.name] = array
    return arrays
