# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Read an ONNX file, and its external data, without trusting either."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper

from ..errors import ModelError

MAX_BYTES = (1 << 31) - 1
"""Protobuf's own limit, for the file and for all external data together."""

COMPLETE = "Check that the file is complete: compare its SHA-256 with where it came from"


def read(file: Path) -> bytes:
    """The file's bytes."""
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
            usage=True,
        )
    if not file.is_file():
        raise ModelError(
            "no such file",
            where=where,
            expected=expected,
            found="nothing",
            remedy="Check the path",
            usage=True,
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


def parse(file: Path, raw: bytes) -> onnx.ModelProto:
    """The model in the bytes, with its necessary parts."""
    model = onnx.ModelProto()
    found = ""
    if not raw:
        found = "an empty file"
    else:
        try:
            model.ParseFromString(raw)
        except DecodeError:
            found = f"{len(raw)} bytes that are no such message"
    if found:
        raise ModelError(
            "not an ONNX model, or a truncated one",
            where=str(file),
            expected="an ONNX protobuf message",
            found=found,
            remedy=COMPLETE,
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
            remedy=COMPLETE,
        )
    for name in [e.domain for e in model.opset_import] + list(_names(model)):
        # Protobuf hands over names that are not UTF-8 as bytes.
        if isinstance(name, bytes):
            raise ModelError(
                "a name in the model is not text",
                where=str(file),
                expected="names in UTF-8",
                found=repr(name[:40]),
                remedy=COMPLETE,
            )
    return model


def _names(model: onnx.ModelProto) -> Iterator[object]:
    """Every name that later steps read."""

    def of_graph(graph: onnx.GraphProto) -> Iterator[object]:
        yield graph.name
        yield from (tensor.name for tensor in graph.initializer)
        for value in (*graph.input, *graph.output):
            yield value.name
            yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
        for node in graph.node:
            yield from of_node(node)

    def of_node(node: onnx.NodeProto) -> Iterator[object]:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from of_graph(inner)

    yield from of_graph(model.graph)
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output)
        for node in function.node:
            yield from of_node(node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that later steps or ONNX itself may read, at any depth: initialisers, attributes
    of nodes, and what local functions hold.
    """

    def of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
        yield from graph.initializer
        yield from of_sparse(graph.sparse_initializer)
        for node in graph.node:
            yield from of_attributes(node.attribute)

    def of_sparse(found: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
        for tensor in found:
            yield from (tensor.values, tensor.indices)

    def of_attributes(found: Iterable[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
        for attribute in found:
            yield from [attribute.t] if attribute.HasField("t") else attribute.tensors
            sparse = attribute.HasField("sparse_tensor")
            yield from of_sparse([attribute.sparse_tensor] if sparse else attribute.sparse_tensors)
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from of_graph(inner)

    yield from of_graph(model.graph)
    for function in model.functions:
        yield from of_attributes(function.attribute_proto)
        for node in function.node:
            yield from of_attributes(node.attribute)


def load_external_data(file: Path, model: onnx.ModelProto) -> None:
    """Read tensors that lie in other files, which must be inside the model's folder."""
    folder = file.resolve().parent
    total = 0
    for tensor in _tensors(model):
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
        except (OSError, TypeError, ValueError) as error:
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
                expected, found = f"readable data in {location!r}", short(error)
        if found:
            raise ModelError(
                "external data is missing or not usable",
                where=f"{file}: tensor {tensor.name!r}",
                expected=expected,
                found=found,
                remedy="Copy the model together with its external data files",
            )


def short(error: BaseException) -> str:
    """The first lines of a library's message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3]).rstrip(".") or type(error).__name__
    return text if len(text) <= 400 else text[:397] + "..."
