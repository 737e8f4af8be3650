# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From an integer node and its folding to a stage: what the operators' ``stage`` methods share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from amaranth.hdl import Shape

from ...hw.numeric import QType, Requantiser, bits_for
from ...hw.timing.components import Edge, Schedule
from ..ir.dataflow import Folding, Port, Stage


def divisors(n: int) -> list[int]:
    """Divisors of a positive integer, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def shape_of(qtype: QType) -> Shape:
    """Amaranth shape of an element."""
    return Shape(qtype.bits, qtype.signed)


def shape_for(lo: int, hi: int) -> Shape:
    """Narrowest Amaranth shape of a range."""
    return Shape(*bits_for(lo, hi))


def port(qtype: QType, lanes: int, elements: int) -> Port:
    """A port that carries ``elements`` of a type."""
    return Port(qtype.bits, qtype.signed, lanes, elements // lanes)


def narrowed(requantiser: Requantiser, lanes: int) -> Requantiser:
    """The same for as many channels as there are lanes, where all channels are alike."""
    each = [requantiser.multiplier, requantiser.offset, requantiser.lo, requantiser.hi]
    if any((array != array[:1]).any() for array in each):
        return requantiser
    multiplier, offset, lo, hi = (np.repeat(array[:1], lanes, axis=0) for array in each)
    return replace(requantiser, multiplier=multiplier, offset=offset, lo=lo, hi=hi)


def is_identity(requantiser: Requantiser) -> bool:
    """Whether a one-term requantiser changes nothing but the clamp, which the type makes too."""
    one = bool((requantiser.multiplier == 1).all() and (requantiser.offset == 0).all())
    return one and requantiser.shift == 0


def make_stage(
    name: str,
    node: str,
    component: Callable[[], Any],
    *,
    inputs: Sequence[Port],
    output: Port,
    folding: Folding,
    cycles: int,
    images: dict[str, str],
    input_names: Sequence[str] = ("i",),
    products: Sequence[tuple[int, int]] = (),
    memories: Sequence[tuple[int, int]] = (),
) -> Stage:
    """A stage around a component of ``hw`` that has a ``timing`` method of its own."""

    def timing(schedule: Schedule, ins: Sequence[Edge], outs: Sequence[Edge]) -> None:
        component().timing(schedule, *ins, *outs)

    return Stage(
        name=name,
        inputs=tuple(inputs),
        outputs=(output,),
        build=component,
        timing=timing,
        input_names=tuple(input_names),
        images=images,
        folding=folding,
        cycles=cycles,
        node=node,
        products=tuple(products),
        memories=tuple(memories),
    )
