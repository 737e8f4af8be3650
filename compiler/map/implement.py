# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose an implementation for every node: the cheapest that keeps a target interval.

The interval is the number of cycles between two inferences, so it is the cycles of the slowest
node. Implementations are data: choosing builds no hardware.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from math import gcd

from ...hw.kernels.base import Implementation
from ...hw.timing.cost import Cost
from ..errors import ModelError, OptionError
from ..ir.quant import QGraph, QNode
from .price import price, priced
from .targets import Target

DEFAULT_INTERVAL = 50_000
"""Bottleneck in cycles without ``--rate``, for a network that is neither small nor large."""

LONGEST_INTERVAL = 1e15
"""Cycles beyond which no wish for slowness changes anything."""

FEW_MACS_PER_CYCLE, MANY_MACS_PER_CYCLE = 64, 1024
"""A small network gets the interval that keeps about so many multipliers busy, and a large one that
which keeps no more busy than a card has with room to spare.
"""


def target_interval(graph: QGraph, rate_hz: float | None, clock_mhz: float) -> int:
    """Cycles between inferences that the choice aims at.

    Parameters
    ----------
    rate_hz : wanted inferences per second at the target's clock, or None for the default
    clock_mhz : the target's clock

    Raises
    ------
    ModelError
        If the rate is more than an inference a cycle, which no hardware can keep.
    """
    if rate_hz is not None:
        cycles = clock_mhz * 1e6 / rate_hz
        if cycles < 1:
            raise ModelError(
                "cannot keep the wanted rate",
                where="--rate",
                expected=f"at most {clock_mhz * 1e6:.0f} inferences a second, one a cycle at "
                f"{clock_mhz:g} MHz",
                found=f"{rate_hz:g}",
                remedy="Ask for a lower rate",
            )
        return int(min(cycles, LONGEST_INTERVAL))
    macs = sum(node.kernel.macs for node in graph.nodes)
    least = macs // MANY_MACS_PER_CYCLE
    return max(1, min(DEFAULT_INTERVAL, macs // FEW_MACS_PER_CYCLE), least)


STRATEGIES = ("auto", "folded", "unrolled", "loadable")
"""What a user may ask for; "auto" takes folded or unrolled, whichever is cheaper."""


def check_strategy(strategy: str) -> None:
    """Refuse a name that is none of :data:`STRATEGIES`, with an OptionError."""
    if strategy not in STRATEGIES:
        raise OptionError(
            "unknown strategy",
            where="--strategy",
            expected=f"one of {', '.join(STRATEGIES)}",
            found=repr(strategy),
            remedy="Leave it out, and each layer takes whichever is cheaper",
        )


def implement(
    graph: QGraph, target: Target, interval: int, *, strict: bool, strategy: str = "auto"
) -> Mapping[str, Implementation]:
    """An implementation for every node, by name.

    Parameters
    ----------
    target : prices the implementations
    interval : cycles that no node should exceed
    strict : refuse, rather than keep the interval of the slowest node, where a node cannot keep it
    strategy : one of :data:`STRATEGIES`; a node that has no implementation of that strategy takes
        another

    Raises
    ------
    ModelError
        If ``strict`` and a node is too slow at full parallelism; names the slowest and its cycles.
    """
    offered = {node.name: offers(graph, node, target, interval, strategy) for node in graph.nodes}
    # Whoever is slower than all others makes them wait: they need not be faster than the slowest.
    paces = {name: min(map(pace, each)) for name, each in offered.items()}
    name = max(paces, key=paces.__getitem__)
    least = paces[name]
    if strict:
        check_interval(name, least, interval)
    return {name: cheapest(each, target, max(interval, least)) for name, each in offered.items()}


def check_interval(slowest: str, least: int, interval: int) -> None:
    """Refuse an interval below what the slowest node needs at least, with a ModelError."""
    if least > interval:
        raise ModelError(
            "cannot keep the wanted rate",
            where=f"node {slowest!r}",
            expected=f"at most {interval} cycles an inference",
            found=f"{least} cycles at full parallelism",
            remedy=f"Ask for a rate of at most {_floored(interval / least):.3g} times the wanted "
            "one",
        )


def cheapest(offered: Sequence[Implementation], target: Target, interval: int) -> Implementation:
    """The one of least price, then of least cycles, among those that keep an interval."""
    fitting = [each for each in offered if pace(each) <= interval]
    return min(fitting, key=lambda each: (priced(each, target).scalar, each.cycles))


def pace(built: Implementation) -> int:
    """Cycles of an inference in it and in the lane adapters that its beats may need: those that a
    run does not fill pass through as many lanes as divide both (:mod:`midwire.hw.kernels.adapt`).
    """
    ports = [port for port in (*built.inputs, *built.outputs) if port.padded]
    return max([built.cycles, *(port.elements // gcd(port.lanes, port.run) for port in ports)])


def offers(
    graph: QGraph, node: QNode, target: Target, interval: int, strategy: str = "auto"
) -> list[Implementation]:
    """What a node's kernel offers and can be built, of the strategy asked for if there is any.

    Unrolling takes a while, so with "auto" it is tried only where it may be cheapest: where its
    additions, before any are shared, come to no more than twice the cheapest folded form.
    """
    outs = [graph.tensors[name].qtype.integers for name in node.outputs]
    if strategy == "loadable":
        loadable = _buildable(node.kernel.loadable(node.finishers, outs))
        if loadable:
            return loadable
    folded = _buildable(node.kernel.implementations(node.finishers, outs))
    if strategy in ("folded", "loadable") or not node.kernel.digits:
        return folded
    if strategy == "auto":
        fitting = [each for each in folded if pace(each) <= interval] or folded
        least = min(priced(each, target).scalar for each in fitting)
        width = folded[0].inputs[0].type.bits
        if price(Cost(adders=node.kernel.digits * width), target).scalar > 2 * least:
            return folded
    unrolled = node.kernel.unrolled(node.finishers, outs)
    if unrolled is None or not unrolled.buildable:
        return folded
    return [unrolled] if strategy == "unrolled" else [*folded, unrolled]


def _buildable(offered: Iterable[Implementation]) -> list[Implementation]:
    return [each for each in offered if each.buildable]


def _floored(share: float) -> float:
    """Three digits, rounded down: the user should be able to ask for just that."""
    unit = 10.0 ** (2 - math.floor(math.log10(share)))
    return math.floor(share * unit) / unit
