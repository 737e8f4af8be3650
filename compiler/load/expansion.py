# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Nodes of other domains, written out in standard operators while loading.

X1. What a rule gives means what the node means, in ONNX Runtime too: the parts of a model,
    calibration and losses run in it.
X2. One of the new nodes has the name of the one that they stand for, the others that name and a
    word, and :class:`~.source.Written` says which that is: people are shown their own.
X3. What has no such form stays as it is, with a sentence that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import helper, numpy_helper

from ...hw.formats.tensor import AnyArray
from .source import Written, kind_of, reads


class OtherMeaningError(Exception):
    """One clause: what was expected and what was found (rule X3)."""


@dataclass(frozen=True)
class Pieces:
    """What a node becomes: nodes in order, and constants of theirs by name."""

    nodes: list[onnx.NodeProto]
    constants: Mapping[str, AnyArray] = field(default_factory=dict)


Rule = Callable[[onnx.NodeProto], Pieces]
"""Writes a node out, or raises :class:`OtherMeaningError`."""


@dataclass
class Expansion:
    """What became of a model's nodes of other domains.

    Attributes
    ----------
    model : with standard nodes in their place
    written : for each of those, by name, the node in the file
    refused : why a node stayed, by name
    """

    model: onnx.ModelProto
    written: dict[str, Written] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def write_out(self, rule_of: Callable[[onnx.NodeProto], Rule | None]) -> None:
        """Replace every node that has a rule, in place (rules X1 to X3)."""
        graph = self.model.graph
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            rule = rule_of(node)
            try:
                pieces = Pieces([node]) if rule is None else rule(node)
            except (OtherMeaningError, *STUMBLES) as reason:
                self.refused[node.name] = _clause(node, reason)
                pieces, rule = Pieces([node]), None
            nodes.extend(pieces.nodes)
            graph.initializer.extend(
                numpy_helper.from_array(array, name) for name, array in pieces.constants.items()
            )
            if rule is not None:
                # What another rule wrote stands for what that was written for.
                written = self.written.get(node.name) or Written(node.name, kind_of(node))
                self.written.update((each.name, written) for each in pieces.nodes)
        del graph.node[:]
        graph.node.extend(nodes)


STUMBLES = (ArithmeticError, LookupError, TypeError, ValueError)
"""What a rule meets in attributes of other types and numbers than the operator has: of most other
domains the ONNX checker knows nothing.
"""


def _clause(node: onnx.NodeProto, reason: Exception) -> str:
    if isinstance(reason, OtherMeaningError):
        return str(reason)
    given = ", ".join(f"{a.name} ({_KINDS.get(a.type, 'unknown').lower()})" for a in node.attribute)
    return (
        f"expected inputs, outputs and attributes as {kind_of(node)} is defined with, found "
        f"{len(node.input)} inputs, {len(node.output)} outputs and {given or 'no attributes'}"
    )


_KINDS = {number: name for name, number in onnx.AttributeProto.AttributeType.items()}


def drop_unread(graph: onnx.GraphProto) -> None:
    """ONNX Runtime warns of initialisers that nothing reads."""
    used = {name for node in graph.node for name in reads(node)}
    used.update(value.name for value in graph.output)
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def inner_name(node: onnx.NodeProto, word: str) -> str:
    """The name of a node and its tensor inside of what a node becomes (rule X2)."""
    return f"{node.name}::{word}"


def inner_node(
    node: onnx.NodeProto, word: str, kind: str, *inputs: str, domain: str = "", **attributes: Any
) -> onnx.NodeProto:
    """A node inside of what a node becomes; it and its one output are called alike."""
    name = inner_name(node, word)
    return helper.make_node(kind, inputs, [name], name, domain=domain, **attributes)


def named_node(
    node: onnx.NodeProto,
    output: str,
    kind: str,
    *inputs: str,
    domain: str = "",
    **attributes: Any,
) -> onnx.NodeProto:
    """The node that has the name of the one that it stands for, and makes an output of it."""
    return helper.make_node(kind, inputs, [output], node.name, domain=domain, **attributes)
