# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sum (ONNX operator versions 6 to 13), of any number of tensors, written out while loading: one
Add after the other, as ONNX Runtime computes it, so that each partial sum has a grid of its own.
"""

from __future__ import annotations

import onnx

from .expansion import Expansion, Pieces, Rule, inner_node, named_node
from .source import kind_of


def expand_sums(found: Expansion) -> None:
    """Write out every Sum."""

    def rule_of(node: onnx.NodeProto) -> Rule | None:
        return _adds if kind_of(node) == "Sum" and all(node.input) else None

    found.write_out(rule_of)


def _adds(node: onnx.NodeProto) -> Pieces:
    total, *others = node.input
    if not others:
        return Pieces([named_node(node, node.output[0], "Identity", total)])
    nodes = []
    for count, other in enumerate(others[:-1], 2):
        nodes.append(inner_node(node, f"sum_of_{count}", "Add", total, other))
        total = nodes[-1].output[0]
    return Pieces([*nodes, named_node(node, node.output[0], "Add", total, others[-1])])
