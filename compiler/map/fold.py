# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose the parallelism of every node: the least hardware that keeps a target interval.

The interval is the number of cycles between two inferences, so it is the cycles of the slowest
node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..errors import ModelError
from ..ir.dataflow import Folding
from ..ir.quant import QGraph, QNode

DEFAULT_INTERVAL = 50_000
"""Bottleneck in cycles for a large network, without ``--rate``."""

LONGEST_INTERVAL = 1e15
"""Cycles beyond which no wish for slowness changes anything."""

DEFAULT_MACS_PER_CYCLE = 64
"""A small network gets the interval that keeps about so many multipliers busy."""


def target_interval(graph: QGraph, rate_hz: float | None, clock_mhz: float) -> int:
    """Cycles between inferences that the folding aims at.

    Parameters
    ----------
    rate_hz : wanted inferences per second at the target's clock, or None for the default
    clock_mhz : the target's clock
    """
    if rate_hz is not None:
        return int(max(1.0, min(clock_mhz * 1e6 / rate_hz, LONGEST_INTERVAL)))
    macs = sum(node.core.macs for node in graph.nodes)
    return max(1, min(DEFAULT_INTERVAL, macs // DEFAULT_MACS_PER_CYCLE))


def fold(graph: QGraph, interval: int, *, strict: bool) -> Mapping[str, Folding]:
    """A folding for every node, by name.

    Parameters
    ----------
    interval : cycles that no node should exceed
    strict : refuse, rather than do the best that there is, where a node cannot keep it

    Raises
    ------
    ModelError
        If ``strict`` and a node is too slow at full parallelism; names the slowest and its cycles.
    """
    chosen: dict[str, Folding] = {}
    slow: list[tuple[int, str]] = []
    for node in graph.nodes:
        fitting = [f for f in node.core.foldings() if node.core.cycles(f) <= interval]
        if fitting:
            chosen[node.name] = min(fitting, key=lambda f: _preference(node, f))
            continue
        fastest = min(node.core.foldings(), key=lambda f: (node.core.cycles(f), _area(f)))
        chosen[node.name] = fastest
        slow.append((node.core.cycles(fastest), node.name))
    if strict and slow:
        least, name = max(slow, key=lambda pair: pair[0])
        raise ModelError(
            "cannot keep the wanted rate",
            where=f"node {name!r}",
            expected=f"at most {interval} cycles an inference",
            found=f"{least} cycles at full parallelism",
            remedy=f"Ask for a rate of at most {_floored(interval / least):.3g} times the wanted "
            "one",
        )
    return chosen


def _floored(share: float) -> float:
    """Three digits, rounded down: the user should be able to ask for just that."""
    unit = 10.0 ** (2 - math.floor(math.log10(share)))
    return math.floor(share * unit) / unit


def _area(folding: Folding) -> int:
    """Multipliers, the first-order cost."""
    return folding.pe * folding.simd


def _preference(node: QNode, folding: Folding) -> tuple[int, int, int]:
    """Fewest multipliers; then fewest requantisers (lanes out); then fewest cycles.

    A requantiser costs a wide multiplier for each lane out, so it is dearer than a lane in.
    """
    if node.core.macs == 0:
        return (folding.pe, 0, node.core.cycles(folding))
    return (
        _area(folding) + 2 * folding.pe,
        folding.pe,
        node.core.cycles(folding),
    )
