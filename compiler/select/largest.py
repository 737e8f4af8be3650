# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The largest slice: a pair of cuts, chosen by a minimum cut of a graph of wishes.

L1. Of all slices of supported units between two legal cuts, it has the most multiply-accumulates;
    of those, the fewest tensors at its two cuts, those without a known grid counting first; of
    those, the most nodes; of those, the earliest. In a model without
    multiply-accumulates, nodes come before tensors. This is the optimum, not an approximation.
L2. Where the optimum has more than :data:`~.cuts.MOST_TENSORS` tensors at a cut, a tensor is given
    a price in multiply-accumulates, the lowest power of two that leads to fewer. The result is the
    optimum at that price, or the best pair of cuts that an order of the units goes through, if that
    has more multiply-accumulates: their own, and one that puts off what is not supported.

Every unit gets two yes-or-no questions: is it behind the first cut, and is it behind the second? An
answer that contradicts a neighbour's cannot be cut, every wish that is not granted costs its worth
(a unit outside the slice, a tensor at a cut), and the cheapest set of answers is a minimum cut.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .cuts import MOST_TENSORS, Cut, Cuts
from .flow import MinimumCut


@dataclass(frozen=True)
class _Prices:
    """What a multiply-accumulate, a node, a tensor, and a tensor without a grid are worth."""

    macs: int
    node: int
    tensor: int
    ungridded: int


def largest_slice(
    cuts: Cuts, start: Cut | None = None, end: Cut | None = None, *, calibrated: bool = False
) -> tuple[Cut, Cut] | None:
    """The two cuts of the largest slice (rules L1 and L2), one end of which may be given.

    None if no two cuts have a supported unit between them. ``calibrated`` as in
    :meth:`~.cuts.Cuts.is_legal`.
    """

    def at(price: int) -> tuple[Cut, Cut] | None:
        return _solve(cuts, start, end, _ranked(cuts, price), calibrated)

    def is_narrow(found: tuple[Cut, Cut]) -> bool:
        free = [cut for cut, given in zip(found, (start, end), strict=True) if given is None]
        return all(len(cut.tensors) <= MOST_TENSORS for cut in free)

    found = at(0)
    if found is not None and not is_narrow(found):
        found = None
        low, high = 0, cuts.macs.bit_length() + 1
        while low < high:  # by bisection: a higher price leads to fewer tensors
            middle = (low + high) // 2
            cheaper = at(1 << middle)
            if cheaper is not None and is_narrow(cheaper):
                found, high = cheaper, middle
            else:
                low = middle + 1
        if start is None and end is None:
            orders = (range(len(cuts.units)), _supported_first(cuts))
            pairs = [found, *(_along(cuts, order, calibrated) for order in orders)]
            found = _most(cuts, pairs)
    return found if found and found[0].before < found[1].before else None


def _along(cuts: Cuts, order: Sequence[int], calibrated: bool) -> tuple[Cut, Cut] | None:
    """The best pair of cuts that an order goes through (rule L2)."""
    legal = [
        cut
        for cut in cuts.along(order)
        if all(cuts.is_legal(name, calibrated=calibrated) for name in cut.tensors)
    ]
    bad = [place for place, index in enumerate(order) if not cuts.units[index].supported]
    pairs: list[tuple[Cut, Cut]] = []
    for first in legal:
        stop = next((place for place in bad if place >= first.position), len(order))
        ends = [cut for cut in legal if first.position < cut.position <= stop]
        pairs.extend((first, last) for last in ends[-1:])
    return _most(cuts, pairs)


def _most(cuts: Cuts, pairs: Iterable[tuple[Cut, Cut] | None]) -> tuple[Cut, Cut] | None:
    """The pair with the most multiply-accumulates between."""
    return max(filter(None, pairs), key=lambda pair: cuts.macs_between(*pair), default=None)


def _supported_first(cuts: Cuts) -> list[int]:
    """A topological order that puts off what is not supported until nothing else is left."""
    makers = [{cuts.makers[n] for n in unit.inputs if n in cuts.makers} for unit in cuts.units]
    readers: list[list[int]] = [[] for _ in cuts.units]
    for index, before in enumerate(makers):
        for maker in before:
            readers[maker].append(index)
    ready = [(not cuts.units[i].supported, i) for i, before in enumerate(makers) if not before]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)[1]
        order.append(index)
        for reader in readers[index]:
            makers[reader].discard(index)
            if not makers[reader]:
                heapq.heappush(ready, (not cuts.units[reader].supported, reader))
    return order


def _ranked(cuts: Cuts, price: int) -> _Prices:
    """Each wish is worth more than all lesser ones together (rule L1); ``price`` as in L2."""
    nodes = sum(len(unit.sources) for unit in cuts.units) + 1
    tensors = 2 * len(cuts.tensors) + 1
    ungridded = tensors * nodes
    if not cuts.macs:
        above = ungridded * tensors
        return _Prices(0, above, 1, tensors)
    macs = ungridded * tensors
    return _Prices(macs, 1, nodes + price * macs, ungridded + price * macs)


def _solve(
    cuts: Cuts, start: Cut | None, end: Cut | None, prices: _Prices, calibrated: bool
) -> tuple[Cut, Cut] | None:
    worth = [prices.macs * unit.macs + prices.node * len(unit.sources) for unit in cuts.units]
    most = sum(worth) + (prices.tensor + prices.ungridded) * len(cuts.tensors)
    network = MinimumCut(2 * most + 1)
    sides: list[list[int]] = []
    for given in (start, end):
        behind = [network.node() for _ in cuts.units]
        sides.append(behind)
        _keep_order(cuts, network, behind)
        if given is None:
            _add_tensors(cuts, network, behind, prices, calibrated)
        else:
            _fix(network, behind, given)
    for unit, value, first, second in zip(cuts.units, worth, *sides, strict=True):
        network.edge(second, first)
        if unit.supported:
            network.edge(network.SOURCE, first, value)
            network.edge(second, network.SINK, value)
        else:
            network.edge(first, second)
    answers = network.solve()
    if answers is None:
        return None
    first, second = (
        cuts.cut(i for i, node in enumerate(side) if node not in answers) for side in sides
    )
    return first, second


def _keep_order(cuts: Cuts, network: MinimumCut, behind: list[int]) -> None:
    """What reads a tensor from behind a cut is behind it too."""
    for name, maker in cuts.makers.items():
        for reader in cuts.readers.get(name, ()):
            network.edge(behind[maker], behind[reader])


def _fix(network: MinimumCut, behind: list[int], given: Cut) -> None:
    """A cut that the user gave."""
    for index, node in enumerate(behind):
        if index in given.before:
            network.edge(node, network.SINK)
        else:
            network.edge(network.SOURCE, node)


def _add_tensors(
    cuts: Cuts, network: MinimumCut, behind: list[int], prices: _Prices, calibrated: bool
) -> None:
    """A tensor costs its price if it is made before a cut and read behind it."""
    for name in cuts.tensors:
        price = prices.tensor if name in cuts.grids else prices.ungridded
        allowed = cuts.is_legal(name, calibrated=calibrated)
        readers = [behind[index] for index in cuts.readers.get(name, ())]
        if name in cuts.source.outputs:
            readers = [network.SOURCE]  # the user is behind every cut
        tail = readers[0]
        if len(readers) > 1:
            tail = network.node()
            for reader in readers:
                network.edge(reader, tail)
        head = behind[cuts.makers[name]] if name in cuts.makers else network.SINK
        network.edge(tail, head, price if allowed else None)
