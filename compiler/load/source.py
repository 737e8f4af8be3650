# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A loaded model: what every later step asks instead of walking protobufs.

Rules, established by :func:`midwire.compiler.load.frontend.load_model`:

S1. Nodes stand in topological order, have unique names, and every tensor has one producer.
S2. The default domain is called ``""``; local functions are inlined; the batch is bound to 1, one
    that was fixed included if its samples can be told apart (:mod:`.batch`).
S3. A *constant* tensor does not depend on a model input: initialisers (also those that are listed
    as inputs, as IR version 3 does), what is computed from them, and shapes of tensors.
S4. Every model input has a known shape. A tensor inside may have none, behind nodes that shape
    inference does not know: its shape is then absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ..ir.graph import Value
from .evaluate import static_shape

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

_NAMES_OF_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT16: "uint16",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.UINT32: "uint32",
    onnx.TensorProto.UINT64: "uint64",
}


PACKED = frozenset(("int2", "int4", "uint2", "uint4"))
"""Element types of several to a byte, which numpy has not: no such tensor crosses a border of a
part. Its integers do, behind their DequantizeLinear.
"""


def dtype_name(elem_type: int) -> str:
    """Numpy name of an ONNX element type; ONNX's own name in lower case where numpy has none."""
    if elem_type in _NAMES_OF_TYPES:
        return _NAMES_OF_TYPES[elem_type]
    try:
        return str(onnx.TensorProto.DataType.Name(elem_type)).lower()
    except ValueError:
        return "undefined"


def elem_type_of(dtype: str | np.dtype[np.generic]) -> int:
    """ONNX element type of a numpy type."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def value_of(name: str, kind: onnx.TypeProto) -> Value | None:
    """A tensor of an ONNX type; None if a dimension is not known."""
    shape = static_shape(kind)
    return None if shape is None else Value(name, shape, dtype_name(kind.tensor_type.elem_type))


def type_of(value: Value) -> onnx.TypeProto:
    """ONNX type of a value."""
    known = {name: kind for kind, name in _NAMES_OF_TYPES.items()}
    kind = known.get(value.dtype)
    if kind is None:
        kind = onnx.TensorProto.DataType.Value(value.dtype.upper())
    return onnx.helper.make_tensor_type_proto(kind, list(value.shape))


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node has (If, Loop, Scan), without those inside of them."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def inner_reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the sub-graphs of a node (If, Loop, Scan) read from outside."""
    for graph in subgraphs(node):
        own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        for inner in graph.node:
            for name in [*inner.input, *inner_reads(inner)]:
                if name and name not in own:
                    yield name
            own.update(inner.output)
        for value in graph.output:
            if value.name not in own:
                yield value.name


def reads(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those of its sub-graphs included, without repeats."""
    return list(dict.fromkeys(name for name in [*node.input, *inner_reads(node)] if name))


def kind_of(node: onnx.NodeProto) -> str:
    """The operator's type, its domain before it if that is not the default one."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


MICROSOFT_QUANTISERS = ("DequantizeLinear", "QuantizeLinear")


def standard(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node of the default domain, newest opset, that means the same: ONNX Runtime had 16 and 4
    bits in a domain of its own first. The node itself if there is none.
    """
    if node.domain != MICROSOFT or node.op_type not in MICROSOFT_QUANTISERS:
        return node
    alike = onnx.NodeProto()
    alike.CopyFrom(node)
    alike.domain = ""
    return alike


@dataclass(frozen=True)
class Written:
    """A node of the file: its name, and its type as :func:`kind_of` has it."""

    name: str
    kind: str


@dataclass(frozen=True, eq=False)
class Source:
    """Rules S1 to S4.

    Attributes
    ----------
    path : the file
    name : name for people: the file's stem, or its folder's name for ``model.onnx``
    sha256 : of the file, hexadecimal
    model : the normalised ONNX model
    opset : version of the default domain
    inputs, outputs : the model's own, without initialisers
    values : every tensor of known shape, batch 1
    initialisers : constants that the file holds
    folded : constants found while loading (shapes of tensors and what is computed from them)
    constants : names of all constant tensors (rule S3)
    batch : samples that one run of the file as it stands takes, each an inference by itself
    written : nodes that stand for another one in the file, by name
    refused : why a node of another domain is not taken, by name
    unsound : what ONNX finds wrong with a node (inputs that do not fit each other), by name
    batch_obstacle : why axis 0 of the inputs still has another length than 1; empty if it has not
    """

    path: Path
    name: str
    sha256: str
    model: onnx.ModelProto
    opset: int
    inputs: tuple[Value, ...]
    outputs: tuple[str, ...]
    values: Mapping[str, Value]
    initialisers: Mapping[str, AnyArray]
    folded: Mapping[str, AnyArray]
    constants: frozenset[str]
    batch: int = 1
    batch_obstacle: str = ""
    written: Mapping[str, Written] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    unsound: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> tuple[onnx.NodeProto, ...]:
        """All nodes, in topological order."""
        return tuple(self.model.graph.node)

    def in_file(self, node: onnx.NodeProto) -> Written:
        """The node in the file that a node is, or stands for."""
        return self.written.get(node.name) or Written(node.name, kind_of(node))

    @cached_property
    def operators(self) -> frozenset[str]:
        """Types of all nodes, of any domain."""
        return frozenset(node.op_type for node in self.nodes)

    @cached_property
    def producers(self) -> Mapping[str, onnx.NodeProto]:
        """The node behind each computed tensor."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[onnx.NodeProto, ...]]:
        """The nodes that read each tensor, in order."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in reads(node):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def users(self, name: str) -> Iterator[onnx.NodeProto]:
        """The nodes that read a tensor's elements for an output of the model: what is constant
        reads its shape at most.
        """
        for node in self.consumers.get(name, ()):
            if node.name in self.live and not self.is_constant_node(node):
                yield node

    def is_constant_node(self, node: onnx.NodeProto) -> bool:
        """Whether a node only makes constants; one that makes nothing does not."""
        made = [name for name in node.output if name]
        return bool(made) and all(name in self.constants for name in made)

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """What a node reads that is not constant."""
        return [name for name in reads(node) if name not in self.constants]

    @cached_property
    def live(self) -> frozenset[str]:
        """Names of the nodes that an output of the model depends on. A shape is known without the
        elements of what has it, so what makes those is not among them for that.
        """
        needed, found = list(self.outputs), set()
        while needed:
            node = self.producers.get(needed.pop())
            if node is not None and node.name not in found:
                found.add(node.name)
                constant = self.is_constant_node(node)
                needed.extend(n for n in reads(node) if not constant or n in self.constants)
        return frozenset(found)
