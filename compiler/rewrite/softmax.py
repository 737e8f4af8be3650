# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softmax written with exponentials, with the largest element taken off or without: both mean the
same.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ..load.constants import Context, attributes
from .match import Match, make_node
from .reading import known_array


@dataclass(frozen=True)
class SpelledSoftmax:
    """A :class:`~.match.Pattern`."""

    operator: str = "Softmax"
    before: str = "e / ReduceSum(e, axis) with e = Exp(x - ReduceMax(x, axis)) or Exp(x)"
    after: str = "Softmax<axis>(x)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The quotient of exponentials and their sum."""
        if root.domain or root.op_type != "Div":
            return None
        power = _maker(context, root.input[0], "Exp")
        total = _maker(context, root.input[1], "ReduceSum")
        if power is None or total is None or total.input[0] != root.input[0]:
            return None
        axis = _axis(context, total)
        if axis is None or not _alone(context, axis, root.output[0]):
            return None
        x = power.input[0]
        nodes = {root.name, power.name, total.name}
        less = _maker(context, x, "Sub")
        largest = None if less is None else _maker(context, less.input[1], "ReduceMax")
        if less is not None and largest is not None and largest.input[0] == less.input[0]:
            if _axis(context, largest) != axis:
                return None
            nodes |= {less.name, largest.name}
            x = less.input[0]
        becomes = make_node("Softmax", [x], root.output[0], {"axis": axis})
        return Match(frozenset(nodes), (becomes,))


def _maker(context: Context, name: str, kind: str) -> onnx.NodeProto | None:
    node = context.source.producers.get(name)
    return node if node is not None and not node.domain and node.op_type == kind else None


def _axis(context: Context, node: onnx.NodeProto) -> int | None:
    """The one axis that a reduction keeps as 1; None if there are more, or it does not."""
    options = attributes(node)
    axes = options.get("axes")
    if len(node.input) > 1:
        held = known_array(context, node.input[1])
        axes = None if held is None else held.ravel().tolist()
    if axes is None or len(axes) != 1 or not options.get("keepdims", 1):
        return None
    return int(axes[0]) % len(context.source.values[node.output[0]].shape)


def _alone(context: Context, axis: int, name: str) -> bool:
    """Whether Softmax is over that axis only: before opset 13, it was over all behind it too."""
    value = context.source.values.get(name)
    return value is not None and (context.opset >= 13 or axis == len(value.shape) - 1)


SOFTMAX = SpelledSoftmax()
