# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softplus as PyTorch defines and exports it: above a threshold (20) it is its operand.

``log(1 + exp(x)) - x`` is below ``exp(-x)``, which from 14 on is less than half a step of float32
there: both branches are one number, so it is a Softplus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx

from ..load.constants import Context
from .match import Match, make_node
from .reading import known_number

_EQUAL_FROM = 14.0


@dataclass(frozen=True)
class ThresholdedSoftplus:
    """A :class:`~.match.Pattern`."""

    operator = "Softplus"
    before = "Where(Greater(x, threshold), x, Softplus(x)), for a threshold from 14 on"
    after = "Softplus(x)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The choice between the two."""
        if root.domain or root.op_type != "Where":
            return None
        chosen, x, curve = root.input
        producers = context.source.producers
        above, softplus = producers.get(chosen), producers.get(curve)
        if above is None or softplus is None:
            return None
        if (above.op_type, softplus.op_type) != ("Greater", "Softplus"):
            return None
        threshold = known_number(context, above.input[1])
        if threshold is None or threshold < _EQUAL_FROM:
            return None
        if not x == above.input[0] == softplus.input[0]:
            return None
        values = context.source.values
        if x not in values or values[x] != replace(values[root.output[0]], name=x):
            return None  # a threshold of more axes than its operand
        node = make_node(self.operator, [x], root.output[0], {})
        return Match(frozenset({root.name, above.name, softplus.name}), (node,))


THRESHOLDED_SOFTPLUS = ThresholdedSoftplus()
