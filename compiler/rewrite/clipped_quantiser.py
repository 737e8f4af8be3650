# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Fewer bits than a type has, as Brevitas (its QCDQ form) and torch's fake quantisers write them: a
Clip of the integers between QuantizeLinear and DequantizeLinear. Bounds that do not fill a narrower
type are a Clip of the reals.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ...hw.numeric import IntType
from ..load.constants import Context
from ..load.source import standard
from .match import Match
from .reading import known_array, known_number
from .rounding import Nodes


@dataclass(frozen=True)
class ClippedQuantiser:
    """A :class:`~.match.Pattern`."""

    operator: str = "QuantizeLinear"
    before: str = "DequantizeLinear(Clip(QuantizeLinear(x, scale, zero), low, high), scale, zero)"
    after: str = "DequantizeLinear(QuantizeLinear([Clip](x), scale, zero), scale, zero), narrower"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The three nodes, on one grid of one scale."""
        if standard(root).domain or root.op_type != "DequantizeLinear":
            return None
        clip = _behind(context, root, "Clip")
        quantise = None if clip is None else _behind(context, clip, "QuantizeLinear")
        if clip is None or quantise is None or len(clip.input) != 3:
            return None
        grid = [known_number(context, name) for name in quantise.input[1:3]]
        if grid != [known_number(context, name) for name in root.input[1:3]] or None in grid:
            return None
        low, high = (known_number(context, name) for name in clip.input[1:3])
        x = context.source.values.get(quantise.input[0])
        scale = known_array(context, root.input[1])
        if low is None or high is None or x is None or scale is None or low >= high:
            return None
        if x.dtype != "float32":
            return None
        zero = int(grid[1] or 0) if len(grid) > 1 else 0
        kind = IntType.holding(int(low), int(high))
        made = Nodes(root, x.shape, last=x.name)
        if (kind.lo, kind.hi) != (low, high):
            made.clamp(scale, int(low) - zero, int(high) - zero)
        made.round(root.input[1], zero, zero, kind)
        nodes = frozenset((root.name, clip.name, quantise.name))
        return Match(nodes, tuple(made.nodes), made.constants, tuple(made.values))


def _behind(context: Context, node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
    """The node behind the first input, if it is of a kind."""
    maker = context.source.producers.get(node.input[0])
    fits = maker is not None and maker.op_type == kind and not standard(maker).domain
    return maker if fits else None


CLIPPED_QUANTISER = ClippedQuantiser()
