# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Bits taken off integers on a grid: Trunc of QONNX, as :mod:`~..load.qonnx_nodes` writes it out.

With ``q`` the integers of ``x`` and ``d`` a power of two, ``floor(q / d)`` is ``q / d`` less half
of ``1 - 1 / d``, rounded to nearest: that is never a tie. ``ceil`` is the same with more instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.numeric import IntType
from ..load.constants import Context
from .match import Match, make_node
from .reading import known_number
from .rounding import Nodes

_SIDES = {"Floor": -1.0, "Ceil": 1.0, "Round": 0.0}


@dataclass(frozen=True)
class _Found:
    """``kind(clip(clip(round(x / scale)) / divisor, *ends)) * result``.

    ``integers`` are those of the inner clip; ``bounds`` are the values of ``ends``, if it has them.
    """

    x: str
    scale: str
    result: str
    integers: IntType
    divisor: float
    kind: str
    ends: tuple[str, ...]
    bounds: tuple[int, ...]
    nodes: frozenset[str]


@dataclass(frozen=True)
class Truncation:
    """A :class:`~.match.Pattern`."""

    operator: str = "Trunc"
    before: str = "floor([clip](clip(round(x / scale)) / 2**n)) * out_scale, or ceil or round"
    after: str = (
        "DequantizeLinear(QuantizeLinear([Clip](q / 2**n - (1 - 2**-n) / 2)), out_scale) of "
        "q = QuantizeLinear(x, scale)"
    )

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The truncation that ends at a node."""
        found = _find(context, root)
        if found is None:
            return None
        x, y = (context.source.values.get(name) for name in (found.x, root.output[0]))
        if x is None or y is None or x.shape != y.shape or x.dtype != "float32":
            return None
        made = Nodes(root, x.shape, last=found.x)
        made.constants = {
            f"{root.name}::one": np.ones((), np.float32),
            f"{root.name}::none": np.zeros((), np.int64),
            f"{root.name}::part": np.array(1 / found.divisor, np.float32),
            f"{root.name}::aside": np.array(
                _SIDES[found.kind] * (1 - 1 / found.divisor) / 2, np.float32
            ),
        }
        one, none, part, aside = made.constants
        made.add(
            "QuantizeLinear", "integers", found.x, found.scale, none, dtype=_name(found.integers)
        )
        made.add("DequantizeLinear", "counts", made.last, one, none)
        made.add("Mul", "parts", made.last, part)
        made.add("Add", "nearest", made.last, aside)
        bounds = found.bounds
        if bounds:
            made.add("Clip", "between", made.last, *found.ends)
        else:
            ends = (found.integers.lo, found.integers.hi)
            bounds = (math.floor(ends[0] / found.divisor), math.ceil(ends[1] / found.divisor))
        kind = IntType.holding(*bounds)
        made.add("QuantizeLinear", "kept", made.last, one, none, dtype=_name(kind))
        made.nodes.append(
            make_node("DequantizeLinear", [made.last, found.result, none], root.output[0], {})
        )
        return Match(found.nodes, tuple(made.nodes), made.constants, tuple(made.values))


def _name(kind: IntType) -> str:
    return f"{'' if kind.signed else 'u'}int{kind.bits}"


def _find(context: Context, root: onnx.NodeProto) -> _Found | None:
    """Mul, Floor (or Ceil, Round), Clip perhaps, Div, Clip, Round, Div."""
    if root.domain or root.op_type != "Mul":
        return None
    nodes = [root]
    while len(nodes) < _LONGEST and not nodes[-1].domain:
        node = context.source.producers.get(nodes[-1].input[0])
        if node is None:
            break
        nodes.append(node)
    bounded = [node.op_type for node in nodes[2:3]] == ["Clip"]
    nodes = nodes[: _LONGEST - (not bounded)]
    kinds = [node.op_type for node in nodes]
    wanted = [*(["Clip"] if bounded else []), "Div", "Clip", "Round", "Div"]
    if kinds[1:2] == [] or kinds[1] not in _SIDES or kinds[2:] != wanted:
        return None
    divided, clip, _, steps = nodes[-4:]
    ends = [*clip.input[1:], *(nodes[2].input[1:] if bounded else [])]
    found = [known_number(context, name) for name in (divided.input[1], *ends)]
    numbers = [number for number in found if number is not None and number.is_integer()]
    if len(ends) != (4 if bounded else 2) or len(numbers) != len(found):
        return None
    divisor, low, high = numbers[:3]
    kind = IntType.holding(int(low), int(high))
    # What does not fill a type would not be bounded by it.
    if math.frexp(divisor)[0] != 0.5 or (kind.lo, kind.hi) != (low, high):
        return None
    return _Found(
        x=steps.input[0],
        scale=steps.input[1],
        result=root.input[1],
        integers=kind,
        divisor=divisor,
        kind=kinds[1],
        ends=tuple(ends[2:]),
        bounds=tuple(map(int, numbers[3:])),
        nodes=frozenset(node.name for node in nodes),
    )


_LONGEST = 7
"""Nodes of a truncation with a clip."""

TRUNCATION = Truncation()
