# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices worth a look beside the largest one: less work in the NIC, for fewer bytes to it and back.

N1. A candidate lies between two legal cuts that the units' own order goes through, without
    an unsupported unit between them, and can be built.
N2. For each share of :data:`SHARES`, the candidate with the fewest bytes at its two cuts of those
    with so much of the largest slice's multiply-accumulates; it is none if a candidate with more
    of them has no more bytes.
N3. Where unsupported units part the model, the largest slice of each other part, the
    :data:`OTHERS` with most multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from .cuts import Cut, Cuts

SHARES = (0.9, 0.5, 0.25)
OTHERS = 3


@dataclass(frozen=True, eq=False)
class Candidate:
    """A slice between two cuts, and what it is good for."""

    start: Cut
    end: Cut
    why: str


def candidates(
    cuts: Cuts,
    largest: tuple[Cut, Cut],
    given: tuple[bool, bool],
    size: Callable[[Cut], int],
    buildable: Callable[[Cut, Cut], bool],
) -> tuple[Candidate, ...]:
    """The largest slice, then the others (rules N1 to N3).

    Parameters
    ----------
    given : whether the user chose the first cut, and the second; candidates keep what was chosen
    size : bytes of a cut
    buildable : whether the slice between two cuts can be built
    """
    found = [Candidate(*largest, "between the cuts that were named" if all(given) else "most work")]
    if all(given):
        return tuple(found)
    most = cuts.macs_between(*largest)
    fewest = sum(size(cut) for cut in largest)
    runs = list(_runs(cuts, largest, given))
    for share in SHARES:
        pairs = (_smallest(cuts, run, given, share * most, size) for run in runs)
        pair = min(filter(None, pairs), key=lambda p: size(p[0]) + size(p[1]), default=None)
        if pair and size(pair[0]) + size(pair[1]) < fewest and buildable(*pair):
            fewest = size(pair[0]) + size(pair[1])
            found.append(Candidate(*pair, f"fewest bytes for {share:.0%} of that work"))
    whole = [(run[0], run[-1]) for run in runs if not _overlap(largest, (run[0], run[-1]))]
    whole = [pair for pair in whole if cuts.macs_between(*pair)]
    for pair in sorted(whole, key=lambda pair: -cuts.macs_between(*pair))[:OTHERS]:
        if buildable(*pair):
            found.append(Candidate(*pair, "most work elsewhere"))
    return tuple(found)


def _overlap(one: tuple[Cut, Cut], other: tuple[Cut, Cut]) -> bool:
    """Whether two slices have a unit in common."""
    first, second = (end.before - start.before for start, end in (one, other))
    return not first.isdisjoint(second)


def _runs(cuts: Cuts, largest: tuple[Cut, Cut], given: tuple[bool, bool]) -> Iterator[list[Cut]]:
    """Legal cuts without an unsupported unit between them, in order, from a given one to a given
    one.
    """
    bad = np.cumsum([0, *(not unit.supported for unit in cuts.units)])
    legal = [cut for cut in cuts.in_order if cut.legal]
    for _, run in groupby(legal, key=lambda cut: int(bad[cut.position])):
        found = list(run)
        for is_given, cut, end in zip(given, largest, (0, -1), strict=True):
            places = [k for k, other in enumerate(found) if other.before == cut.before]
            if is_given and not places:
                found = []
            elif is_given:
                found = found[places[0] :] if end == 0 else found[: places[0] + 1]
        if len(found) > 1:
            yield found


def _smallest(
    cuts: Cuts,
    run: list[Cut],
    given: tuple[bool, bool],
    least: float,
    size: Callable[[Cut], int],
) -> tuple[Cut, Cut] | None:
    """The pair of cuts of a run with the fewest bytes, of those with so much work between them.

    What is given is an end of the run, and of the pair.
    """
    done = np.cumsum([0, *(unit.macs for unit in cuts.units)], dtype=np.float64)
    work = done[[cut.position for cut in run]]
    sizes = [size(cut) for cut in run]
    best = len(run) - 1
    ends = [best] * len(run)  # for each cut, the smallest from there on; of equal ones the last
    for k in range(len(run) - 1, -1, -1):
        best = k if sizes[k] < sizes[best] and not given[1] else best
        ends[k] = best
    found: tuple[int, int, int] | None = None
    for k, first in enumerate(np.searchsorted(work, work + max(1.0, least))):
        if first < len(run) and not (given[0] and k):
            end = ends[int(first)]
            pair = (sizes[k] + sizes[end], k, end)
            found = pair if found is None else min(found, pair)
    return None if found is None else (run[found[1]], run[found[2]])
