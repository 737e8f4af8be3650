# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A fixed batch other than 1: the model rewritten to one sample, if it keeps its samples apart.

A model of batch B then means B inferences, one after the other. Rules, cited by tests:

B1. A model has a fixed batch B if axis 0 of every input has length B, more than 1, and one of the
    inputs has two axes or more.
B2. A tensor *carries* the batch if it depends on an input. Sample by sample, its elements follow
    each other: axis 0 is outermost, and B times as long as it is for one sample.
B3. Every node that reads such a tensor makes such tensors, and computes each sample from that
    sample alone and like every other: :mod:`.batch_rules` says so for each operator that it knows.
B4. Where a shape is written out (Reshape, Expand, Resize), the batch in it becomes 1. What is
    computed from the shape of a tensor is computed anew, and must not become other data.
B5. The rewritten model is inferred again, and every tensor has the shape that B2 foretells.

Where that does not hold, the model stays as it is. Axis 0 may then be data like any other (rows of
a matrix); nodes for which it is the batch are not supported, for the reason that is found here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from ...hw.formats.tensor import AnyArray
from .batch_rules import SHAPES, TREES, Mixed, View, rule_of
from .constants import attributes
from .evaluate import has_subgraph, static_shape
from .infer import Facts, analyse
from .source import Source, kind_of, reads


@dataclass(frozen=True)
class Batch:
    """What became of a model's batch.

    Attributes
    ----------
    size : samples that one run of the model as it was takes; 1 if it is not rewritten
    obstacle : why a fixed batch could not be taken apart; empty if there was none, or it was
    """

    size: int = 1
    obstacle: str = ""


def take_apart(model: onnx.ModelProto, opset: int, initialisers: Mapping[str, AnyArray]) -> Batch:
    """Rewrite a sorted model of a fixed batch to one sample, in place, if rules B1 to B5 hold."""
    size = _fixed(model.graph)
    if size == 1:
        return Batch()
    facts = analyse(model, opset, initialisers)
    try:
        walk = _Walk(model.graph, facts, initialisers, opset, size)
        for index, node in enumerate(model.graph.node):
            walk.visit(index, node)
        walk.check_outputs(model.graph)
        one = onnx.ModelProto()
        one.CopyFrom(model)
        arrays = walk.rewrite(one.graph)
        walk.compare(one.graph, analyse(one, opset, {**initialisers, **arrays}))
    except Mixed as obstacle:
        return Batch(obstacle=f"the {size} samples of the batch cannot be told apart: {obstacle}")
    model.CopyFrom(one)
    return Batch(size)


def several_samples(source: Source, node: onnx.NodeProto) -> str:
    """Why a node cannot be hardware that takes one sample at a time; empty if it can."""
    first = next(iter(node.input), "")
    known = first not in source.constants and first in source.values
    shape = source.values[first].shape if known else ()
    if shape[:1] in ((), (1,)) or kind_of(node) not in TREES:
        return ""
    why = f": {source.batch_obstacle}" if source.batch_obstacle else ""
    return f"expected one sample at a time, found {shape[0]} along axis 0{why}"


def _fixed(graph: onnx.GraphProto) -> int:
    """The batch by rule B1; 1 if there is none."""
    shapes = [static_shape(value.type) for value in graph.input]
    sizes = {shape[0] if shape else 1 for shape in shapes}
    ranks = [len(shape) for shape in shapes if shape is not None]
    return max(sizes.pop(), 1) if len(sizes) == 1 and max(ranks, default=0) > 1 else 1


