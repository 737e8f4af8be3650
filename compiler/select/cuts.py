# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a model can be cut: tensors that every path from the inputs to the outputs goes through.

C1. Only *live* nodes count: those that an output depends on and that do not just make constants.
C2. A tensor is a *cut* if no other tensor that is made before it is read after it. In a
    topological order of nodes and tensors these are the tensors that no edge jumps over, whichever
    order it is.
C3. A cut is *legal* if its shape is known and its integers are: in a quantised model the grid must
    be known; in a float model, calibration will choose one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from ...hw.numeric import QType
from ..load.source import Source, reads
from .support import NodeSupport

_FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Cut:
    """A cut (rule C2).

    Attributes
    ----------
    tensor : its name
    position : number of live nodes before it, in :attr:`Cuts.nodes`
    qtype : the grid that its values lie on, if one is known
    legal : rule C3
    """

    tensor: str
    position: int
    qtype: QType | None
    legal: bool


@dataclass(frozen=True, eq=False)
class Cuts:
    """All cuts of a model, in order.

    Attributes
    ----------
    nodes : the live nodes (rule C1), in topological order
    cuts : the cuts, by position
    grids : the known grid of each tensor
    quantised : whether the model brings grids for its activations
    """

    nodes: tuple[onnx.NodeProto, ...]
    cuts: tuple[Cut, ...]
    grids: Mapping[str, QType]
    quantised: bool


def find_cuts(source: Source, support: Sequence[NodeSupport]) -> Cuts:
    """All cuts of a model."""
    nodes = tuple(
        node
        for node in source.nodes
        if node.name in source.live and not source.is_constant_node(node)
    )
    verdicts = {verdict.name: verdict for verdict in support}
    grids = _grids(source, nodes, verdicts)
    pieces = [piece for node in nodes for piece in verdicts[node.name].pieces]
    quantised = any(piece.op.grid is not None for piece in pieces)
    cuts = tuple(
        Cut(name, position, grids.get(name), _is_legal(source, name, grids, quantised))
        for name, position in _articulations(source, nodes)
    )
    return Cuts(nodes, cuts, grids, quantised)


def _articulations(source: Source, nodes: Sequence[onnx.NodeProto]) -> list[tuple[str, int]]:
    """Rule C2: tensors that no edge jumps over, with the number of nodes before."""
    last_reader = {name: index for index, node in enumerate(nodes) for name in reads(node)}
    beyond = len(nodes)
    last_reader.update((name, beyond) for name in source.outputs)
    found: list[tuple[str, int]] = []

    def visit(names: Sequence[str], position: int, reach: int) -> int:
        used = [name for name in names if name in last_reader]
        # With several tensors at one place, each is jumped over by the edge that made the other.
        if len(used) == 1 and reach <= position:
            found.append((used[0], position))
        return max([reach, *(last_reader[name] + 1 for name in used)])

    # ``reach`` is the number of nodes that must be done before the tensors so far are all spent.
    reach = visit([value.name for value in source.inputs], 0, 0)
    for index, node in enumerate(nodes):
        if not source.activations(node):
            return []  # a node without inputs (random numbers) is a second way in
        reach = visit([name for name in node.output if name], index + 1, reach)
    return found


def _grids(
    source: Source, nodes: Sequence[onnx.NodeProto], verdicts: Mapping[str, NodeSupport]
) -> dict[str, QType]:
    """The known grids: forwards from quantisers through what keeps them, then back to integers.

    Backwards, an integer tensor has the grid of the DequantizeLinear that it goes to, through
    views; if it goes to two that differ, it has none.
    """
    grids: dict[str, QType] = {}
    for piece in (piece for node in nodes for piece in verdicts[node.name].pieces):
        grid = piece.op.grid
        if grid is None and piece.op.keeps_grid and len(piece.inputs) == 1:
            grid = grids.get(piece.inputs[0])
        if grid is not None:
            grids.update(dict.fromkeys(piece.outputs, grid))
    for node in reversed(nodes):
        for name in source.activations(node):
            value = source.values.get(name)
            if name in grids or value is None or "int" not in value.dtype:
                continue
            found = {_wanted(verdicts[r.name], name, grids) for r in source.consumers[name]}
            grid = found.pop() if len(found) == 1 else None
            if grid is not None:
                grids[name] = grid
    return grids


def _wanted(verdict: NodeSupport, name: str, grids: Mapping[str, QType]) -> QType | None:
    """The grid that a reader of integers takes them to be on."""
    found: set[QType | None] = set()
    for piece in verdict.pieces:
        if name not in piece.inputs:
            continue
        if piece.op.rounds:
            found.add(None)
        elif piece.op.grid is not None:
            found.add(piece.op.grid)
        else:
            found.update(grids.get(n) if piece.op.keeps_grid else None for n in piece.outputs)
    return found.pop() if len(found) == 1 else None


def _is_legal(source: Source, name: str, grids: Mapping[str, QType], quantised: bool) -> bool:
    value = source.values.get(name)
    if value is None or 0 in value.shape:
        return False
    return name in grids or (not quantised and value.dtype in _FLOATS)


def live_beside(source: Source, tensor: str) -> list[str]:
    """Tensors that a cut at a tensor would have to carry as well: made before it, read after it."""
    before: set[str] = set()
    needed = [tensor]
    while needed:
        node = source.producers.get(needed.pop())
        if node is not None and node.name not in before:
            before.add(node.name)
            needed.extend(source.activations(node))
    made = [value.name for value in source.inputs]
    made += [name for node in source.nodes if node.name in before for name in node.output if name]
    beside = []
    for name in made:
        readers = [
            node
            for node in source.consumers.get(name, ())
            if node.name in source.live and not source.is_constant_node(node)
        ]
        outside = name in source.outputs or any(node.name not in before for node in readers)
        if outside and name != tensor and name not in source.constants:
            beside.append(name)
    return beside
