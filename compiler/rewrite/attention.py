# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Scaled dot products of attention, as exporters wrote them before opset 23.

What splits heads (Reshape, Transpose) stays outside; Attention takes it as it comes, and keys the
other way round. A divisor goes to the queries: its inverse may be no float32. What only passes a
tensor on (Dropout in inference) is part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx

from ..ir.graph import Value
from ..load.constants import Context, attributes
from ..load.source import Source
from .match import Match
from .reading import known_number, passes_on


@dataclass(frozen=True)
class _Scores:
    """``product * factor + mask``, or ``/ factor``, with ``product = queries @ keys``: names of
    tensors, empty for none.
    """

    queries: str
    keys: str
    product: str
    factor: str = ""
    divides: bool = False
    mask: str = ""


@dataclass(frozen=True)
class Attention:
    """A :class:`~.match.Pattern`."""

    operator: str = "Attention"
    before: str = "MatMul(Softmax(MatMul(q, k^T) * scale [+ mask]), v)"
    after: str = "Attention<scale>(q, k, v, mask)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The product of weights and values."""
        source = context.source
        softmax = _maker(context, root.input[0], "Softmax") if _is(root, "MatMul") else None
        if softmax is None or not _over_last(context, softmax):
            return None
        scores = _scores(context, softmax.input[0])
        if scores is None or root.input[1] in source.constants:
            return None
        rank = _rank(source, scores, softmax.input[0], root.input[1])
        becomes = _becomes(context, root, scores, rank) if rank else None
        return becomes and Match(_nodes(source, root, scores), becomes[0], values=becomes[1])


def _rank(source: Source, scores: _Scores, masked: str, values: str) -> int:
    """How many axes all have, 3 or 4; 0 where Attention would not broadcast as the products do.

    A mask of three axes has Attention's heads first, but matrices of three axes its batch: it must
    be one for all of them.
    """
    names = (scores.queries, scores.keys, values, scores.product, masked)
    shapes = [source.values[name].shape for name in names if name in source.values]
    ranks = {len(shape) for shape in shapes}
    if len(shapes) < len(names) or ranks not in ({3}, {4}):
        return 0
    q, k, v, product, sum_ = shapes
    if sum_ != product or product[:-2] != q[:-2] or k[:1] != q[:1] or k[:-2] != v[:-2]:
        return 0
    mask = source.values[scores.mask].shape if scores.mask else ()
    return 0 if len(q) == len(mask) == 3 and mask[0] != 1 else len(q)


def _is(node: onnx.NodeProto | None, kind: str) -> bool:
    return node is not None and not node.domain and node.op_type == kind


def _maker(context: Context, name: str, kind: str) -> onnx.NodeProto | None:
    """The node of a kind that makes a tensor, behind what only passes it on."""
    node = context.source.producers.get(name)
    while node is not None and passes_on(context, node) and name == node.output[0]:
        name = node.input[0]
        node = context.source.producers.get(name)
    return node if _is(node, kind) else None


def _nodes(source: Source, root: onnx.NodeProto, scores: _Scores) -> frozenset[str]:
    """The root and the nodes between it and what Attention takes."""
    given = {scores.queries, scores.keys, scores.factor, scores.mask}
    found, needed = {root.name}, [root.input[0]]
    while needed:
        name = needed.pop()
        node = source.producers.get(name)
        if node is not None and name not in given and name not in source.constants:
            found.add(node.name)
            needed.extend(node.input)
    return frozenset(found)


def _over_last(context: Context, softmax: onnx.NodeProto) -> bool:
    """Before opset 13, the default axis was 1, and all axes from the given one on were one."""
    value = context.source.values.get(softmax.output[0])
    axis = attributes(softmax).get("axis", 1 if context.opset < 13 else -1)
    return value is not None and axis % len(value.shape) == len(value.shape) - 1


def _scores(context: Context, name: str) -> _Scores | None:
    """What a Softmax takes, if it is a product, perhaps scaled, perhaps masked."""
    node = _maker(context, name, "Add")
    if node is None:
        return _scaled(context, name)
    for inner, mask in (node.input, node.input[::-1]):
        found = _scaled(context, inner)
        if found is not None:
            return replace(found, mask=mask)
    return None


def _scaled(context: Context, name: str) -> _Scores | None:
    """A product, perhaps with a constant factor or divisor."""
    product = _maker(context, name, "MatMul")
    if product is not None:
        queries, keys = product.input
        return _Scores(queries, keys, product.output[0])
    divisor = _maker(context, name, "Div")
    node = divisor or _maker(context, name, "Mul")
    if node is None:
        return None
    for inner, factor in (node.input, node.input[::-1])[: 1 if divisor else 2]:
        product = _maker(context, inner, "MatMul")
        if product is not None and factor in context.source.constants:
            queries, keys = product.input
            return _Scores(queries, keys, product.output[0], factor, divisor is not None)
    return None


_Becomes = tuple[tuple[onnx.NodeProto, ...], tuple[Value, ...]]


def _becomes(context: Context, root: onnx.NodeProto, scores: _Scores, rank: int) -> _Becomes | None:
    """The nodes, and the tensors between them."""
    source = context.source
    options: dict[str, Any] = {"scale": 1.0}
    if rank == 3:
        options.update(q_num_heads=1, kv_num_heads=1)
    nodes: list[onnx.NodeProto] = []
    values: list[Value] = []

    def add(kind: str, word: str, inputs: list[str], shape: tuple[int, ...], **given: Any) -> str:
        name = f"{root.name}::{word}"
        nodes.append(onnx.helper.make_node(kind, inputs, [name], name, **given))
        values.append(Value(name, shape))
        return name

    queries = scores.queries
    if scores.factor:
        factor = known_number(context, scores.factor)
        if factor is None:
            return None
        if scores.divides:
            shape = source.values[queries].shape
            queries = add("Div", "scaled", [queries, scores.factor], shape)
        else:
            options["scale"] = factor
    shape = source.values[scores.keys].shape
    perm = [*range(rank - 2), rank - 1, rank - 2]
    keys = add("Transpose", "keys", [scores.keys], tuple(shape[i] for i in perm), perm=perm)
    inputs = [queries, keys, root.input[1], *([scores.mask] if scores.mask else [])]
    nodes.append(onnx.helper.make_node("Attention", inputs, root.output, root.name, **options))
    return tuple(nodes), tuple(values)


ATTENTION = Attention()