class _Walk:
    """Rules B2 to B5, node by node."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        facts: Facts,
        initialisers: Mapping[str, AnyArray],
        opset: int,
        size: int,
    ) -> None:
        self._facts = facts
        self._constants = {**initialisers, **facts.folded}
        self._opset = opset
        self._size = size
        self._carries = {v.name: self._shape(v.name, "the model") for v in graph.input}
        self._from_shapes: set[str] = set()
        self._written: dict[tuple[int, int], AnyArray] = {}
        self._compared: list[tuple[str, str]] = []

    def visit(self, index: int, node: onnx.NodeProto) -> None:
        """Whether a node keeps samples apart; raise Mixed if not, or if nobody knows."""
        constant = all(name in self._facts.constants for name in node.output if name)
        names = reads(node)
        if constant:
            measures = node.op_type in ("Shape", "Size") and not node.domain
            if measures or any(name in self._from_shapes for name in names):
                self._from_shapes.update(node.output)
            return
        data = [name for name in names if name not in self._facts.constants]
        if not data:
            return  # random numbers: whoever reads them refuses
        what = f"node {node.name!r} ({node.op_type})"
        rule = None if has_subgraph(node) else rule_of(node)
        if rule is None or not all(name in self._carries for name in data):
            raise Mixed(f"it is not known whether {what} treats every sample by itself")
        try:
            rule(self._view(node))
        except Mixed as refusal:
            raise Mixed(f"{what} {refusal}") from None
        outputs = {name: self._shape(name, what) for name in node.output if name}
        self._carries.update(outputs)
        self._constant_reads(index, node, what, outputs)

    def check_outputs(self, graph: onnx.GraphProto) -> None:
        """What the model gives must come sample by sample, to be put together again."""
        for value in graph.output:
            if value.name not in self._carries:
                raise Mixed(f"the output {value.name!r} does not depend on the input")

    def _static(self, name: str) -> tuple[int, ...] | None:
        kind = self._facts.types.get(name)
        return None if kind is None else static_shape(kind)

    def _shape(self, name: str, what: str) -> tuple[int, ...]:
        """Shape of a tensor that carries the batch, by rule B2."""
        shape = self._static(name)
        if shape is None:
            raise Mixed(f"the shape of {name!r} at {what} is not known")
        if not shape or shape[0] % self._size or not shape[0]:
            raise Mixed(
                f"{what} makes {name!r} of shape {list(shape)}, whose axis 0 is no multiple of "
                "the batch"
            )
        return shape

    def _view(self, node: onnx.NodeProto) -> View:
        constants = self._facts.constants
        return View(
            node.op_type,
            attributes(node),
            [self._carries.get(name) for name in node.input],
            [self._constants.get(name) if name else None for name in node.input],
            [self._static(name) if name in constants else None for name in node.input],
            self._static(node.output[0]) or (),
            self._opset,
        )

    def _constant_reads(
        self, index: int, node: onnx.NodeProto, what: str, outputs: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Rule B4 for what a node reads beside the data."""
        shape_at = SHAPES.get(node.op_type, 0) if not node.domain else 0
        for position, name in enumerate(node.input):
            if name not in self._facts.constants:
                continue
            if position == shape_at != 0:
                literal = self._constants.get(name)
                wanted = next(iter(outputs.values()))
                if name not in self._from_shapes and literal is not None and literal.size:
                    self._write((index, position), literal, wanted)
            elif name in self._from_shapes:
                self._compared.append((name, what))

    def _write(self, at: tuple[int, int], literal: AnyArray, output: tuple[int, ...]) -> None:
        """A written shape whose first number holds the batch."""
        if literal.ravel()[0] == output[0]:
            fresh = literal.copy()
            fresh.ravel()[0] = output[0] // self._size
            self._written[at] = fresh

    def rewrite(self, graph: onnx.GraphProto) -> dict[str, AnyArray]:
        """Give the inputs one sample and the nodes new shapes; returns those by name."""
        for value in graph.input:
            dim = value.type.tensor_type.shape.dim[0]
            dim.dim_value = dim.dim_value // self._size
        taken = {name for node in graph.node for name in (*node.input, *node.output)}
        arrays: dict[str, AnyArray] = {}
        for (index, position), array in self._written.items():
            node = graph.node[index]
            name = f"{node.name}/one_sample"
            while name in taken:
                name += "_"
            taken.add(name)
            node.input[position] = name
            arrays[name] = array
            graph.initializer.append(numpy_helper.from_array(array, name))
        return arrays

    def compare(self, graph: onnx.GraphProto, facts: Facts) -> None:
        """Rule B5, and that constants computed from shapes are the same data (B4)."""
        for node in graph.node:
            for name in node.output:
                before = self._carries.get(name)
                if before is None:
                    continue
                kind = facts.types.get(name)
                after = None if kind is None else static_shape(kind)
                if after != (before[0] // self._size, *before[1:]):
                    raise Mixed(
                        f"node {node.name!r} ({node.op_type}) makes {name!r} of shape "
                        f"{list(before)}, and for one sample {_show(after)}"
                    )
        for name, what in self._compared:
            old, new = self._facts.folded.get(name), facts.folded.get(name)
            if old is None or new is None or not np.array_equal(old, new):
                raise Mixed(f"{what} computes with {name!r}, which depends on the batch")


def _show(shape: tuple[int, ...] | None) -> str:
    return "one that is not known" if shape is None else str(list(shape))
