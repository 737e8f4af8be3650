# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From real operators to integer nodes: every kernel takes what follows it up to the next grid.

Views vanish into layouts; bias, activation and rounding are composed with the meaning of the
kernel's accumulators, and a finisher is found that is proven equal to the whole (N4). Where a
tensor comes in another order than its reader's hardware wants, a reorder buffer goes between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ...hw.finish.base import Finisher, FinishError, Range
from ...hw.finish.choose import EASED_ABOVE, finish
from ...hw.finish.direct import Direct
from ...hw.formats.tensor import Layout
from ...hw.kernels.base import Kernel, WidthError
from ...hw.kernels.reorder import reorder_between
from ...hw.numeric import Function, QType
from ..errors import ModelError
from ..ir.graph import Graph, Node, unused
from ..ir.lowered import Call, Inner, Meaning, OutputSpec
from ..ir.quant import QGraph, QNode, QTensor
from ..ops._elementwise import elementwise
from ..ops.base import Op, Unsupported
from ..quantise.insert import grids_of
from .price import price
from .targets import DEFAULT_TARGET, Target


@dataclass
class _State:
    """What is lowered so far.

    Attributes
    ----------
    prove : whether nodes are made; without, they are only checked, and no finisher is sought
    streams : each value on a grid, by the integer tensor that carries it
    reordered : the name of each tensor in another order
    absorbed : the values that a finisher passes through or ends at
    """

    graph: Graph
    grids: dict[str, QType]
    target: Target
    prove: bool
    streams: dict[str, QTensor] = field(default_factory=dict)
    tensors: dict[str, QTensor] = field(default_factory=dict)
    nodes: list[QNode] = field(default_factory=list)
    reordered: dict[tuple[str, Layout], str] = field(default_factory=dict)
    absorbed: set[str] = field(default_factory=set)

    def shape(self, value: str) -> tuple[int, ...]:
        return self.graph.values[value].shape

    def define(self, value: str, layout: Layout) -> None:
        """A value that has an integer tensor of its own."""
        tensor = QTensor(value, self.shape(value), self.grids[value], layout)
        self.tensors[value] = self.streams[value] = tensor

    def unused(self, name: str) -> str:
        """A name for a tensor that the graph does not have."""
        return unused(name, {*self.graph.values, *self.tensors})

    def unused_node(self, name: str) -> str:
        """A name for an integer node that is none of the graph's."""
        taken = {node.name for node in self.graph.nodes} | {node.name for node in self.nodes}
        return unused(name, taken)


def fuse(graph: Graph, target: Target = DEFAULT_TARGET) -> QGraph:
    """The integer graph of a graph in which every value that hardware reads has a grid.

    ``target`` prices the finishers.

    Raises
    ------
    ModelError
        If an operator has no integer form here, or no finisher is exact; names the node.
    """
    state = _State(graph, grids_of(graph), target, prove=True)
    refusal = _lower_all(state)
    if refusal is not None:
        node, error = refusal
        expected, found = "exact sums and an exact finisher", f"that {error}"
        if isinstance(error, Unsupported):
            expected, found = error.halves()
        raise ModelError(
            "cannot be mapped to integer hardware",
            where=f"node {node.name!r} ({node.op!r})",
            expected=expected,
            found=found,
            remedy="Cut the slice before or after it with --from and --to",
        ) from error
    for name in graph.outputs:
        if state.streams[name].name in graph.inputs:
            _copy(state, name)
    results = tuple(replace(state.streams[name], name=name) for name in graph.outputs)
    roots = tuple(state.streams[name].name for name in graph.outputs)
    return QGraph(graph.name, tuple(state.nodes), state.tensors, graph.inputs, roots, results)


@dataclass(frozen=True)
class Obstacle:
    """Why :func:`fuse` would refuse a graph.

    Attributes
    ----------
    sources : the ONNX nodes behind the first node that it would refuse
    reason : why, a clause
    apart : the value with which it might not, if that had a grid; empty if there is none
    """

    sources: tuple[str, ...]
    reason: str
    apart: str = ""


def unmappable(graph: Graph) -> Obstacle | None:
    """The first that :func:`fuse` would refuse."""
    refusal = _lower_all(_State(graph, grids_of(graph), DEFAULT_TARGET, prove=False))
    if refusal is None:
        return None
    node, error = refusal
    apart = error.value if isinstance(error, _NoPlaceError) else ""
    return Obstacle(node.sources or (node.name,), str(error), apart)


