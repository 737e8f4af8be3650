# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a model midwire can compile, and why not the others: all refusals at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx

from ..load.batch import several_samples
from ..load.constants import Context
from ..load.source import Source
from ..ops import REGISTRY
from ..ops.base import Op, Unsupported


@dataclass(frozen=True, eq=False)
class NodeSupport:
    """The verdict on one node.

    Attributes
    ----------
    name, op_type : the node's own; the domain stands before the type if it is not the default one
    supported : whether an import rule took it, or it only makes constants
    reason : why not; empty if it is supported
    constant : whether it only makes constants
    op, inputs : the operator and its value inputs, if it was imported
    output : the tensor that it makes (the first one)
    macs : multiply-accumulates of one inference; estimated from shapes where it is not supported
    """

    name: str
    op_type: str
    supported: bool
    reason: str
    constant: bool
    op: Op | None
    inputs: tuple[str, ...]
    output: str
    macs: int


def import_all(
    source: Source, registry: Mapping[str, type[Op]] = REGISTRY
) -> tuple[NodeSupport, ...]:
    """Try every node's import rule, in the order of :attr:`Source.nodes`."""
    context = Context(source)
    return tuple(_verdict(source, context, node, registry) for node in source.nodes)


def _verdict(
    source: Source, context: Context, node: onnx.NodeProto, registry: Mapping[str, type[Op]]
) -> NodeSupport:
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    output = next((name for name in node.output if name), "")
    if not node.domain and source.is_constant_node(node):
        return NodeSupport(node.name, kind, True, "", True, None, (), output, 0)
    op: Op | None = None
    inputs: list[str] = []
    reason, macs = "", 0
    try:
        op, inputs = _imported(source, context, node, kind, registry)
        shapes = [context.shape(name) for name in inputs]
        macs = op.macs(shapes, context.shape(output))
    except Unsupported as refusal:
        reason = str(refusal)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        # An import rule reads attributes and weights that another tool wrote: what it stumbles over
        # is a node that it cannot take, not the end of the listing.
        reason = f"its import rule failed: {type(error).__name__}: {error}"
    if reason:
        op, inputs, macs = None, [], estimate_macs(source, node)
    constant = source.is_constant_node(node)
    return NodeSupport(
        node.name, kind, not reason, reason, constant, op, tuple(inputs), output, macs
    )


def _imported(
    source: Source,
    context: Context,
    node: onnx.NodeProto,
    kind: str,
    registry: Mapping[str, type[Op]],
) -> tuple[Op, list[str]]:
    rule = None if node.domain else registry.get(node.op_type)
    if rule is None:
        raise Unsupported(
            f"operator {kind} is not supported (supported: {', '.join(sorted(registry))})"
        )
    if several := several_samples(source, node):
        raise Unsupported(several)
    op, inputs = rule.import_node(context, node)
    used = [n for n in node.output if n in source.consumers or n in source.outputs]
    if len(used) > 1:
        raise Unsupported(f"expected one output in use, found {len(used)}: {', '.join(used)}")
    if used and used[0] != node.output[0]:
        raise Unsupported(f"expected the first output in use, found {used[0]!r}")
    if op.is_core or (op.absorbable and not op.is_view):
        _check_real(context, [*inputs, node.output[0]], op)
    activations = source.activations(node)
    if sorted(set(inputs)) != sorted(activations):
        raise Unsupported(
            f"expected the computed inputs {', '.join(inputs)}, found {', '.join(activations)}"
        )
    return op, inputs


def _check_real(context: Context, names: list[str], op: Op) -> None:
    """Arithmetic on raw integers is not that of the reals that they mean, but for a maximum."""
    for name in names:
        dtype = context.dtype(name)
        if not dtype.startswith("float") and not (op.is_core and op.keeps_grid):
            raise Unsupported(f"expected real numbers, found {dtype} values, {name!r}")


def estimate_macs(source: Source, node: onnx.NodeProto) -> int:
    """Multiply-accumulates of a node by its shapes; 0 for other operators and unknown shapes."""
    rule = _MACS.get(node.op_type)
    shapes = [
        source.values[name].shape if name in source.values else None
        for name in [*node.input, *node.output[:1]]
    ]
    if rule is None or source.is_constant_node(node):
        return 0
    try:
        return rule(shapes[: len(node.input)], shapes[-1])
    except (IndexError, TypeError):
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


_MACS: Mapping[str, _Estimate] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "Gemm": _matmul,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
}
