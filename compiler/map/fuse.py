# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From real operators to integer nodes: every core takes what follows it up to the next grid.

Views vanish into layouts; bias, activation and rounding go into the core's requantiser, which is
proven equal to their exact composition (N4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...hw.formats.tensor import Layout
from ...hw.numeric import Affine, QType, Requantiser
from ...hw.numeric.fit import RequantiseError, eased, fit_requantiser
from ..errors import ModelError
from ..ir.graph import Graph, Node
from ..ir.quant import Core, QGraph, QNode, QTensor
from ..ops.add import ScaleCore
from ..ops.base import Unsupported
from ..quantise.grids import DYADIC_ABOVE
from ..quantise.insert import grids_of


@dataclass
class _State:
    """``streams`` describes each value on a grid by the integer tensor that carries it.

    Without ``prove``, nodes are checked and not made: no requantiser is fitted.
    """

    graph: Graph
    grids: dict[str, QType]
    prove: bool
    streams: dict[str, QTensor] = field(default_factory=dict)
    tensors: dict[str, QTensor] = field(default_factory=dict)
    nodes: list[QNode] = field(default_factory=list)
    absorbed: set[str] = field(default_factory=set)

    def shape(self, value: str) -> tuple[int, ...]:
        return self.graph.values[value].shape

    def define(self, value: str, layout: Layout) -> None:
        """A value that has an integer tensor of its own."""
        tensor = QTensor(value, self.shape(value), self.grids[value], layout)
        self.tensors[value] = self.streams[value] = tensor


def fuse(graph: Graph) -> QGraph:
    """The integer graph of a graph in which every value that hardware reads has a grid.

    Raises
    ------
    ModelError
        If an operator has no integer form here, or no requantiser is exact; names the node.
    """
    state = _State(graph, grids_of(graph), prove=True)
    refusal = _lower_all(state)
    if refusal is not None:
        node, error = refusal
        raise ModelError(
            f"cannot be mapped to integer hardware: {error}",
            where=f"node {node.name!r} ({node.op!r})",
            remedy="Cut the slice before or after it with --from and --to",
        ) from error
    for name in graph.outputs:
        if state.streams[name].name in graph.inputs:
            _copy(state, name)
    results = tuple(replace(state.streams[name], name=name) for name in graph.outputs)
    roots = tuple(state.streams[name].name for name in graph.outputs)
    return QGraph(graph.name, tuple(state.nodes), state.tensors, graph.inputs, roots, results)


def unmappable(graph: Graph) -> tuple[tuple[str, ...], str] | None:
    """The ONNX nodes behind the first node that :func:`fuse` would refuse, and why."""
    refusal = _lower_all(_State(graph, grids_of(graph), prove=False))
    if refusal is None:
        return None
    node, error = refusal
    return node.sources or (node.name,), str(error)


def _lower_all(state: _State) -> tuple[Node, Exception] | None:
    """Lower every node, up to the first that is refused."""
    for name in state.graph.inputs:
        state.define(name, input_layout(state.graph, name))
    for node in state.graph.nodes:
        if node.name in state.absorbed:
            continue
        try:
            _lower(state, node)
        except (Unsupported, RequantiseError) as error:
            return node, error
    return None


def input_layout(graph: Graph, name: str) -> Layout:
    """The order that the first reader's hardware wants, carried back through views and through what
    takes any order.
    """
    shape = graph.values[name].shape
    for node in graph.consumers(name):
        if node.op.is_view:
            output = graph.values[node.output].shape
            layout = node.op.view_back(input_layout(graph, node.output), shape, output)
        else:
            layout = node.op.wanted_layout(shape) if node.op.is_core else None
            if layout is None and graph.values[node.output].shape == shape:
                layout = input_layout(graph, node.output)
        if layout is not None:
            return layout
    return Layout.channels_last(shape)


def _lower(state: _State, node: Node) -> None:
    """Rename a view; turn a core, or a lone absorbed operator, into an integer node."""
    source = state.streams[node.inputs[0]]
    if node.op.is_view or (node.op.rounds and state.grids[node.output] == source.qtype):
        shape, output = state.shape(node.inputs[0]), state.shape(node.output)
        layout = node.op.view(source.layout, shape, output) if node.op.is_view else source.layout
        if layout is None:
            raise Unsupported(f"expected a stream that it leaves in order, found {source.layout}")
        state.streams[node.output] = replace(source, shape=output, layout=layout)
    elif node.op.is_core:
        inputs = [_wanted(state, node, name) for name in node.inputs]
        core = node.op.lower(inputs, state.shape(node.output))
        layout = node.op.output_layout(inputs, state.shape(node.output))
        chain, functions, value = _follow(state, core, [node], core.functions, node.output)
        _emit(state, core, chain, functions, [x.name for x in inputs], value, layout)
    else:
        core = ScaleCore(source)
        functions = _absorb(state, node, core.functions, core)
        chain, functions, value = _follow(state, core, [node], functions, node.output)
        _emit(state, core, chain, functions, [source.name], value, source.layout)


def _wanted(state: _State, node: Node, name: str) -> QTensor:
    """An input, in the order that the node's hardware wants."""
    tensor = state.streams[name]
    wanted = node.op.wanted_layout(tensor.shape)
    if wanted is None:
        return tensor
    if not tensor.layout.same_order(wanted):
        raise Unsupported(f"expected its input streamed as {wanted}, found {tensor.layout}")
    return replace(tensor, layout=wanted)


def _follow(
    state: _State, core: Core, chain: list[Node], functions: Sequence[Affine], value: str
) -> tuple[list[Node], Sequence[Affine], str]:
    """Take operators into the requantiser until the value lies on a grid."""
    while value not in state.grids:
        readers = state.graph.consumers(value)
        if len(readers) != 1:
            raise Unsupported(
                f"expected its unrounded result to have one reader, found {len(readers)}"
            )
        follower = readers[0]
        functions = _absorb(state, follower, functions, core)
        chain.append(follower)
        state.absorbed.add(follower.name)
        value = follower.output
    return chain, functions, value


def _absorb(state: _State, node: Node, functions: Sequence[Affine], core: Core) -> Sequence[Affine]:
    if node.op.rounds:
        return functions
    if not node.op.absorbable:
        raise Unsupported(f"expected a quantised input for {node.op!r}, found an unrounded one")
    if len(functions) == 1 and core.channels == 1:
        return node.op.absorb(functions, (1,), 0)
    return node.op.absorb(functions, state.shape(node.output), core.channel_axis)


def _emit(
    state: _State,
    core: Core,
    chain: Sequence[Node],
    functions: Sequence[Affine],
    inputs: Sequence[str],
    value: str,
    layout: Layout,
) -> None:
    state.define(value, layout)
    if not state.prove:
        return
    requantiser = _fitted(core, functions, state.grids[value])
    sources = tuple(source for node in chain for source in node.sources)
    state.nodes.append(QNode(chain[0].name, core, requantiser, tuple(inputs), value, sources))


def _fitted(core: Core, functions: Sequence[Affine], out: QType) -> Requantiser:
    """An exact requantiser; where the slopes are ours to choose, of slopes that have one.

    On wide grids they hardly ever have one by themselves, and the search is long.
    """
    if not (core.adjustable and out.bits > DYADIC_ABOVE):
        try:
            return fit_requantiser(functions, core.ranges, out)
        except RequantiseError:
            if not core.adjustable:
                raise
    return fit_requantiser(eased(functions, core.ranges, out), core.ranges, out)


def _copy(state: _State, name: str) -> None:
    """Hardware for an output that is an input under another name: a slice of views only."""
    source = state.streams[name]
    core = ScaleCore(source)
    requantiser = fit_requantiser(list(core.functions), core.ranges, source.qtype)
    copied = replace(source, name=f"{name}:copy")
    state.tensors[copied.name] = state.streams[name] = copied
    state.nodes.append(QNode(f"{name}:copy", core, requantiser, (source.name,), copied.name))