class _NoPlaceError(Unsupported):
    """What reads an unrounded value cannot be absorbed by the kernel before it."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason)
        self.value = value


def _lower_all(state: _State) -> tuple[Node, Exception] | None:
    """Lower every node, up to the first that is refused."""
    wanted = wanted_layouts(state.graph)
    for name in state.graph.inputs:
        state.define(name, wanted.get(name) or Layout.channels_last(state.shape(name)))
    for node in state.graph.nodes:
        if not state.absorbed.isdisjoint(node.outputs):
            continue
        try:
            _lower(state, node)
        except (Unsupported, FinishError, WidthError) as error:
            return node, error
    return None


def wanted_layouts(graph: Graph) -> dict[str, Layout]:
    """For each value that is read, the order that its first reader's hardware wants, carried back
    through views and through what takes any order.
    """
    wanted: dict[str, Layout] = {}
    for node in reversed(graph.nodes):  # the first reader last, so that it has the last word
        for name in dict.fromkeys(node.inputs):
            layout = _wanted_by(graph, node, name, wanted)
            if layout is not None:
                wanted[name] = layout
    return wanted


def _wanted_by(graph: Graph, node: Node, name: str, wanted: Mapping[str, Layout]) -> Layout | None:
    """The order in which a node takes an input, None if that is all the same."""
    shape = graph.values[name].shape

    def behind(output: str) -> Layout:
        return wanted.get(output) or Layout.channels_last(graph.values[output].shape)

    if node.op.is_view:
        return node.op.view_back(behind(node.output), shape, graph.values[node.output].shape)
    if node.op.is_core:
        shapes = [graph.values[each].shape for each in node.inputs]
        layout = node.op.wanted_layout(shapes, node.inputs.index(name))
        if layout is not None:
            return layout
    same = [output for output in node.outputs if graph.values[output].shape == shape]
    return behind(same[0]) if same else None


def _lower(state: _State, node: Node) -> None:
    """Rename a view; turn a core, or a lone absorbed operator, into integer nodes."""
    source = state.streams[node.inputs[0]]
    if node.op.is_view or (node.op.rounds and state.grids[node.output] == source.qtype):
        shape, output = state.shape(node.inputs[0]), state.shape(node.output)
        layout = node.op.view(source.layout, shape, output) if node.op.is_view else source.layout
        if layout is None:
            # Axes that the stream's order cuts through are whole again in raster order.
            source = _reordered(state, source, Layout.raster(shape))
            layout = node.op.view(source.layout, shape, output)
            assert layout is not None, "every view takes raster order"
        qtype = _read_as(node, source)
        state.streams[node.output] = replace(source, shape=output, layout=layout, qtype=qtype)
    elif node.op.is_core:
        inputs = _wanted(state, node, [state.streams[name] for name in node.inputs])
        outputs = [_output_spec(state, value) for value in node.outputs]
        _emit(state, node, node.op.lower(inputs, outputs), inputs)
    elif (own_calls := node.op.alone(source)) is not None:
        _emit(state, node, own_calls, [source])
    else:
        (call,) = elementwise([source])
        (meaning,) = call.results
        assert isinstance(meaning, Meaning)
        own = _Chain([node], meaning.functions, node.output)
        own.functions = _absorb(state, node, own.functions, meaning)
        _emit(state, node, (call,), [source], started=own)


def _output_spec(state: _State, value: str) -> OutputSpec:
    """What is known of an output: the chain of its readers ends in what it is rounded to."""
    end = value
    while end not in state.grids:
        readers = state.graph.consumers(end)
        if len(readers) != 1 or len(readers[0].outputs) != 1:
            break
        end = readers[0].output
    return OutputSpec(state.shape(value), state.grids.get(value), state.grids.get(end))


def _read_as(node: Node, source: QTensor) -> QType:
    """The grid of a view's result: a DequantizeLinear says itself what the integers mean."""
    own = node.op.grid
    if own is None or node.op.rounds:
        return source.qtype
    if own.integers != source.qtype.integers:
        raise Unsupported(f"expected integers of the type {own.integers}, found {source.qtype}")
    return own


