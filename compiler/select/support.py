# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a model midwire can compile, and why not the others: all refusals at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import onnx

from ..ir.graph import Node, Value
from ..load.batch import several_samples
from ..load.constants import Context
from ..load.source import Source, kind_of
from ..ops import REGISTRY
from ..ops.base import Imported, Op, Piece, Unsupported, WrongTensor
from ..rewrite.rewriting import Rewritten, Unit, rewrite
from .blame import with_roots
from .remedies import remedy_of

MOST_ELEMENTS = 1 << 24
"""Elements of a tensor inside of a slice: 16 channels of a picture of a million pixels."""


@dataclass(frozen=True, eq=False)
class NodeSupport:
    """The verdict on one unit of a model: a node, or the nodes that spell an operator out.

    Attributes
    ----------
    name : that of the (last) node
    op_type : the operator; the domain stands before the type if it is not the default one
    supported : whether import rules took it, or it only makes constants
    reason : why not; empty if it is supported
    constant : whether it only makes constants
    sources : names of the model's own nodes that it stands for, in order
    in_file : how many nodes of the file that are, where loading wrote some of them out
    part_of : the label of the pattern that it stays a node of, whose operator is not supported
    blamed : the tensors that it is refused for, if it is for what a tensor is
    follows : the name of the unsupported node that this refusal only follows from; empty if it is a
        root cause (:mod:`.blame`)
    pieces : the operators that it became, in order; none if it was not imported
    inner : the values between the pieces, by name
    inputs, outputs : the tensors of the model that it reads and makes, constants left out
    macs : multiply-accumulates of one inference; estimated from shapes where it is not supported
    """

    name: str
    op_type: str
    supported: bool
    reason: str
    constant: bool
    sources: tuple[str, ...]
    pieces: tuple[Piece, ...]
    inner: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    in_file: int = 1
    part_of: str = ""
    blamed: tuple[str, ...] = ()
    follows: str = ""

    @property
    def brief(self) -> str:
        """The reason, without the list of what is supported."""
        return self.reason.partition(" (supported:")[0]

    @property
    def label(self) -> str:
        """The operator, and in how many nodes it is spelled out."""
        if self.in_file == 1:
            return f"{self.op_type} of {self.part_of}" if self.part_of else self.op_type
        return f"{self.op_type} (spelled out in {self.in_file} nodes)"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The pieces as nodes of a :class:`~..ir.graph.Graph`."""
        names = [f"{self.name}::{index}" for index in range(len(self.pieces))]
        if len(names) == 1:
            names = [self.name]
        return tuple(
            Node(name, piece.op, piece.inputs, piece.outputs, self.sources)
            for name, piece in zip(names, self.pieces, strict=True)
        )


def import_all(
    source: Source,
    registry: Mapping[str, type[Op]] = REGISTRY,
    rewritten: Rewritten | None = None,
) -> tuple[NodeSupport, ...]:
    """Try the import rules of every unit, in topological order.

    A pattern whose operator is not supported stays spelled out where each of its nodes is supported
    by itself, or a product of matrices among them is: no pattern takes such work out of reach. What
    is not supported then says which operator it is part of. Without such work, one node of the file
    that loading wrote out (a quantiser of 17 bits) is not spelled out, and stays refused.
    ``rewritten`` is the source after rewriting, if that has been done already.
    """
    rewritten = rewritten or rewrite(source)
    context, own = Context(rewritten.source), Context(source)
    place = {node.name: index for index, node in enumerate(source.nodes)}
    verdicts: list[NodeSupport] = []
    for unit in rewritten.units:
        found = [_verdict(context, unit, registry)]
        if unit.operator and not found[0].supported:
            nodes = [Unit(node.name, (node,), (node,)) for node in unit.sources]
            spelled = [_verdict(own, node, registry) for node in nodes]
            works = any(
                verdict.supported and estimate_macs(source, node)
                for verdict, node in zip(spelled, unit.sources, strict=True)
            )
            if all(verdict.supported for verdict in spelled) and (works or found[0].in_file > 1):
                found = spelled
            elif works:
                found = [replace(verdict, part_of=found[0].label) for verdict in spelled]
        verdicts.extend(found)
    return with_roots(source, sorted(verdicts, key=lambda verdict: place[verdict.name]))


def _verdict(context: Context, unit: Unit, registry: Mapping[str, type[Op]]) -> NodeSupport:
    source = context.source
    last = unit.nodes[-1]
    constant = source.is_constant_node(last)
    outputs = tuple(name for name in last.output if name)
    imported = Imported(())
    reason, macs = "", 0
    blamed: tuple[str, ...] = ()
    try:
        if not constant or (last.domain and context.const(outputs[0]) is None):
            imported = _joined(context, unit, registry)
            macs = _macs(context, imported)
    except Unsupported as refusal:
        reason = str(refusal)
        blamed = refusal.tensors if isinstance(refusal, WrongTensor) else ()
    except _STUMBLES as error:
        reason = f"its import rule failed: {type(error).__name__}: {error}"
    if reason:
        imported = Imported(())
        macs = max(estimate_macs(source, node) for node in unit.nodes)
    in_file = {source.in_file(node) for node in unit.sources}
    kind = next(iter(in_file)).kind if len(in_file) == 1 else unit.operator
    made = {name for node in unit.nodes for name in node.output}
    read = (name for node in unit.nodes for name in source.activations(node))
    return NodeSupport(
        name=unit.name,
        op_type=kind,
        supported=not reason,
        reason=reason,
        constant=constant,
        sources=tuple(node.name for node in unit.sources),
        pieces=imported.pieces,
        inner={value.name: value for value in imported.inner},
        inputs=tuple(dict.fromkeys(name for name in read if name not in made)),
        outputs=outputs,
        macs=macs,
        in_file=len(in_file),
        blamed=blamed,
    )


def _joined(context: Context, unit: Unit, registry: Mapping[str, type[Op]]) -> Imported:
    """What all nodes of a unit become."""
    source = context.source
    nodes = [n for n in unit.nodes if n.domain or not source.is_constant_node(n)]
    parts = [_imported(context, node, registry) for node in nodes]
    between = [name for node in nodes[:-1] for name in node.output if name]
    joined = Imported(
        tuple(piece for part in parts for piece in part.pieces),
        tuple(value for part in parts for value in part.inner)
        + tuple(source.values[name] for name in between),
    )
    _check_inner(joined)
    return joined


def _imported(context: Context, node: onnx.NodeProto, registry: Mapping[str, type[Op]]) -> Imported:
    """What a node becomes. Where its own rule has nothing better to say, what ONNX finds wrong."""
    wrong = context.source.unsound.get(node.name)
    try:
        imported = _by_rule(context, node, registry)
    except (WrongTensor, *_STUMBLES):
        if wrong is None:
            raise
        raise Unsupported(wrong) from None
    if wrong is not None:
        raise Unsupported(wrong)
    return imported


_STUMBLES = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)
"""An import rule reads attributes and weights that another tool wrote: what it stumbles over is a
node that it cannot take, not the end of the listing.
"""


def _by_rule(context: Context, node: onnx.NodeProto, registry: Mapping[str, type[Op]]) -> Imported:
    kind = kind_of(node)
    rule = registry.get(kind)
    if node.name in context.source.refused:
        raise Unsupported(context.source.refused[node.name])
    if rule is None:
        shapes = {n: v.shape for n in node.input if (v := context.source.values.get(n))}
        if remedy := remedy_of(node, shapes):
            raise WrongTensor(context.source.activations(node), remedy)
        raise Unsupported(
            f"operator {kind} is not supported (supported: {', '.join(sorted(registry))})"
        )
    if several := several_samples(context.source, node):
        raise Unsupported(several)
    _check_sizes(context, node)
    imported = rule.import_node(context, node)
    pieces = tuple(
        replace(piece, outputs=piece.outputs or (node.output[0],)) for piece in imported.pieces
    )
    imported = replace(imported, pieces=pieces)
    _check_borders(context, node, imported)
    for piece in pieces:
        if piece.op.is_core or (piece.op.absorbable and not piece.op.is_view):
            _check_real(context, imported, piece)
    return imported


def _check_sizes(context: Context, node: onnx.NodeProto) -> None:
    """A few bytes of a model name any size: what no machine computes here is refused."""
    for name in (*context.source.activations(node), *node.output):
        value = context.source.values.get(name)
        if value is not None and math.prod(value.shape) > MOST_ELEMENTS:
            raise WrongTensor(
                [name],
                f"expected tensors of at most {MOST_ELEMENTS} elements, found the shape "
                f"{list(value.shape)} for {name!r}",
            )


def _check_borders(context: Context, node: onnx.NodeProto, imported: Imported) -> None:
    """The pieces read what the node reads, and make what others read of it."""
    source = context.source
    made = [name for piece in imported.pieces for name in piece.outputs]
    used = [name for name in node.output if context.is_read(name)]
    if any(name not in made for name in used):
        expected = [name for name in node.output if name in made]
        raise Unsupported(
            f"expected only the output {', '.join(expected)} in use, found {', '.join(used)}"
        )
    inside = {value.name for value in imported.inner}
    wrong = (inside & set(source.values)) | (set(made) - inside - set(node.output))
    assert not wrong, f"inner values are called {sorted(wrong)}"
    inputs = {name for piece in imported.pieces for name in piece.inputs} - inside
    activations = source.activations(node)
    if inputs != set(activations):
        raise Unsupported(
            f"expected the computed inputs {', '.join(sorted(inputs))}, "
            f"found {', '.join(activations)}"
        )


def _check_inner(imported: Imported) -> None:
    """Calibration cannot see inner values, so each is on a grid already, or needs none, or is only
    renamed to what it can see.
    """
    gridded: set[str] = set()
    inside = {value.name for value in imported.inner}
    for piece in imported.pieces:
        kept = piece.op.keeps_grid and all(n in gridded or n not in inside for n in piece.inputs)
        if kept or piece.op.grid is not None:
            gridded.update(piece.outputs)
    for name in sorted(inside - gridded):
        readers = [piece.op for piece in imported.pieces if name in piece.inputs]
        absorbed = len(readers) == 1 and (
            readers[0].rounds
            or readers[0].is_view
            or (readers[0].absorbable and not readers[0].needs_table)
        )
        assert absorbed, f"nothing gives the inner value {name!r} a grid"


def _check_real(context: Context, imported: Imported, piece: Piece) -> None:
    """Arithmetic on raw integers is not that of the reals that they mean, but for a maximum."""
    inside = {value.name: value.dtype for value in imported.inner}
    made = [name for k, name in enumerate(piece.outputs) if piece.op.made_grid(k) is not None]
    reads = () if piece.op.integers is not None else piece.inputs
    for name in (*reads, *piece.outputs):
        dtype = inside.get(name) or context.dtype(name)
        if not (dtype.startswith("float") or piece.op.compares or name in made):
            raise WrongTensor([name], f"expected real numbers, found {dtype} values, {name!r}")


def _macs(context: Context, imported: Imported) -> int:
    """Multiply-accumulates of all pieces. Every tensor must have a shape."""
    inside = {value.name: value.shape for value in imported.inner}

    def shape(name: str) -> tuple[int, ...]:
        return inside[name] if name in inside else context.shape(name)

    total = 0
    for piece in imported.pieces:
        outputs = [shape(name) for name in piece.outputs]
        total += piece.op.macs([shape(name) for name in piece.inputs], outputs[0])
    return total


def estimate_macs(source: Source, node: onnx.NodeProto) -> int:
    """Multiply-accumulates of a node by its shapes; 0 for other operators and unknown shapes."""
    rule = _MACS.get(kind_of(node)) or _MACS.get(node.op_type)
    shapes = [
        source.values[name].shape if name in source.values else None
        for name in [*node.input, *node.output[:1]]
    ]
    if rule is None or source.is_constant_node(node):
        return 0
    try:
        return rule(shapes[: len(node.input)], shapes[-1])
    except (IndexError, TypeError, ValueError):  # fewer inputs, or axes, than the operator has
        return 0


_Shapes = list[tuple[int, ...] | None]
_Estimate = Callable[[_Shapes, tuple[int, ...] | None], int]


def _conv(position: int) -> _Estimate:
    """Output elements times the taps and channels of one filter (O, I/group, ...)."""

    def rule(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
        weight = inputs[position]
        return 0 if weight is None or output is None else math.prod(output) * math.prod(weight[1:])

    return rule


def _conv_transpose(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
    """Input elements times the taps and channels of one filter (I, O/group, ...)."""
    del output
    x, weight = inputs[0], inputs[1]
    return 0 if x is None or weight is None else math.prod(x) * math.prod(weight[1:])


def _matmul(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
    """Output elements times the length of the sums (the last axis of the first operand)."""
    x = inputs[0]
    return 0 if not x or output is None else math.prod(output) * x[-1]


def _gemm(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
    """Elements of the first operand, transposed or not, times the columns of the output."""
    x = inputs[0]
    return 0 if x is None or not output else math.prod(x) * output[-1]


def _recurrent(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
    """Steps times both matrices, of all gates and directions: W on inputs, R on the state."""
    del output
    x, forwards, back = inputs[:3]
    if x is None or forwards is None or back is None:
        return 0
    return math.prod(x[:2]) * (math.prod(forwards) + math.prod(back))


def _attention(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
    """Queries with every key, and their shares of every value; heads lie beside each other."""
    queries, keys = inputs[0], inputs[1]
    if queries is None or not keys or output is None:
        return 0
    return (math.prod(queries) + math.prod(output)) * keys[-2]


def _projected_attention(inputs: _Shapes, output: tuple[int, ...] | None) -> int:
    """One matrix makes queries, keys and values of x, (batch, length, channels)."""
    x, weight = inputs[0], inputs[1]
    if x is None or not weight or output is None:
        return 0
    return math.prod(x) * weight[-1] + 2 * math.prod(output) * x[-2]


_MACS: Mapping[str, _Estimate] = {
    "Attention": _attention,
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "QGemm": _gemm,
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "DeformConv": _conv(1),
    "DynamicQuantizeLSTM": _recurrent,
    "DynamicQuantizeMatMul": _matmul,
    "FusedConv": _conv(1),
    "FusedGemm": _gemm,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "MatMulIntegerToFloat": _matmul,
    "MultiHeadAttention": _attention,
    "QLinearMatMul": _matmul,
    "RNN": _recurrent,
    "com.microsoft.Attention": _projected_attention,
}
