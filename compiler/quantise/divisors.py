# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Grids of what is divided by: 0 must be none of it, and the smallest size decides how fine.

An error of a part of a divisor is one of the same part of the quotient. So a grid of divisors has
as many bits for the smallest as other grids have for the largest, up to :data:`~.widths.MOST`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from fractions import Fraction

from ..errors import CalibrationError
from ..ir.graph import Graph, Node
from .grids import Observed
from .widths import MOST, Layer, Widths, gridded


def check_divisors(graph: Graph, observed: Mapping[str, Observed]) -> None:
    """Refuse divisors that were 0, or on both sides of it.

    Raises
    ------
    CalibrationError
        Names the first one.
    """
    for name, node in _divided_by(graph, observed).items():
        seen = observed[name]
        if seen.low <= 0 <= seen.high:
            raise CalibrationError(
                "a divisor may be 0",
                where=f"node {node.sources[0] if node.sources else node.name!r}, tensor {name!r}",
                expected="divisors that are all above 0, or all below",
                found=f"{seen.low:g} to {seen.high:g} in the calibration data",
                remedy="Add a small number to the divisor or put a Max or Clip before the Div, or "
                "end the slice before it with --to",
            )


def widened(
    graph: Graph, observed: Mapping[str, Observed], layers: Collection[Layer], widths: Widths
) -> Widths:
    """Widths with more bits for divisors, by as many as their largest size has more than their
    smallest.
    """
    wider = dict(widths.layers)
    divisors = _divided_by(graph, observed)
    for layer in layers:
        if layer.tensor in divisors:
            least, most = sorted(
                map(abs, (observed[layer.tensor].low, observed[layer.tensor].high))
            )
            # Powers of two that hold the largest: exact, so the same on every machine.
            times = math.ceil(Fraction(most) / Fraction(least)) if least else 1
            more = max(0, (times - 1).bit_length() - 1)
            wider[layer.tensor] = min(MOST, widths.of(layer) + more)
    return Widths(widths.default, wider)


def _divided_by(graph: Graph, observed: Mapping[str, Observed]) -> dict[str, Node]:
    """The tensors with a grid of their own that are divided by, and what divides by each."""
    return {
        name: node
        for node in graph.nodes
        for index in node.op.divisors
        if (name := gridded(graph, node.inputs[index], observed)) in observed
    }
