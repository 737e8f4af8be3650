# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Guards against what is no number, which hardware cannot have.

PyTorch's scaled dot product attention puts zeros in place of the weights of a query that may not
attend to anything, which are 0 / 0 in float. On a grid everything is a finite number: where a mask
keeps all keys from a query, its weights are those of equal scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ..load.constants import Context
from .match import Match, make_node

_NEVER = frozenset({"IsInf", "IsNaN"})
"""What no element of a tensor on a grid is."""


@dataclass(frozen=True)
class Guard:
    """A :class:`~.match.Pattern`."""

    operator: str = "Identity"
    before: str = "Where(IsNaN(x), a, x), Where(IsInf(x), a, x)"
    after: str = "x"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The choice that a node is."""
        if root.domain or root.op_type != "Where":
            return None
        condition, _, x = root.input
        test = context.source.producers.get(condition)
        if test is None or test.domain or test.op_type not in _NEVER or test.input[0] != x:
            return None
        shapes = [context.source.values[name].shape for name in (x, root.output[0])]
        if shapes[0] != shapes[1]:
            return None
        made = make_node("Identity", [x], root.output[0], {})
        return Match(frozenset({root.name, test.name}), (made,))


GUARD = Guard()