def _wanted(state: _State, node: Node, inputs: Sequence[QTensor]) -> list[QTensor]:
    """The inputs, in the orders that the node's hardware wants."""
    return [
        tensor if wanted is None else _reordered(state, tensor, wanted)
        for tensor, wanted in zip(inputs, node.op.wanted_layouts(inputs), strict=True)
    ]


def _reordered(state: _State, tensor: QTensor, wanted: Layout) -> QTensor:
    """A tensor in this order, through a buffer unless it has it; one serves all who want it."""
    if tensor.layout.same_order(wanted):
        return replace(tensor, layout=wanted)
    order = wanted.canonical
    at = (tensor.name, order)
    if at not in state.reordered:
        text = f"{'x'.join(map(str, order.dims))} as {''.join(map(str, order.perm))}"
        name = state.unused(f"{tensor.name}:{text}")
        kernel = reorder_between(tensor.layout, wanted, tensor.qtype.integers)
        if kernel is None:
            # No loops lead from axes to others that cross them: first to raster order, which has
            # all of them.
            tensor = _reordered(state, tensor, Layout.raster(tensor.shape))
            kernel = reorder_between(tensor.layout, wanted, tensor.qtype.integers)
            assert kernel is not None, "axes of no order cross those of raster order"
        state.reordered[at] = name
        state.tensors[name] = replace(tensor, name=name, layout=wanted)
        if state.prove:
            same = Direct(1, tensor.qtype.lo, tensor.qtype.hi)
            called = state.unused_node(name)
            state.nodes.append(QNode(called, kernel, (same,), (tensor.name,), (name,)))
    # Another view of the same stream may mean other reals by its integers.
    own = state.tensors[state.reordered[at]]
    return replace(own, shape=tensor.shape, layout=wanted, qtype=tensor.qtype)


@dataclass
class _Chain:
    """The operators that one output of a kernel takes, the functions so far, and the value."""

    nodes: list[Node]
    functions: Sequence[Function]
    value: str


@dataclass(frozen=True, eq=False)
class _Finishing:
    """One output of a kernel: the tensor, and what is rounded to it; no functions for accumulators
    that are the tensor's integers as they are.
    """

    tensor: QTensor
    functions: Sequence[Function]
    adjustable: bool = False


def _follow(state: _State, chain: _Chain, meaning: Meaning) -> _Chain:
    """Take operators into the finisher until the value lies on a grid."""
    while chain.value not in state.grids:
        readers = state.graph.consumers(chain.value)
        if len(readers) != 1:
            raise Unsupported(
                f"expected its unrounded result to have one reader, found {len(readers)}"
            )
        (follower,) = readers
        try:
            chain.functions = _absorb(state, follower, chain.functions, meaning)
        except Unsupported as reason:
            if not follower.op.absorbable:
                raise
            raise _NoPlaceError(str(reason), chain.value) from reason
        chain.nodes.append(follower)
        chain.value = follower.output
        state.absorbed.add(chain.value)
    return chain


