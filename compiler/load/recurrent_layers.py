# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers whose batch comes first (``layout`` 1, ONNX operator version 14 on), written out
while loading: the same with the sequence first, between Transposes. ONNX Runtime has no other.
"""

from __future__ import annotations

import onnx

from .constants import attributes
from .expansion import Expansion, Pieces, Rule, inner_name, inner_node
from .source import kind_of

_STATES = {"GRU": 1, "LSTM": 2, "RNN": 1}
"""Operators, and how many states they have."""

_X, _FIRST = 0, 5
"""Inputs that have a batch: the sequence, and the states before the first step."""

_SWAPPED = (1, 0, 2)
"""Of the sequence and of single states, both ways."""

_OF_ALL = (2, 0, 1, 3)
"""Of all states: (length, direction, batch, unit) becomes (batch, length, direction, unit)."""


def expand_batch_first(found: Expansion) -> None:
    """Write out every recurrent layer of layout 1."""

    def rule_of(node: onnx.NodeProto) -> Rule | None:
        known = kind_of(node) in _STATES
        return _turned if known and attributes(node).get("layout", 0) == 1 else None

    found.write_out(rule_of)


def _turned(node: onnx.NodeProto) -> Pieces:
    layer = onnx.NodeProto()
    layer.CopyFrom(node)
    kept = [a for a in node.attribute if a.name != "layout"]
    del layer.attribute[:]
    layer.attribute.extend(kept)
    before: list[onnx.NodeProto] = []
    after: list[onnx.NodeProto] = []
    for k, name in enumerate(node.input):
        if name and (k == _X or _FIRST <= k < _FIRST + _STATES[node.op_type]):
            turned = inner_node(node, f"in{k}", "Transpose", name, perm=_SWAPPED)
            before.append(turned)
            layer.input[k] = turned.output[0]
    for k, name in enumerate(node.output):
        if name:
            layer.output[k] = inner_name(node, f"out{k}")
            perm = _SWAPPED if k else _OF_ALL
            turned = inner_node(node, f"turned{k}", "Transpose", layer.output[k], perm=perm)
            turned.output[0] = name
            after.append(turned)
    return Pieces([*before, layer, *after])
