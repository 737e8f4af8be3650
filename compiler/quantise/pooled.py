# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands behind a MaxPool moves before it, into the sum there, which needs no grid then.

A function that never falls takes the largest of some numbers to the largest of what it makes of
each, so a BatchNormalization, a Relu or a step may as well stand before the pool; rounding to a
grid never falls either. Binary networks are written so: Conv, MaxPool, BatchNormalization, Sign
(Courbariaux et al., "Binarized Neural Networks", 2016). A step that falls for some channels, of a
negative factor, is negated there before the pool, and again behind it: its levels are few, so that
a grid holds them and their negatives exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ...hw.numeric import Affine, Function
from ..ir.graph import Graph, Node, unused
from ..ops.base import Unsupported
from ..ops.scale import Scale
from .insert import missing_grids


def before_pools(graph: Graph) -> Graph:
    """The graph with all such functions moved; its inputs, outputs and their values stay."""
    for pool in graph.nodes:
        if pool.op.largest_along is not None and _is_summed(graph, pool):
            found = _movable(graph, pool)
            if found is not None:
                graph = _moved(graph, pool, found)
    return graph


@dataclass(frozen=True)
class _Chain:
    """Functions behind a pool.

    Attributes
    ----------
    nodes : in order
    signs : for each channel -1 where they fall, else 1
    """

    nodes: tuple[Node, ...]
    signs: tuple[int, ...]


def _is_summed(graph: Graph, pool: Node) -> bool:
    """Whether a pool alone reads what is on no grid by itself, and could take a function in."""
    (x,) = pool.inputs
    maker = graph.producer(x)
    if maker is None or maker.op.needs_grid or x in graph.outputs or x in graph.apart:
        return False
    return len(graph.consumers(x)) == 1 and x in missing_grids(graph)


def _movable(graph: Graph, pool: Node) -> _Chain | None:
    """The longest chain of functions that never fall, or one that ends with a step."""
    axis = pool.op.largest_along
    assert axis is not None
    shape = graph.values[pool.output].shape
    functions: Sequence[Function] = [Affine((Fraction(1),), Fraction(0))] * shape[axis]
    found: _Chain | None = None
    nodes: tuple[Node, ...] = ()
    name = pool.output
    while name not in graph.outputs and len(readers := graph.consumers(name)) == 1:
        (node,) = readers
        name = node.outputs[0]
        if not node.op.absorbable or node.op.needs_table or graph.values[name].shape != shape:
            break
        try:
            functions = node.op.absorb(functions, shape, axis)
        except Unsupported:
            break
        nodes = (*nodes, node)
        ways = [function.direction for function in functions]
        if node.op.levels and None not in ways:
            return _Chain(nodes, tuple(-1 if way == -1 else 1 for way in ways))
        if all(way in (0, 1) for way in ways):
            found = _Chain(nodes, (1,) * len(ways))
    return found


def _moved(graph: Graph, pool: Node, chain: _Chain) -> Graph:
    """The chain before the pool, whose result gets the name of the chain's."""
    (x,) = pool.inputs
    shape, last = graph.values[x].shape, chain.nodes[-1]
    gone = {pool.output, *(node.output for node in chain.nodes[:-1])}
    values = {name: value for name, value in graph.values.items() if name not in gone}
    names = {node.name for node in graph.nodes}
    flip = _flip(graph, pool, chain.signs)

    def added(name: str, shape: tuple[int, ...]) -> str:
        found = unused(f"{name}:unpooled", values)
        values[found] = replace(graph.values[name], name=found, shape=shape)
        return found

    def flipped(source: str, made: str) -> Node:
        name = unused(f"{last.name}:sign", names)
        names.add(name)
        return Node(name, flip, (source,), (made,), last.sources)

    nodes: list[Node] = []
    for node in chain.nodes:
        made = added(node.output, shape)
        nodes.append(replace(node, inputs=(x,), outputs=(made,)))
        x = made
    if -1 in chain.signs:
        made = added(last.output, shape)
        nodes.append(flipped(x, made))
        pooled = added(last.output, graph.values[last.output].shape)
        nodes.append(replace(pool, inputs=(made,), outputs=(pooled,)))
        nodes.append(flipped(pooled, last.output))
    else:
        nodes.append(replace(pool, inputs=(x,), outputs=(last.output,)))
    moved = {node.name for node in chain.nodes}
    kept = (node for node in graph.nodes if node.name not in moved)
    every = tuple(new for node in kept for new in (nodes if node is pool else (node,)))
    return replace(graph, nodes=every, values=values)


def _flip(graph: Graph, pool: Node, signs: Sequence[int]) -> Scale:
    """Times a sign a channel."""
    axis = pool.op.largest_along
    assert axis is not None
    behind = len(graph.values[pool.output].shape) - axis - 1
    factors = tuple(map(Fraction, signs))
    return Scale(factors, (Fraction(0),) * len(signs), (len(signs), *[1] * behind))
