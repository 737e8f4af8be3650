# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cheapest way to part a graph in two: maximum flow, by highest-label push-relabel.

A model is a long chain in which much is worth more than any way out of it. Algorithms that fill
paths, one length after the other (Dinic's), then take as many rounds as the chain has nodes; this
one carries what comes from all of it along once.

Own code, because it is short: the libraries that have it are large, or take 32-bit capacities, and
the capacities here rank several wishes in one integer.
"""

from __future__ import annotations


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
        far = len(self._edges)
        excess = [0] * far  # what has come in and not gone out
        for edge in self._edges[self.SOURCE]:
            self._push(edge, self._left[edge], excess)
        while True:
            heights = self._heights()
            waiting = [node for node in range(2, far) if excess[node] and heights[node] < far]
            if excess[self.SINK] >= self.unbounded:
                return None
            if not waiting:
                return frozenset(node for node in range(far) if heights[node] == far)
            self._drain(waiting, heights, excess)

    def _push(self, edge: int, amount: int, excess: list[int]) -> None:
        self._left[edge] -= amount
        self._left[edge ^ 1] += amount
        excess[self._heads[edge ^ 1]] -= amount
        excess[self._heads[edge]] += amount

    def _heights(self) -> list[int]:
        """Distance to the sink where there is room; the number of nodes if there is no way."""
        far = len(self._edges)
        heights = [far] * far
        heights[self.SINK] = 0
        for node in (queue := [self.SINK]):
            for edge in self._edges[node]:
                tail = self._heads[edge]
                if self._left[edge ^ 1] and heights[tail] == far and tail != self.SOURCE:
                    heights[tail] = heights[node] + 1
                    queue.append(tail)
        return heights

    def _drain(self, waiting: list[int], heights: list[int], excess: list[int]) -> None:
        """Push what nodes have down, the highest first; a node that cannot is lifted.

        A height that its last node leaves is a gap, over which nothing gets down: what is lifted
        to it or stands above is left as it is until heights are measured anew.
        """
        gap = len(self._edges)
        at_height: list[list[int]] = [[] for _ in range(gap)]
        for node in waiting:
            at_height[heights[node]].append(node)
        count = [0] * (gap + 1)
        for height in heights:
            count[height] += 1
        turn = [0] * gap
        top = gap - 1
        while top:
            if not at_height[top]:
                top -= 1
                continue
            node = at_height[top].pop()
            while excess[node]:
                if turn[node] == len(self._edges[node]):
                    turn[node] = 0
                    count[top] -= 1
                    gap = gap if count[top] else top
                    top = heights[node] = self._lifted(node, heights)
                    count[top] += 1
                    if top >= gap:
                        break
                edge = self._edges[node][turn[node]]
                head = self._heads[edge]
                if self._left[edge] and heights[head] < top:
                    if head != self.SINK and not excess[head]:
                        at_height[heights[head]].append(head)
                    self._push(edge, min(excess[node], self._left[edge]), excess)
                else:
                    turn[node] += 1
            top = min(top, gap - 1)

    def _lifted(self, node: int, heights: list[int]) -> int:
        """The height from which it can push again."""
        ways = (heights[self._heads[edge]] for edge in self._edges[node] if self._left[edge])
        return min(len(self._edges), 1 + min(ways))
