# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Gemm whose constants are other ones than a layer's, written out while loading.

A layer is ``x @ weights + bias`` with constant weights and a constant bias, and stays a Gemm. What
scikit-learn writes for distances (``-2 * x @ centres.T`` plus a computed column), a transposed
operand and a product of two computed ones are Transpose, MatMul, Mul and Add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .expansion import Expansion, Pieces, inner_name, inner_node, named_node
from .source import kind_of, reads


def expand_gemms(found: Expansion, stored: Mapping[str, AnyArray]) -> None:
    """Write out every Gemm of a sorted model with unique names that is no layer."""
    graph = found.model.graph
    if all(kind_of(node) != "Gemm" for node in graph.node):
        return
    known = set(stored)
    for node in graph.node:
        if known.issuperset(reads(node)):
            known.update(node.output)

    def written(node: onnx.NodeProto) -> Pieces:
        return _written(node, stored)

    found.write_out(
        lambda node: written if kind_of(node) == "Gemm" and not _is_layer(node, known) else None
    )


def _is_layer(node: onnx.NodeProto, known: set[str]) -> bool:
    """Whether a product has one computed operand, its first, whose rows it takes."""
    a, b, *bias = node.input
    fixed = known.issuperset([b, *(name for name in bias if name)])
    return fixed and a not in known and not attributes(node).get("transA", 0)


@dataclass
class _Nodes:
    """What a Gemm becomes, so far."""

    node: onnx.NodeProto
    dtype: np.dtype[np.generic]
    made: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)

    def add(self, word: str, kind: str, *inputs: str) -> str:
        self.made.append(inner_node(self.node, word, kind, *inputs))
        return self.made[-1].output[0]

    def times(self, name: str, option: str) -> str:
        """A tensor times the attribute of a name, which is 1 by default."""
        factor = float(attributes(self.node).get(option, 1.0))
        if factor == 1:
            return name
        self.constants[inner_name(self.node, f"{option}_factor")] = np.array(factor, self.dtype)
        return self.add(option, "Mul", name, inner_name(self.node, f"{option}_factor"))


def _written(node: onnx.NodeProto, stored: Mapping[str, AnyArray]) -> Pieces:
    """``alpha * a @ b + beta * c``."""
    options = attributes(node)
    types = [stored[name].dtype for name in node.input if name in stored]
    nodes = _Nodes(node, types[0] if types else np.dtype(np.float32))
    operands = [
        nodes.add(option, "Transpose", name) if options.get(option, 0) else name
        for name, option in zip(node.input[:2], ("transA", "transB"), strict=True)
    ]
    total = nodes.times(nodes.add("product", "MatMul", *operands), "alpha")
    if len(node.input) > 2 and node.input[2]:
        nodes.add("sum", "Add", total, nodes.times(node.input[2], "beta"))
    last = nodes.made.pop()
    nodes.made.append(named_node(node, node.output[0], last.op_type, *last.input))
    return Pieces(nodes.made, nodes.constants)
