# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Give every tensor that integer hardware reads a grid, and every weight.

A value needs a grid unless its one reader is absorbed into its producer, and needs no table for
that. QDQ models have their grids already, and nothing happens to them here. A value of few levels
(signs) gets the grid that holds just those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from ...hw.formats.tensor import AnyArray
from ...hw.numeric import QType
from ..ir.graph import Graph, Node, Value, unused
from ..ops.base import Op
from ..ops.quantize import Quantize
from .grids import grid_of_levels
from .widths import MOST, Widths, layers_of

ChooseGrid = Callable[[str], QType]
"""Chooses the grid of an ONNX tensor from what calibration saw of it."""


def grids_of(graph: Graph) -> dict[str, QType]:
    """The grid of every value that lies on one."""
    grids: dict[str, QType] = dict(graph.qtypes)
    _forwards(graph, grids)
    _backwards(graph, grids)
    _forwards(graph, grids)
    return {name: grids[name] for name in graph.values if name in grids}


def _forwards(graph: Graph, grids: dict[str, QType]) -> None:
    """From quantisers on, through what keeps grids."""
    for node in graph.nodes:
        for index, name in enumerate(node.outputs):
            made = node.op.made_grid(index)
            if made is None:
                made = grids.get(node.kept_from(name) or "")
            if made is not None:
                grids[name] = made
        if node.op.grid is not None and not node.op.rounds:
            grids.setdefault(node.inputs[0], node.op.grid)


def _backwards(graph: Graph, grids: dict[str, QType]) -> None:
    """Where all readers round alike, rounding once before them is the same.

    So it is at the border, where a quantiser gave each reader a pair of its own, and before what
    keeps a grid (a MaxPool between a convolution and its quantiser): that moves values, and
    rounding keeps their order and zero. So does what clamps. What needs a grid of its own gets it
    then, even if its one reader could be absorbed.
    """
    wanted: dict[str, QType | None] = {}

    def behind(node: Node) -> QType | None:
        if node.op.rounds:
            return node.op.grid
        found = {wanted[name] for name in node.outputs}
        same = node.op.keeps_grid or node.op.clamps
        return found.pop() if same and len(found) == len(node.inputs) == 1 else None

    makers = {name: node.op for node in graph.nodes for name in node.outputs}
    for name in (*reversed(makers), *graph.inputs):
        readers = graph.consumers(name)
        found = set() if name in graph.outputs else {behind(node) for node in readers}
        grid = found.pop() if len(found) == 1 else None
        wanted[name] = grid
        alone = len(readers) == 1 and (readers[0].op.rounds or readers[0].op.absorbable)
        alone = alone and not (name in makers and makers[name].needs_grid)
        if grid is not None and name not in grids and (name in graph.inputs or not alone):
            grids[name] = grid


def missing_grids(graph: Graph) -> list[str]:
    """Values that need a grid and have none, in order of definition."""
    covered = set(grids_of(graph))
    own = bool(graph.given) or any(node.op.grid is not None for node in graph.nodes)
    missing: list[str] = []
    tabled: set[str] = set()
    for name in (*graph.inputs, *(made for node in graph.nodes for made in node.outputs)):
        if name in covered:
            continue
        producer = graph.producer(name)
        if producer is not None and producer.kept_from(name) in covered:
            covered.add(name)
            continue
        readers = graph.consumers(name)
        if producer is not None and (producer.op.tabulates or producer.inputs[0] in tabled):
            tabled.add(name)
        alone = len(readers) == 1 and producer is not None and name not in graph.outputs
        if alone and readers[0].op.rounds:
            continue
        free = own or name in tabled
        apart = name in graph.apart or (producer is not None and producer.op.needs_grid)
        if alone and not apart and _is_absorbed(readers[0].op, free):
            continue
        tabled.discard(name)
        missing.append(name)
        covered.add(name)
    return missing


def _is_absorbed(op: Op, free: bool) -> bool:
    """Whether it takes unrounded values. A function that needs a table gets a grid before it, so
    that the table is small, unless the model has grids of its own, and none there, or there is a
    table anyway (``free``). Steps need no table.
    """
    return op.absorbable and (free or not op.needs_table)


def weighed(graph: Graph) -> list[str]:
    """The inputs of all nodes whose weights midwire quantises."""
    found = (n.inputs[0] for n in graph.nodes if n.op.quantise_weights(MOST) is not n.op)
    return list(dict.fromkeys(found))


def quantise(
    graph: Graph,
    choose: ChooseGrid,
    widths: Widths | int,
    means: Mapping[str, AnyArray] | None = None,
) -> Graph:
    """Insert a ``Quantize`` after every value of :func:`missing_grids`; put weights on grids.

    ``choose`` is asked for each of those values, but a sign needs two bits, whatever was seen;
    ``widths`` for the bits of its layer's weights.
    ``means`` are those of values over typical samples: where the mean of a layer's input is known,
    its bias makes up for what rounding of its weights shifts its result by. Inputs are quantised
    outside (in the edge part), so they get a grid and no node.
    """
    missing = missing_grids(graph)
    chosen: Mapping[str, QType] = {name: _grid(graph, name, choose(name)) for name in missing}
    bits = _weight_bits(graph, missing, Widths(widths) if isinstance(widths, int) else widths)
    nodes: list[Node] = []
    names = {node.name for node in graph.nodes}
    values: dict[str, Value] = dict(graph.values)
    qtypes = dict(graph.qtypes)
    qtypes.update({name: chosen[name] for name in graph.inputs if name in chosen})
    for node in graph.nodes:
        op = node.op.quantise_weights(bits[node.name])
        mean = (means or {}).get(node.inputs[0])
        if op is not node.op and mean is not None:
            op = op.corrected(node.op, mean)
        real = {n: unused(f"{n}:real", values) for n in node.outputs if n in chosen}
        values.update({raw: replace(values[name], name=raw) for name, raw in real.items()})
        outputs = tuple(real.get(name, name) for name in node.outputs)
        nodes.append(replace(node, op=op, outputs=outputs))
        for index, (name, raw) in enumerate(real.items()):
            grid = unused(f"{node.name}:grid{index or ''}", names)
            names.add(grid)
            nodes.append(Node(grid, Quantize(chosen[name]), (raw,), (name,)))
    return replace(graph, nodes=tuple(nodes), values=values, qtypes=qtypes)


def _grid(graph: Graph, name: str, chosen: QType) -> QType:
    """A value's grid: the one that holds its few levels exactly, if that needs no more bits than
    the chosen one has. It must be the slice's own, for what comes from outside is anything.
    """
    known = grid_of_levels(_levels(graph, name))
    return chosen if known is None or known.bits > chosen.bits else known


def _levels(graph: Graph, name: str) -> Sequence[Fraction]:
    """The few reals that a value takes, also behind operators that make few of few."""
    behind: list[Op] = []
    while (node := graph.producer(name)) is not None and not node.op.levels:
        if not node.op.levels_of((Fraction(1),)):
            return ()
        behind.append(node.op)
        name = node.inputs[0]
    levels = () if node is None else node.op.levels
    for op in reversed(behind):
        levels = op.levels_of(levels)
    return levels


def _weight_bits(graph: Graph, missing: Sequence[str], widths: Widths) -> dict[str, int]:
    """Bits of the weights of every node: its layer's."""
    found = dict.fromkeys((node.name for node in graph.nodes), widths.default)
    for layer in layers_of(graph, missing):
        found.update(dict.fromkeys(layer.nodes, widths.of(layer)))
    return found