def _absorb(
    state: _State, node: Node, functions: Sequence[Function], meaning: Meaning
) -> Sequence[Function]:
    if node.op.rounds:
        return functions
    if not node.op.absorbable:
        raise Unsupported(f"expected a quantised input for {node.op!r}, found an unrounded one")
    if len(functions) == 1:
        return node.op.absorb(functions, (1,), 0)
    shape, axis = state.shape(node.output), meaning.channel_axis
    if node.op.alike:
        first, count = functions[0], len(functions)
        # Millions of channels, of one kind mostly: no loop over them in Python. Those that are not
        # the same object are seldom compared, which takes longer.
        likely = all(function is first for function in functions[:: 1 + count // 64])
        if likely and functions.count(first) == count:
            return list(node.op.absorb([first], (1,), 0)) * count
        changed: dict[int, Function] = {}  # a padded row has many channels, of few kinds
        for function in functions:
            if id(function) not in changed:
                (changed[id(function)],) = node.op.absorb([function], (1,), 0)
        return [changed[id(function)] for function in functions]
    channels = shape[axis]
    groups = [functions[k : k + channels] for k in range(0, len(functions), channels)]
    return [f for group in groups for f in node.op.absorb(group, shape, axis)]


def _emit(
    state: _State,
    node: Node,
    calls: Sequence[Call],
    inputs: Sequence[QTensor],
    started: _Chain | None = None,
) -> None:
    """Integer nodes for the kernels of an operator (rules L1 to L3)."""
    names = [tensor.name for tensor in inputs]
    values = iter(node.outputs)
    for call in calls:
        made: list[str] = []
        finishing: list[_Finishing] = []
        taken = [node]
        crops: list[tuple[Op, QTensor, str]] = []
        for result in call.results:
            if isinstance(result, Inner):
                name = state.unused(f"{node.name}:{len(names) + len(made)}")
                tensor = QTensor(name, result.shape, result.qtype, result.layout)
                state.tensors[name] = tensor
                finishing.append(_Finishing(tensor, result.functions))
            else:
                chain = started or _Chain([node], result.functions, next(values))
                chain = _follow(state, chain, result)
                taken += chain.nodes[1:]
                if result.crop is None:
                    state.define(chain.value, result.layout)
                    tensor = state.tensors[chain.value]
                else:
                    name = state.unused(f"{chain.value}:whole")
                    grid = state.grids[chain.value]
                    tensor = QTensor(name, result.whole, grid, result.layout)
                    state.tensors[name] = tensor
                    crops.append((result.crop, tensor, chain.value))
                finishing.append(_Finishing(tensor, chain.functions, result.adjustable))
            made.append(finishing[-1].tensor.name)
        if state.prove:
            own = tuple(names[k] for k in call.inputs)
            state.nodes.append(_node(state, node, taken, call, own, finishing))
        names += made
        for crop, tensor, value in crops:
            own_node = Node(f"{node.name}:crop", crop, (tensor.name,), (value,), node.sources)
            wanted = _wanted(state, own_node, [tensor])
            spec = OutputSpec(state.shape(value), tensor.qtype)
            _emit(state, own_node, crop.lower(wanted, [spec]), wanted)


def _node(
    state: _State,
    node: Node,
    taken: Sequence[Node],
    call: Call,
    inputs: tuple[str, ...],
    finishing: Sequence[_Finishing],
) -> QNode:
    """One integer node, its finishers proven."""
    kernel: Kernel = call.kernel
    if len(finishing) == 1 and len(set(finishing[0].functions)) == 1:
        kernel = kernel.uniform()
    # No multiplier resolves what given scales say of wide accumulators, those of wide inputs too.
    wide = any(state.tensors[name].qtype.bits > EASED_ABOVE for name in inputs)
    finishers: list[Finisher] = []
    for each, ranges in zip(finishing, kernel.ranges, strict=True):
        qtype, functions = each.tensor.qtype, each.functions
        if not functions:
            finishers.append(Direct(len(ranges), qtype.lo, qtype.hi))
        else:
            # A uniform kernel has one range for all channels, whose functions are all the same.
            own = functions if len(functions) == len(ranges) else tuple(dict.fromkeys(functions))
            loose = wide or qtype.bits > EASED_ABOVE
            fixed = tuple(map(tuple, ranges))
            finishers.append(
                _finisher(tuple(own), fixed, qtype, each.adjustable, loose, state.target)
            )
    first = all(made.name != node.name for made in state.nodes)
    return QNode(
        node.name if first else state.unused_node(f"{node.name}:{len(state.nodes)}"),
        kernel,
        tuple(finishers),
        inputs,
        tuple(each.tensor.name for each in finishing),
        tuple(dict.fromkeys(source for each in taken for source in each.sources)),
    )


@lru_cache(maxsize=1024)
def _finisher(
    functions: tuple[Function, ...],
    ranges: tuple[tuple[Range, ...], ...],
    out: QType,
    adjustable: bool,
    wide: bool,
    target: Target,
) -> Finisher:
    """:func:`finish`, remembered: a search for widths fuses a graph a hundred times, and each time
    hardly a layer differs.
    """
    return finish(
        functions,
        ranges,
        out,
        adjustable=adjustable,
        wide=wide,
        price=lambda cost: price(cost, target).scalar,
    )


def _copy(state: _State, name: str) -> None:
    """Hardware for an output that is an input under another name: a slice of views only."""
    source = state.streams[name]
    (call,) = elementwise([source])
    kernel = call.kernel.uniform()
    copied = replace(source, name=state.unused(f"{name}:copy"))
    state.tensors[copied.name] = state.streams[name] = copied
    same = Direct(len(kernel.ranges[0]), source.qtype.lo, source.qtype.hi)
    called = state.unused_node(copied.name)
    state.nodes.append(QNode(called, kernel, (same,), (source.name,), (copied.name,)))
