# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
import random

from midwire.compiler.select.flow import MinimumCut

Edge = tuple[int, int, int | None]


def cheapest(edges: list[Edge], count: int, unbounded: int) -> tuple[int, set[frozenset[int]]]:
    """The cost of the cheapest cut, and every source's side that costs it, by trying all."""
    costs: dict[frozenset[int], int] = {}
    for size in range(count + 1):
        for chosen in itertools.combinations(range(2, count + 2), size):
            side = frozenset({MinimumCut.SOURCE, *chosen})
            cut = [room for tail, head, room in edges if tail in side and head not in side]
            costs[side] = sum(unbounded if room is None else room for room in cut)
    least = min(costs.values())
    return least, {side for side, cost in costs.items() if cost == least}


def test_against_all_cuts() -> None:
    """The largest of the cheapest source's sides; None where every cut is unbounded."""
    seed = 20263
    print("seed", seed)
    rng = random.Random(seed)
    outcomes = {True: 0, False: 0}
    for _ in range(300):
        count = rng.randint(1, 6)
        nodes = range(count + 2)
        edges: list[Edge] = []
        for _ in range(rng.randint(1, 14)):
            tail, head = rng.sample(nodes, 2)
            edges.append((tail, head, rng.choice([None, 0, 1, 1, 2, 3, 5])))
        unbounded = 1 + sum(room or 0 for _, _, room in edges)
        network = MinimumCut(unbounded)
        assert [network.node() for _ in range(count)] == list(nodes)[2:]
        for edge in edges:
            network.edge(*edge)
        least, sides = cheapest(edges, count, unbounded)
        found = network.solve()
        outcomes[found is None] += 1
        assert found == (None if least >= unbounded else frozenset().union(*sides))
    assert min(outcomes.values()) > 20
