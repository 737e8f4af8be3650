# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The second IR: integers only.

Rules, checked by :func:`verify`:

Q1. Nodes stand in topological order; every tensor is defined once, before it is used.
Q2. A node is a core, which makes exact integer accumulators, and a requantiser that is proven exact
    (N4) for the range of those accumulators and the type of the output.
Q3. Every tensor has a type and a stream layout; views are gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...hw.formats.bundle import Step
from ...hw.formats.tensor import AnyArray, Layout
from ...hw.numeric import Affine, QType, Requantiser, bits_for
from .dataflow import Folding, Stage


@dataclass(frozen=True)
class QTensor:
    """A quantised tensor: ONNX name, ONNX shape (batch 1), type and stream order."""

    name: str
    shape: tuple[int, ...]
    qtype: QType
    layout: Layout


class Core(ABC):
    """The integer part of an operator, and the hardware that computes it.

    Attributes
    ----------
    kernel : name of the numpy kernel in :mod:`midwire.hw.kernels.integer`
    attributes : the kernel's parameters, JSON values
    arrays : the kernel's parameters, integer arrays
    functions : for each channel, the real number that its accumulators stand for
    ranges : for each channel and term, the closed range of the accumulator
    channel_axis : axis of the ONNX output along which channels lie
    adjustable : whether slopes of ``functions`` were chosen by midwire, so that others as close to
        the model would do as well
    """

    kernel: str
    attributes: Mapping[str, Any]
    arrays: Mapping[str, AnyArray]
    functions: Sequence[Affine]
    ranges: Sequence[Sequence[tuple[int, int]]]
    channel_axis: int
    adjustable: bool = False
    macs: int = 0

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return len(self.functions)

    @cached_property
    def acc_range(self) -> tuple[int, int]:
        """Range over all channels and terms."""
        lows = [lo for channel in self.ranges for lo, _ in channel]
        highs = [hi for channel in self.ranges for _, hi in channel]
        return min(lows), max(highs)

    @property
    def acc_bits(self) -> tuple[int, bool]:
        """Narrowest accumulator: (bits, signed)."""
        return bits_for(*self.acc_range)

    @abstractmethod
    def foldings(self) -> list[Folding]:
        """Every folding that the hardware can have, in any order."""

    @abstractmethod
    def cycles(self, folding: Folding) -> int:
        """Cycles that one inference keeps the hardware busy."""

    @abstractmethod
    def stage(self, node: QNode, out: QType, folding: Folding, name: str) -> Stage:
        """The hardware of a node with results of type ``out``, under a Verilog identifier."""


@dataclass(frozen=True, eq=False)
class QNode:
    """A core and its requantiser. ``sources`` names the ONNX nodes that it stands for."""

    name: str
    core: Core
    requantiser: Requantiser
    inputs: tuple[str, ...]
    output: str
    sources: tuple[str, ...] = ()


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


def steps_of(graph: QGraph) -> tuple[tuple[Step, ...], dict[str, AnyArray]]:
    """The program of a bundle: one step a node, and the arrays that they name."""
    steps: list[Step] = []
    arrays: dict[str, AnyArray] = {}
    for index, node in enumerate(graph.nodes):
        requantiser = node.requantiser
        own: dict[str, AnyArray] = dict(node.core.arrays)
        own["requant_multiplier"] = requantiser.multiplier
        own["requant_offset"] = requantiser.offset
        own["requant_lo"] = requantiser.lo
        own["requant_hi"] = requantiser.hi
        keys = {name: f"{index}.{name}" for name in own}
        arrays.update({keys[name]: _narrow(array) for name, array in own.items()})
        attributes = {
            **node.core.attributes,
            "requant_shift": requantiser.shift,
            "requant_tie": requantiser.tie,
            "requant_parity": requantiser.parity,
        }
        steps.append(Step(node.name, node.core.kernel, node.inputs, node.output, attributes, keys))
    return tuple(steps), arrays


def _narrow(array: AnyArray) -> AnyArray:
    """The smallest standard integer type that holds an array."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if array.size == 0 or (array.min() >= info.min and array.max() <= info.max):
            return array.astype(dtype)
    return array.astype(np.int64)


def print_qgraph(graph: QGraph) -> str:
    """Stable text form: a line a node."""
    lines = [f"qgraph {graph.name}({', '.join(_show(graph, t) for t in graph.inputs)})"]
    for node in graph.nodes:
        bits, signed = node.core.acc_bits
        attributes = ", ".join(f"{k}={v}" for k, v in sorted(node.core.attributes.items()))
        lines.append(
            f"  {_show(graph, node.output)} = {node.core.kernel}[{attributes}]"
            f"({', '.join(node.inputs)}) acc {'i' if signed else 'u'}{bits}"
            f" >> {node.requantiser.shift}"
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
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                wrong.append(f"Q1: node {node.name!r} reads {name!r} before it is defined")
        if node.output in known:
            wrong.append(f"Q1: {node.output!r} is defined twice, the second time by {node.name!r}")
        known.add(node.output)
        if node.requantiser.channels != node.core.channels:
            wrong.append(
                f"Q2: node {node.name!r} requantises {node.requantiser.channels} channels, "
                f"its core has {node.core.channels}"
            )
        if node.output in graph.tensors:
            qtype = graph.tensors[node.output].qtype
            lo, hi = int(node.requantiser.lo.min()), int(node.requantiser.hi.max())
            if lo < qtype.lo or hi > qtype.hi:
                wrong.append(f"Q2: node {node.name!r} gives {lo}..{hi}, its output is {qtype}")
    wrong.extend(f"Q3: {name!r} has no type" for name in sorted(known) if name not in graph.tensors)
    wrong.extend(f"Q1: output {t!r} is not defined" for t in graph.outputs if t not in known)
    return wrong
