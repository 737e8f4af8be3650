# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From a constant matrix to a graph of additions: signed digits, shared pairs, balanced trees.

1. Every weight is written in canonical signed digits (no two non-zero ones side by side: the fewest
   there are). A row is then a sum of *terms*: an operand, shifted, with a sign.
2. While two terms stand in the same relation to each other in several places, the pair that saves
   the most adder bits becomes a node, and a term in all of them (Hartley, "Subexpression sharing in
   filters using canonic signed digit multipliers", 1996).
3. What is left of a row is added up in pairs, the shallowest first.

No row gets deeper than the registers after every few levels allow for the deepest row without any
sharing, so sharing costs no cycle.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..finish.base import Range
from ..numeric import IntArray, IntType
from ..remembered import remembered
from ..timing.components import TREE_LEVELS
from .adder_graph import ZERO, AdderGraph, Addition, Output

__all__ = ["digit_count", "signed_digits", "solve"]


_REMEMBERED_DIGITS = 256
"""Signed digits from which on a graph is kept in the user's cache: others are searched for as fast
as they are looked up.
"""


class _Term(NamedTuple):
    """``operand`` shifted left by ``shift``, with a sign."""

    operand: int
    shift: int
    negative: bool


_Pair = tuple[int, int, int, bool]
"""An addition as a plain tuple: there are many, and few become nodes."""


def signed_digits(value: int) -> list[tuple[int, bool]]:
    """Canonical signed digits of an integer: (shift, negative), lowest first."""
    digits = []
    shift = 0
    while value:
        if value & 1:
            negative = value & 3 == 3
            digits.append((shift, negative))
            value += 1 if negative else -1
        value >>= 1
        shift += 1
    return digits


def digit_count(matrix: IntArray) -> int:
    """Canonical signed digits of all weights: what a graph without sharing adds up."""
    # The digits of w are where w and 3 w differ.
    magnitude = np.abs(matrix.astype(np.int64))
    return int(np.bitwise_count(magnitude ^ 3 * magnitude).sum())


def solve(matrix: IntArray, ranges: Sequence[Range]) -> AdderGraph:
    """A graph of ``matrix @ x`` with few adders.

    Parameters
    ----------
    matrix : integers (outputs, inputs)
    ranges : closed range of each input
    """
    weights = np.ascontiguousarray(matrix, dtype=np.int64)
    if weights.ndim != 2 or weights.shape[1] != len(ranges):
        raise ValueError(
            f"a matrix (outputs, inputs) needs a range for each input, but {weights.shape} has "
            f"{len(ranges)}"
        )
    return _solve(weights.tobytes(), weights.shape, tuple(ranges))


@lru_cache(maxsize=64)
def _solve(weights: bytes, shape: tuple[int, int], ranges: tuple[Range, ...]) -> AdderGraph:
    matrix = np.frombuffer(weights, dtype=np.int64).reshape(shape)
    if digit_count(matrix) < _REMEMBERED_DIGITS:
        graph = _search(matrix, ranges)
    else:
        question = f"adder graph of {shape} for {ranges}: ".encode() + weights
        text = remembered(question, lambda: _text(_search(matrix, ranges)))
        graph = _graph(ranges, text)
    assert np.array_equal(graph.matrix, matrix), "the graph is not the matrix"
    return graph


def _search(matrix: IntArray, ranges: tuple[Range, ...]) -> AdderGraph:
    solver = _Solver(matrix, ranges)
    solver.share()
    outputs = tuple(solver.outputs())
    return _alive(AdderGraph(ranges, tuple(solver.nodes), outputs))


def _text(graph: AdderGraph) -> bytes:
    return json.dumps([graph.nodes, graph.outputs]).encode()


def _graph(ranges: tuple[Range, ...], text: bytes) -> AdderGraph:
    nodes, outputs = json.loads(text)
    return AdderGraph(
        ranges, tuple(Addition(*node) for node in nodes), tuple(Output(*each) for each in outputs)
    )


def _alive(graph: AdderGraph) -> AdderGraph:
    """The graph without nodes that no output needs."""
    inputs = len(graph.inputs)
    needed = {output.operand for output in graph.outputs}
    for index in reversed(range(inputs, inputs + len(graph.nodes))):
        if index in needed:
            needed.update(graph.nodes[index - inputs][:2])
    kept = [k for k in range(inputs, inputs + len(graph.nodes)) if k in needed]
    new = {ZERO: ZERO, **{k: k for k in range(inputs)}}
    new.update({old: inputs + position for position, old in enumerate(kept)})
    return AdderGraph(
        graph.inputs,
        tuple(
            node._replace(left=new[node.left], right=new[node.right])
            for node in (graph.nodes[k - inputs] for k in kept)
        ),
        tuple(output._replace(operand=new[output.operand]) for output in graph.outputs),
    )


class _Solver:
    """Rows of terms, the nodes made so far, and how often every pair of terms occurs."""

    def __init__(self, matrix: IntArray, ranges: Sequence[Range]) -> None:
        self.bits = [IntType.holding(*each).bits for each in ranges]
        self.nodes: list[Addition] = []
        self.inputs = len(ranges)
        self.forms = list(np.eye(self.inputs, dtype=np.int64))
        self.boxes = ranges
        self.depths = [0] * self.inputs
        self.known: dict[Addition, int] = {}
        self.rows = [
            {
                _Term(column, shift, negative)
                for column, weight in enumerate(row.tolist())
                for shift, negative in signed_digits(weight)
            }
            for row in matrix
        ]
        # A row of terms of depth d can be added up in n levels where the sum of 2**d is at most
        # 2**n.
        least = max((len(row) - 1).bit_length() for row in self.rows) if self.rows else 0
        self.room = 1 << -(-least // TREE_LEVELS) * TREE_LEVELS
        self.full = [len(row) for row in self.rows]
        self.where: defaultdict[_Pair, defaultdict[int, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.counts: defaultdict[_Pair, int] = defaultdict(int)
        self.queue: list[tuple[int, _Pair]] = []

    def share(self) -> None:
        """Make nodes of pairs that occur several times, the most saving first."""
        for index, row in enumerate(self.rows):
            for term, other in combinations(sorted(row), 2):
                pair = _pair(term, other)
                self.counts[pair] += 1
                self.where[pair][index] += 1
        self.queue = [(-self._saving(pair), pair) for pair, n in self.counts.items() if n > 1]
        heapq.heapify(self.queue)
        while self.queue:
            saving, pair = heapq.heappop(self.queue)
            now = self._saving(pair)
            if now <= 0:
                continue
            if -saving != now:
                heapq.heappush(self.queue, (-now, pair))
                continue
            places = list(self._places(pair))
            if len(places) > 1:
                self._replace(pair, places)

    def _saving(self, pair: _Pair) -> int:
        """Adder bits that sharing a pair saves, about."""
        return (self.counts[pair] - 1) * self._bits(pair)

    def _bits(self, pair: _Pair) -> int:
        """Bits that a pair overlaps in, about."""
        left, right, shift, _ = pair
        low, high = (left, right) if shift > 0 else (right, left)
        return max(self.bits[low] - abs(shift), self.bits[high]) + 1

    def _places(self, pair: _Pair) -> Iterator[tuple[int, _Term, _Term]]:
        """Where a pair occurs, no term twice, and where its node would not be too deep."""
        left, right, shift, negative = pair
        deep = [1 << self.depths[k] for k in (left, right)]
        more = 2 * max(deep) - sum(deep)
        for row in sorted(self.where[pair]):
            terms = self.rows[row]
            taken: set[_Term] = set()
            full = self.full[row]
            for term in sorted(t for t in terms if t.operand == left):
                other = _Term(right, term.shift + shift, term.negative != negative)
                if term in taken or other in taken or other not in terms:
                    continue
                if full + more > self.room:
                    break
                full += more
                taken |= {term, other}
                yield row, term, other

    def _replace(self, pair: _Pair, places: Sequence[tuple[int, _Term, _Term]]) -> None:
        operand = self._node(Addition(*pair))
        more = 2 * (1 << self.depths[operand] - 1)
        for row, term, other in places:
            terms = self.rows[row]
            new = _Term(operand, min(term.shift, other.shift), term.negative)
            self._remove(row, term)
            self._remove(row, other)
            self.full[row] += more - sum(1 << self.depths[t.operand] for t in (term, other))
            for rest in terms:
                self._add(row, _pair(rest, new) if rest < new else _pair(new, rest))
            terms.add(new)

    def _remove(self, row: int, term: _Term) -> None:
        self.rows[row].remove(term)
        for rest in self.rows[row]:
            pair = _pair(rest, term) if rest < term else _pair(term, rest)
            self.counts[pair] -= 1
            rows = self.where[pair]
            rows[row] -= 1
            if not rows[row]:
                del rows[row]

    def _add(self, row: int, pair: _Pair) -> None:
        self.counts[pair] += 1
        self.where[pair][row] += 1
        if self.counts[pair] > 1:
            heapq.heappush(self.queue, (-self._saving(pair), pair))

    def _node(self, node: Addition) -> int:
        """The operand of a node, new or known."""
        if node in self.known:
            return self.known[node]
        left = 0 if node.left == ZERO else self.forms[node.left] << max(-node.shift, 0)
        right = self.forms[node.right] << max(node.shift, 0)
        form = left - right if node.negative else left + right
        self.forms.append(form)
        ends = [
            (w * lo, w * hi) for w, (lo, hi) in zip(form.tolist(), self.boxes, strict=True) if w
        ]
        self.bits.append(IntType.holding(sum(map(min, ends)), sum(map(max, ends))).bits)
        depth = 0 if node.left == ZERO else self.depths[node.left]
        self.depths.append(1 + max(depth, self.depths[node.right]))
        self.nodes.append(node)
        self.known[node] = operand = self.inputs + len(self.nodes) - 1
        return operand

    def outputs(self) -> Iterator[Output]:
        """Add up what is left of every row."""
        for row in self.rows:
            queue = [(self.depths[t.operand], self._width(t), t) for t in row]
            heapq.heapify(queue)
            while len(queue) > 1:
                (_, _, a), (_, _, b) = heapq.heappop(queue), heapq.heappop(queue)
                term = self._sum(a, b)
                heapq.heappush(queue, (self.depths[term.operand], self._width(term), term))
            if not queue:
                yield Output(ZERO, 0)
                continue
            (_, _, term) = queue[0]
            operand = self._negated(term.operand) if term.negative else term.operand
            yield Output(operand, term.shift)

    def _negated(self, operand: int) -> int:
        """Minus an operand: ``b - a`` for ``a - b``, else an adder more."""
        if operand >= self.inputs:
            left, right, shift, negative = self.nodes[operand - self.inputs]
            if negative and left != ZERO:
                return self._node(Addition(right, left, -shift, True))
        return self._node(Addition(ZERO, operand, 0, True))

    def _width(self, term: _Term) -> int:
        return term.shift + self.bits[term.operand]

    def _sum(self, a: _Term, b: _Term) -> _Term:
        """One term for two; a negative one is subtracted, two of them stay negative."""
        if a.negative and not b.negative:
            a, b = b, a
        elif a.negative == b.negative:
            a, b = sorted((a, b))
        node = Addition(a.operand, b.operand, b.shift - a.shift, a.negative != b.negative)
        return _Term(self._node(node), min(a.shift, b.shift), a.negative)


def _pair(a: _Term, b: _Term) -> _Pair:
    """The node of two terms, the first of which has the lower operand, or shift."""
    left, low, minus = a
    right, high, negative = b
    return left, right, high - low, minus != negative
