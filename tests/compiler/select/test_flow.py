# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
import random

import pytest

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


def largest_side(edges: list[Edge], count: int, unbounded: int) -> frozenset[int] | None:
    """The same for networks that are too large to try all cuts: fill any path while there is one,
    then take all that the sink cannot be reached from.
    """
    room = [[0] * (count + 2) for _ in range(count + 2)]
    for tail, head, amount in edges:
        room[tail][head] += unbounded if amount is None else amount

    def reaching() -> dict[int, int]:
        """The nodes that reach the sink, each with the next one on the way."""
        after = {MinimumCut.SINK: -1}
        for node in (queue := [MinimumCut.SINK]):
            for tail in range(count + 2):
                if tail not in after and room[tail][node]:
                    after[tail] = node
                    queue.append(tail)
        return after

    flow = 0
    while MinimumCut.SOURCE in (after := reaching()):
        path = [MinimumCut.SOURCE]
        while path[-1] != MinimumCut.SINK:
            path.append(after[path[-1]])
        amount = min(room[a][b] for a, b in itertools.pairwise(path))
        flow += amount
        if flow >= unbounded:
            return None
        for a, b in itertools.pairwise(path):
            room[a][b] -= amount
            room[b][a] += amount
    return frozenset(range(count + 2)) - set(after)


def test_against_paths_in_larger_networks() -> None:
    """Long and wide enough that nodes are lifted over gaps, and heights are measured again."""
    seed = 20264
    print("seed", seed)
    rng = random.Random(seed)
    outcomes = {True: 0, False: 0}
    for _ in range(150):
        count = rng.randint(10, 40)
        near = rng.choice([2, 6, count])
        edges: list[Edge] = []
        for _ in range(rng.randint(count, 4 * count)):
            tail = rng.randrange(2, count + 2)
            head = rng.randrange(max(2, tail - near), min(count + 2, tail + near))
            if head != tail:
                edges.append((tail, head, rng.choice([None, None, 1, 2, 1 << 70])))
        for node in rng.sample(range(2, count + 2), 8):
            worth = rng.choice([None, None, 1, 4, 9, 1 << 71])
            at_source = rng.random() < 0.5
            tail, head = (MinimumCut.SOURCE, node) if at_source else (node, MinimumCut.SINK)
            edges.append((tail, head, worth))
        unbounded = 1 + sum(room or 0 for _, _, room in edges)
        network = MinimumCut(unbounded)
        for _ in range(count):
            network.node()
        for edge in edges:
            network.edge(*edge)
        found = network.solve()
        outcomes[found is None] += 1
        assert found == largest_side(edges, count, unbounded)
    assert min(outcomes.values()) > 10


@pytest.mark.timeout(20)
def test_a_chain_takes_time_in_proportion() -> None:
    """Every node is worth less than a cut: filling the shortest paths takes a round a node."""
    count = 20_000
    network = MinimumCut(10 * count)
    nodes = [network.node() for _ in range(count)]
    for node in nodes:
        network.edge(network.SOURCE, node, 1)
    for node, after in itertools.pairwise(nodes):
        network.edge(node, after)
        network.edge(after, node, count // 2)
    network.edge(nodes[0], network.SINK, count // 2)
    assert network.solve() == frozenset(range(count + 2)) - {MinimumCut.SINK}
