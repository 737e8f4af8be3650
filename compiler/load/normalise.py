# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring a model into the form that :class:`~.source.Source` promises (rules S1 and S2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx
import onnx.inliner
from onnx import helper

from ..errors import ModelError
from .onnxfile import short
from .source import reads, subgraphs

OLDEST_OPSET = 7
"""Broadcasting as we know it came with opset 7."""

WRITTEN_OPSET = 17
"""Of the standard nodes that loading writes into a model without any."""


def check_opsets(file: Path, model: onnx.ModelProto) -> None:
    """Call the default domain by its short name, and refuse versions that are not known.

    Imports that say the same twice count once: converters of scikit-learn write such. Those of
    boosted trees import no default domain, which no node of theirs is in: any version is right.
    """
    _clean_domains([*model.opset_import, *model.graph.node])
    for function in model.functions:
        _clean_domains([*function.opset_import, *function.node])
    once = dict.fromkeys((entry.domain, entry.version) for entry in model.opset_import)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*each) for each in once)
    kinds = {node.domain for node in model.graph.node}
    if kinds and "" not in kinds | {domain for domain, _ in once} and not model.functions:
        model.opset_import.append(helper.make_opsetid("", WRITTEN_OPSET))
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


def normalise(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Rules S1 and S2, but for the batch. Takes the model over."""
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except (onnx.checker.ValidationError, RuntimeError, TypeError, ValueError) as error:
            raise ModelError(
                "its local functions cannot be inlined",
                where=str(file),
                expected="functions that are defined once and not recursive",
                found=short(error),
                remedy="Export the model again without local functions",
            ) from error
    graph = model.graph
    for node in graph.node:
        while node.input and not node.input[-1]:  # says nothing, and ONNX Runtime may end with it
            node.input.pop()
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
    name_nodes(nodes, _outer_names(nodes, stored | {value.name for value in inputs}))
    _name_parts(nodes)
    del graph.input[:], graph.node[:], graph.value_info[:]
    graph.input.extend(inputs)
    graph.node.extend(nodes)
    known = {entry.domain for entry in model.opset_import}
    for domain in sorted({node.domain for node in nodes} - known):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    # From IR version 4 on, initialisers need not be inputs; nothing else differs for us.
    model.ir_version = max(model.ir_version, 8)
    return model


def _clean_domains(entries: Iterable[onnx.OperatorSetIdProto | onnx.NodeProto]) -> None:
    for entry in entries:
        if entry.domain == "ai.onnx":
            entry.domain = ""
        for inner in subgraphs(entry) if isinstance(entry, onnx.NodeProto) else ():
            _clean_domains(inner.node)


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


def _outer_names(nodes: Sequence[onnx.NodeProto], tensors: Iterable[str]) -> set[str]:
    """What names of the file would be inside of, by their words: what a node that is called so
    becomes would have the same names (rule X2 of :mod:`.expansion`).
    """
    names = {*tensors, *(node.name for node in nodes), *(name for n in nodes for name in n.output)}
    return {name[: end.start()] for name in names for end in re.finditer("::", name)}


def name_nodes(nodes: Sequence[onnx.NodeProto], besides: Iterable[str] = ()) -> None:
    """Give every node a name of its own (rule S1), and none of those ``besides``."""
    taken = set(besides)
    counts: dict[str, int] = {}  # of each name, so that as many of one name take no longer
    for index, node in enumerate(nodes):
        name = unique = node.name or f"{node.op_type}_{index}"
        while unique in taken:
            counts[name] = counts.get(name, 1) + 1
            unique = f"{name}#{counts[name]}"
        taken.add(unique)
        node.name = unique


def _name_parts(nodes: list[onnx.NodeProto]) -> None:
    """Give every part of a Split a name: ONNX Runtime ends with one that is left out."""
    for node in nodes:
        if node.op_type == "Split" and not node.domain:
            for index, name in enumerate(node.output):
                node.output[index] = name or f"{node.name}::{index}"
