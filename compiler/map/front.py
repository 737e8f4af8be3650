# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of a slice: what each interval costs at least.

Rules, cited by tests as F1 to F3:

F1. A layer's *staircase* has its implementations that are cheaper than all that are as fast: the
    cheapest for an interval is the last one whose pace does not exceed it. So at every interval the
    slice is as cheap as its layers can be, and between two paces of any layer nothing changes.
F2. No point of the front is both slower and dearer than another, or equal to one. Of many points
    that hardly differ, only some are kept: each is cheaper than the one before by a fixed ratio,
    and the fastest and the cheapest are always there.
F3. Unrolled forms are searched for where the search is short: in the order of their additions, up
    to :data:`MOST_DIGITS` in all, and where it may pay (:func:`~.implement.offers`).

Costs are those of layers; lane adapters and FIFOs come on top, for they depend on neighbours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...hw.kernels.base import Implementation
from ..ir.quant import QGraph
from .implement import check_interval, offers, pace
from .price import Price, priced, together
from .targets import Target

MOST_POINTS = 24
"""Steps from the dearest point to the cheapest, at most."""

MOST_DIGITS = 1_000
"""Additions before sharing, of all layers whose unrolled forms are searched for together; the
search takes about a second for so many.
"""


@dataclass(frozen=True)
class _Step:
    pace: int
    built: Implementation
    price: Price


@dataclass(frozen=True)
class Point:
    """The cheapest layers that keep an interval.

    Attributes
    ----------
    interval : cycles between two inferences
    built : an implementation of every node, by name
    resources : ``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` of them all
    scalar : what those come to, in LUTs (:class:`~.price.Price`)
    """

    interval: int
    built: Mapping[str, Implementation]
    resources: Mapping[str, int]
    scalar: float

    def as_json(self) -> dict[str, Any]:
        """As a manifest has it."""
        return {"interval": self.interval, "cost": round(self.scalar), **self.resources}


class Front:
    """The staircases of a slice's layers, and the points that they come to.

    Attributes
    ----------
    least : the shortest interval that all layers keep
    """

    def __init__(self, graph: QGraph, target: Target, strategy: str = "auto") -> None:
        allowed = _searched(graph) if strategy == "auto" else set()
        self._stairs: dict[str, list[_Step]] = {}
        for node in graph.nodes:
            chosen = "folded" if strategy == "auto" else strategy
            offered = offers(graph, node, target, 1, chosen)
            if node.name in allowed:
                offered = offers(graph, node, target, min(map(pace, offered)))
            self._stairs[node.name] = _staircase(offered, target)
        self._slowest = max(self._stairs, key=lambda name: self._stairs[name][0].pace)
        self.least = self._stairs[self._slowest][0].pace

    def check(self, interval: int) -> None:
        """Refuse an interval that a layer cannot keep, with a ModelError."""
        check_interval(self._slowest, self.least, interval)

    def at(self, interval: int) -> Point:
        """The cheapest layers for an interval of at least :attr:`least` cycles."""
        steps = {name: _at(stairs, interval) for name, stairs in self._stairs.items()}
        return Point(
            interval,
            {name: step.built for name, step in steps.items()},
            together([step.price for step in steps.values()]),
            sum(step.price.scalar for step in steps.values()),
        )

    @cached_property
    def intervals(self) -> tuple[int, ...]:
        """Those of the front's points (rule F2), the shortest first."""
        paces = {step.pace for stairs in self._stairs.values() for step in stairs}
        every = [(n, self._cost(n)) for n in sorted({self.least, *paces}) if n >= self.least]
        dearest, cheapest = every[0][1], every[-1][1]
        ratio = (cheapest / dearest) ** (1 / MOST_POINTS) if dearest > 0 else 1.0
        kept = [every[0]]
        for interval, cost in every[1:]:
            if cost <= kept[-1][1] * ratio and cost < kept[-1][1]:
                kept.append((interval, cost))
        last = next(interval for interval, cost in every if cost <= cheapest)
        return tuple(dict.fromkeys([*(interval for interval, _ in kept), last]))

    def points(self) -> Iterator[Point]:
        """The front, fastest first."""
        return (self.at(interval) for interval in self.intervals)

    def _cost(self, interval: int) -> float:
        return sum(_at(stairs, interval).price.scalar for stairs in self._stairs.values())


def _searched(graph: QGraph) -> set[str]:
    """Nodes whose unrolled forms are searched for (rule F3)."""
    found: set[str] = set()
    left = MOST_DIGITS
    for node in sorted(graph.nodes, key=lambda node: node.kernel.digits):
        left -= node.kernel.digits
        if node.kernel.digits and left >= 0:
            found.add(node.name)
    return found


def _staircase(offered: list[Implementation], target: Target) -> list[_Step]:
    """Fastest first, each cheaper than all before it (rule F1)."""
    steps = [_Step(pace(built), built, priced(built, target)) for built in offered]
    stairs: list[_Step] = []
    for step in sorted(steps, key=lambda step: (step.pace, step.price.scalar, step.built.cycles)):
        if not stairs or step.price.scalar < stairs[-1].price.scalar:
            stairs.append(step)
    return stairs


def _at(stairs: list[_Step], interval: int) -> _Step:
    return stairs[bisect_right(stairs, interval, key=lambda step: step.pace) - 1]
