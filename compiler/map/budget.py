# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Hardware within limits: ``--budget`` and ``--part``.

A budget is a device: what it has of each resource is the most that the slice may take by the
estimate, lane adapters and FIFOs included. Scarce resources are dear (:mod:`.price`), so layers
turn to others by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..errors import FitError, OptionError
from ..ir.dataflow import Dataflow
from ..ir.graph import Graph
from ..ir.quant import QGraph
from .assemble import assemble
from .balance import Balanced, balance
from .front import Front
from .implement import target_interval
from .price import estimate, priced
from .targets import RESOURCES, Device, Target, occupied


def parse_budget(text: str) -> dict[str, int]:
    """Limits out of ``lut=20000,dsp=90``.

    Raises
    ------
    OptionError
        If it is something else.
    """
    found: dict[str, int] = {}
    for word in text.split(","):
        name, _, number = (piece.strip() for piece in word.partition("="))
        digits = number.replace("_", "")
        known = name.lower() in RESOURCES and name.lower() not in found
        if not (known and digits.isascii() and digits.isdigit() and len(digits) <= 12):
            raise OptionError(
                "unusable budget",
                where="--budget",
                expected=f"{', '.join(RESOURCES)}, each once, with a count, as in lut=20000,dsp=90",
                found=repr(word),
                remedy="Leave out what is not limited",
            )
        found[name.lower()] = int(digits)
    return found


def limited(target: Target, budget: Mapping[str, int]) -> Target:
    """The target with no more of each resource than the budget and its device allow."""
    if not budget:
        return target
    device = target.device
    least = {name: min(count, getattr(device, name)) for name, count in budget.items()}
    text = ",".join(f"{name}={count}" for name, count in least.items())
    return replace(target, device=replace(device, name=f"{device.name}, {text}", **least))


def excess(resources: Mapping[str, int], device: Device) -> dict[str, tuple[int, int]]:
    """What is needed and what there is, of every resource that does not suffice."""
    pairs = {name: (need, getattr(device, name)) for name, need in occupied(resources).items()}
    return {name: (need, have) for name, (need, have) in pairs.items() if need > have}


def fit(
    graph: QGraph,
    rounded: Graph,
    target: Target,
    rate_hz: float | None,
    front: Front,
    *,
    fastest: bool = False,
) -> Balanced:
    """The fastest dataflow that fits the target's device, but no faster than is wanted.

    Parameters
    ----------
    front : that of the graph on this target, of the strategy that is wanted
    rate_hz : as in :func:`~.implement.target_interval`; nothing slower will do then
    fastest : whether as fast as fits is wanted, where there is no rate

    Raises
    ------
    FitError
        If nothing fits: names each resource with what is needed and what there is, and the layer
        that takes most of the scarcest.
    ModelError
        If no hardware keeps the rate.
    """
    wanted = target_interval(graph, rate_hz, target.clock_mhz)
    if rate_hz is not None:
        front.check(wanted)
        intervals = [wanted]
    else:
        first = front.least if fastest else max(front.least, wanted)
        intervals = [first, *(n for n in front.intervals if n > first)]
    last = intervals[-1]
    for interval in intervals:
        point = front.at(interval)
        if interval != last and excess(point.resources, target.device):
            continue  # the layers alone are too much
        balanced = balance(assemble(graph, rounded, point.built), interval)
        over = excess(estimate(balanced.flow, target), target.device)
        if not over:
            return balanced
    raise _refusal(balanced.flow, target, over, fixed=rate_hz is not None)


def _refusal(
    flow: Dataflow, target: Target, over: Mapping[str, tuple[int, int]], *, fixed: bool
) -> FitError:
    """Why the slice does not fit."""
    scarcest = max(over, key=lambda name: over[name][0] / max(1, over[name][1]))
    name, share = _largest(flow, target, scarcest)
    slower = "Leave --rate out for the fastest that fits, or choose" if fixed else "Choose"
    return FitError(
        "the slice does not fit",
        where=target.device.name,
        expected=", ".join(f"at most {over[n][1]:,} {RESOURCES[n]}" for n in over),
        found="; ".join(_amounts(over))
        + f", by the estimate{'' if fixed else ' of the cheapest hardware'}; layer {name!r} takes "
        f"most of the {RESOURCES[scarcest]}, {share:,}",
        remedy=f"{slower} a larger part, or a smaller slice (midwire inspect lists some)",
    )


def _amounts(over: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    for name, (need, have) in over.items():
        share = f" ({100 * (need - have) / have:.0f} %)" if have else ""
        yield f"{need:,} {RESOURCES[name]}, {need - have:,} too many{share}"


def _largest(flow: Dataflow, target: Target, resource: str) -> tuple[str, int]:
    """The layer that takes most of a resource, and how much."""
    taken: dict[str, int] = {}
    for stage in flow.stages:
        if stage.node is not None:
            cost = priced(stage.built, target)
            more = cost.lutram if resource == "lut" else 0
            taken[stage.node] = getattr(cost, resource) + more
    name = max(taken, key=taken.__getitem__)
    return name, taken[name]
