# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cheapest way to part a graph in two: maximum flow, by Dinic's algorithm.

Own code, because it is short: the libraries that have it are large, or take 32-bit capacities, and
the capacities here rank several wishes in one integer.
"""

from __future__ import annotations

from collections.abc import Iterator


class MinimumCut:
    """A network of edges with integer capacities; None stands for one that must not be cut."""

    SOURCE, SINK = 0, 1

    def __init__(self, unbounded: int) -> None:
        """``unbounded``: more than all bounded capacities together."""
        self.unbounded = unbounded
        self._heads: list[int] = []
        self._left: list[int] = []
        self._edges: list[list[int]] = [[], []]

    def node(self) -> int:
        """A new node."""
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, tail: int, head: int, capacity: int | None = None) -> None:
        """Cutting it costs its capacity: where ``tail`` is the source's and ``head`` the sink's."""
        for a, b, room in ((tail, head, capacity), (head, tail, 0)):
            self._edges[a].append(len(self._heads))
            self._heads.append(b)
            self._left.append(self.unbounded if room is None else room)

    def solve(self) -> frozenset[int] | None:
        """The nodes on the source's side, as many as can be; None if no cut is bounded."""
        total = 0
        while True:
            levels = self._levels()
            if levels[self.SINK] < 0:
                return frozenset(range(len(self._edges))) - self._before_sink()
            total += sum(self._paths(levels))
            if total >= self.unbounded:
                return None

    def _levels(self) -> list[int]:
        """Distance from the source where there is room; -1 if there is no way."""
        levels = [-1] * len(self._edges)
        levels[self.SOURCE] = 0
        for node in (queue := [self.SOURCE]):
            for edge in self._edges[node]:
                head = self._heads[edge]
                if self._left[edge] and levels[head] < 0:
                    levels[head] = levels[node] + 1
                    queue.append(head)
        return levels

    def _before_sink(self) -> set[int]:
        """The nodes from which there is room to the sink."""
        found = {self.SINK}
        for node in (queue := [self.SINK]):
            for edge in self._edges[node]:
                tail = self._heads[edge]
                if self._left[edge ^ 1] and tail not in found:
                    found.add(tail)
                    queue.append(tail)
        return found

    def _paths(self, levels: list[int]) -> Iterator[int]:
        """Fill shortest paths until there are none; the amount of each."""
        turn = [0] * len(self._edges)
        path: list[int] = []
        node = self.SOURCE
        while True:
            if node == self.SINK:
                amount = min(self._left[edge] for edge in path)
                for edge in path:
                    self._left[edge] -= amount
                    self._left[edge ^ 1] += amount
                yield amount
                full = next(i for i, edge in enumerate(path) if not self._left[edge])
                node = self._heads[path[full] ^ 1]
                del path[full:]
            ahead = self._next(node, levels, turn)
            if ahead is not None:
                path.append(ahead)
                node = self._heads[ahead]
            elif path:
                node = self._heads[path.pop() ^ 1]
                turn[node] += 1
            else:
                return

    def _next(self, node: int, levels: list[int], turn: list[int]) -> int | None:
        edges = self._edges[node]
        while turn[node] < len(edges):
            edge = edges[turn[node]]
            if self._left[edge] and levels[self._heads[edge]] == levels[node] + 1:
                return edge
            turn[node] += 1
        return None
