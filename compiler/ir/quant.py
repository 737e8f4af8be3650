# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The second IR: integers only.

Rules, checked by :func:`verify`:

Q1. Nodes stand in topological order; every tensor is defined once, before it is used; no two nodes
    have the same name.
Q2. A node is a kernel, which makes exact integer accumulators, and for each of its outputs a
    finisher that is proven exact (N4) for the range of those accumulators and the type of the
    output.
Q3. Every tensor has a type and a stream layout; views are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...hw.formats.bundle import Step
from ...hw.formats.tensor import AnyArray, Layout
from ...hw.kernels.program import describe
from ...hw.kernels.reference import Operation
from ...hw.numeric import IntType, QType
from .graph import repeated


@dataclass(frozen=True)
class QTensor:
    """A quantised tensor: ONNX name, ONNX shape (batch 1), type and stream order."""

    name: str
    shape: tuple[int, ...]
    qtype: QType
    layout: Layout


@dataclass(frozen=True, eq=False)
class QNode(Operation):
    """An operation. ``sources`` names the ONNX nodes that it stands for."""

    sources: tuple[str, ...] = ()

    @property
    def accumulator(self) -> IntType:
        """The narrowest type of all accumulators of the first output."""
        spans = [span for channel in self.kernel.ranges[0] for span in channel]
        return IntType.holding(min(lo for lo, _ in spans), max(hi for _, hi in spans))


@dataclass(frozen=True, eq=False)
class QGraph:
    """Rules Q1 to Q3.

    ``results`` describes each output by the ONNX tensor that it is: views after the last node
    change its name, shape and layout, but not the stream.
    """

    name: str
    nodes: tuple[QNode, ...]
    tensors: Mapping[str, QTensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    results: tuple[QTensor, ...]

    def consumers(self, tensor: str) -> list[tuple[QNode, int]]:
        """Nodes that read a tensor, with the input's position."""
        return [
            (node, index)
            for node in self.nodes
            for index, name in enumerate(node.inputs)
            if name == tensor
        ]


def program_of(graph: QGraph) -> tuple[tuple[Step, ...], dict[str, AnyArray]]:
    """The program of a bundle: one step a node, and the arrays that they name."""
    arrays: dict[str, AnyArray] = {}
    steps = tuple(
        Step(
            node.name,
            describe(node.kernel, f"{index}", arrays),
            tuple(
                describe(finisher, f"{index}.finish{k}", arrays)
                for k, finisher in enumerate(node.finishers)
            ),
            node.inputs,
            node.outputs,
        )
        for index, node in enumerate(graph.nodes)
    )
    return steps, arrays


def print_qgraph(graph: QGraph) -> str:
    """Stable text form: a line a node."""
    lines = [f"qgraph {graph.name}({', '.join(_show(graph, t) for t in graph.inputs)})"]
    for node in graph.nodes:
        made = ", ".join(_show(graph, name) for name in node.outputs)
        finished = ", ".join(finisher.kind for finisher in node.finishers)
        acc = node.accumulator
        lines.append(
            f"  {made} = {node.kernel.name}({', '.join(node.inputs)})"
            f" acc {'i' if acc.signed else 'u'}{acc.bits} {finished}"
        )
    lines.append(f"  return {', '.join(graph.outputs)}")
    return "\n".join(lines) + "\n"


def _show(graph: QGraph, name: str) -> str:
    tensor = graph.tensors[name]
    shape = "x".join(str(d) for d in tensor.shape)
    kind = f"{'i' if tensor.qtype.signed else 'u'}{tensor.qtype.bits}"
    return f"{name}: {kind}[{shape}]"


def verify(graph: QGraph) -> list[str]:
    """Every violation of Q1 to Q3, as sentences; empty if the graph is legal."""
    wrong: list[str] = []
    known = set(graph.inputs)
    wrong.extend(f"Q1: {name!r} names {n} nodes" for name, n in repeated(graph.nodes))
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                wrong.append(f"Q1: node {node.name!r} reads {name!r} before it is defined")
        for name in node.outputs:
            if name in known:
                wrong.append(f"Q1: {name!r} is defined twice, the second time by {node.name!r}")
            known.add(name)
        wrong.extend(_finishing(graph, node))
    wrong.extend(f"Q3: {name!r} has no type" for name in sorted(known) if name not in graph.tensors)
    wrong.extend(f"Q1: output {t!r} is not defined" for t in graph.outputs if t not in known)
    return wrong


def _finishing(graph: QGraph, node: QNode) -> list[str]:
    """Violations of Q2 by the finishers of a node."""
    ranges = node.kernel.ranges
    if not len(node.outputs) == len(node.finishers) == len(ranges):
        counts = f"{len(node.outputs)} outputs and {len(node.finishers)} finishers"
        return [f"Q2: node {node.name!r} has {counts}, its kernel gives {len(ranges)}"]
    wrong: list[str] = []
    for name, finisher, channels in zip(node.outputs, node.finishers, ranges, strict=True):
        if finisher.channels != len(channels):
            wrong.append(
                f"Q2: node {node.name!r} finishes {finisher.channels} channels of {name!r}, "
                f"its kernel gives {len(channels)}"
            )
        if name in graph.tensors:
            qtype = graph.tensors[name].qtype
            lo, hi = finisher.span
            if lo < qtype.lo or hi > qtype.hi:
                wrong.append(f"Q2: node {node.name!r} gives {lo}..{hi}, {name!r} is {qtype}")
    return wrong
