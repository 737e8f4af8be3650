# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The first IR: a directed acyclic graph of real-valued operators.

Rules, checked by :func:`verify`:

G1. Nodes stand in topological order; every value is defined once, before it is used; no two nodes
    have the same name.
G2. A value is a real tensor with a fixed shape, batch 1. Rounding happens only in ``Quantize``
    nodes, whose value then lies on the grid of their :class:`QType` (N3). QuantizeLinear followed
    by DequantizeLinear is one such node; integer tensors at the borders are ones too.
G3. Constants (weights, biases) are inside the operator's parameters, never values.
G4. Inputs and outputs of the graph name the ONNX tensors that the slice is cut at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ...hw.numeric import QType

if TYPE_CHECKING:
    from ..ops.base import Op


@dataclass(frozen=True)
class Value:
    """A tensor: its ONNX name, shape (batch 1) and ONNX element type (a numpy name)."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Node:
    """An operator applied to values, which makes one value or (Split) several.

    ``sources`` are the names of the ONNX nodes that it stands for.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        """The value that it makes, where that is one."""
        (output,) = self.outputs
        return output

    def kept_from(self, value: str) -> str | None:
        """The input on whose grid a value that it makes lies; None if it need not."""
        return self.inputs[0] if self.op.keeps(self.outputs.index(value)) else None


@dataclass(frozen=True)
class Graph:
    """Rules G1 to G4.

    ``qtypes`` gives the grid of graph inputs that come quantised (integer tensors, or the output of
    a DequantizeLinear in the edge part), and of outputs that a node puts on one (labels, too).
    ``apart`` names values that get a grid although what reads them is absorbed, for the kernel
    before them has no place for it.
    """

    name: str
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    qtypes: Mapping[str, QType] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()

    def producer(self, value: str) -> Node | None:
        """The node that makes a value; None for graph inputs."""
        return self._makers.get(value)

    def consumers(self, value: str) -> Sequence[Node]:
        """Nodes that read a value, in order."""
        return self._readers.get(value, ())

    @cached_property
    def _makers(self) -> Mapping[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    @cached_property
    def _readers(self) -> Mapping[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def indices(self) -> frozenset[str]:
        """Values that are integers and mean themselves: what look-ups read, back through views."""
        found: set[str] = set()
        for node in reversed(self.nodes):
            passed = node.op.keeps_grid and not found.isdisjoint(node.outputs)
            if passed or node.op.integers is not None:
                found.update(node.inputs)
        return frozenset(found)

    @property
    def given(self) -> frozenset[str]:
        """The inputs whose grids say what reals their integers mean: the model is quantised."""
        return frozenset(self.qtypes).intersection(self.inputs) - self.indices

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)


def unused(name: str, taken: Container[str]) -> str:
    """A name for what a pass adds: this one, marked until it is not taken."""
    while name in taken:
        name += "*"
    return name


class Named(Protocol):
    """A node of any program."""

    @property
    def name(self) -> str:
        """Its name."""


def repeated(nodes: Iterable[Named]) -> list[tuple[str, int]]:
    """Names that several nodes have, and how many."""
    return [(name, n) for name, n in Counter(node.name for node in nodes).items() if n > 1]


def print_graph(graph: Graph) -> str:
    """Stable text form: a line a node."""
    lines = [f"graph {graph.name}({', '.join(_show(graph, v) for v in graph.inputs)})"]
    for node in graph.nodes:
        made = ", ".join(_show(graph, name) for name in node.outputs)
        lines.append(f"  {made} = {node.op!r}({', '.join(node.inputs)})")
    lines.append(f"  return {', '.join(graph.outputs)}")
    return "\n".join(lines) + "\n"


def _show(graph: Graph, name: str) -> str:
    value = graph.values[name]
    shape = "x".join(str(d) for d in value.shape)
    return f"{name}: {value.dtype}[{shape}]"


def verify(graph: Graph) -> list[str]:
    """Every violation of G1 to G4, as sentences; empty if the graph is legal."""
    wrong: list[str] = []
    known = set(graph.inputs)
    wrong.extend(f"G1: {name!r} names {n} nodes" for name, n in repeated(graph.nodes))
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                wrong.append(f"G1: node {node.name!r} reads {name!r} before it is defined")
        for name in node.outputs:
            if name in known:
                wrong.append(f"G1: {name!r} is defined twice, the second time by {node.name!r}")
            known.add(name)
        if len(node.inputs) != node.op.arity:
            wrong.append(
                f"G3: node {node.name!r} has {len(node.inputs)} inputs, "
                f"{type(node.op).__name__} takes {node.op.arity}"
            )
    for name in sorted(known):
        if name not in graph.values:
            wrong.append(f"G2: {name!r} has no shape")
        elif any(d < 1 for d in graph.values[name].shape):
            wrong.append(f"G2: {name!r} has the shape {graph.values[name].shape}")
    wrong.extend(f"G4: output {v!r} is not defined" for v in graph.outputs if v not in known)
    return wrong
