# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime's optimisers fuse (domain ``com.microsoft``, version 1, and layer norms that
they put into the default domain of any opset), written out while loading in the standard operators
that it was before.

U1. Each means what ONNX Runtime's documentation of its contributed operators says.
U2. A layer norm stays one operator where the model's opset has it.
U3. FusedMatMul that transposes needs ranks, so it is written out once those are known, one after
    the other: nothing infers shapes through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .expansion import (
    Expansion,
    OtherMeaningError,
    Pieces,
    Rule,
    inner_name,
    inner_node,
)
from .infer import analyse
from .source import kind_of

DOMAIN = "com.microsoft"

_LAYER_NORM_VERSION = 17
_AXES_ARE_INPUTS = 18


def expand_fused_operators(found: Expansion) -> None:
    """Write out what needs no shapes (rules U1 and U2)."""
    opset = next((e.version for e in found.model.opset_import if e.domain == ""), 1)
    sizes = {tensor.name: tuple(tensor.dims) for tensor in found.model.graph.initializer}

    def rule_of(node: onnx.NodeProto) -> Rule | None:
        kind = kind_of(node)
        if kind == "LayerNormalization" and opset >= _LAYER_NORM_VERSION:
            return None
        rule = _RULES.get(kind)
        if rule is None or (kind == f"{DOMAIN}.FusedMatMul" and _transposes(node)):
            return None
        return lambda node: rule(_Writer(node, opset, sizes))

    found.write_out(rule_of)


def expand_transposed_products(
    found: Expansion, opset: int, initialisers: Mapping[str, AnyArray]
) -> None:
    """Write out every FusedMatMul whose operands have known ranks (rule U3)."""
    while any(kind_of(node) == f"{DOMAIN}.FusedMatMul" for node in found.model.graph.node):
        types = analyse(found.model, opset, initialisers).types
        ranks = {
            name: len(kind.tensor_type.shape.dim)
            for name, kind in types.items()
            if kind.tensor_type.HasField("shape")
        }
        before = len(found.written)

        def rule_of(node: onnx.NodeProto, ranks: dict[str, int] = ranks) -> Rule | None:
            if kind_of(node) != f"{DOMAIN}.FusedMatMul" or not ranks.keys() >= {*node.input}:
                return None
            return lambda node: _product(_Writer(node, opset, {}), ranks)

        found.write_out(rule_of)
        if len(found.written) == before:
            return


@dataclass
class _Writer:
    """The nodes that one node becomes.

    Attributes
    ----------
    node, opset : what is written out, and the version of the default domain
    sizes : shapes of the model's initialisers
    nodes, constants : what there is so far
    """

    node: onnx.NodeProto
    opset: int
    sizes: Mapping[str, tuple[int, ...]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The node's attributes."""
        return dict(attributes(self.node))

    def input(self, place: int) -> str:
        """The name of an input, empty if it is left out."""
        return self.node.input[place] if place < len(self.node.input) else ""

    def add(self, kind: str, *inputs: str, **options: Any) -> str:
        """One more node; what it makes."""
        self.nodes.append(inner_node(self.node, f"{len(self.nodes)}", kind, *inputs, **options))
        return self.nodes[-1].output[0]

    def number(self, value: float | AnyArray) -> str:
        """A constant of float32, or an array as it is."""
        name = inner_name(self.node, f"constant{len(self.constants)}")
        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        self.constants[name] = array
        return name

    def refuse_outputs(self, first: int, last: int) -> None:
        """Statistics that some of these operators put out."""
        if any(self.node.output[first:last]):
            raise OtherMeaningError(
                f"expected no use of outputs {first} to {last - 1} (statistics), found one"
            )

    def done(self, last: str) -> Pieces:
        """The node that made ``last`` makes the node's first output, and has its name."""
        node = next(each for each in self.nodes if each.output[0] == last)
        for each in self.nodes:
            each.input[:] = [self.node.output[0] if name == last else name for name in each.input]
        node.output[0], node.name = self.node.output[0], self.node.name
        return Pieces(self.nodes, self.constants)


def _gelu(w: _Writer) -> Pieces:
    return w.done(_gelu_of(w, w.input(0)))


def _bias_gelu(w: _Writer) -> Pieces:
    return w.done(_gelu_of(w, w.add("Add", w.input(0), w.input(1))))


def _gelu_of(w: _Writer, x: str) -> str:
    error = w.add("Erf", w.add("Div", x, w.number(math.sqrt(2))))
    return w.add("Mul", w.add("Mul", x, w.add("Add", error, w.number(1))), w.number(0.5))


def _fast_gelu(w: _Writer) -> Pieces:
    x = w.add("Add", w.input(0), w.input(1)) if w.input(1) else w.input(0)
    cube = w.add("Mul", w.add("Mul", x, w.add("Mul", x, x)), w.number(0.044715))
    inside = w.add("Mul", w.add("Add", x, cube), w.number(math.sqrt(2 / math.pi)))
    share = w.add("Add", w.add("Tanh", inside), w.number(1))
    return w.done(w.add("Mul", w.add("Mul", x, share), w.number(0.5)))


def _quick_gelu(w: _Writer) -> Pieces:
    x, alpha = w.input(0), w.options.get("alpha", 1.702)
    inside = x if alpha == 1 else w.add("Mul", x, w.number(alpha))
    return w.done(w.add("Mul", x, w.add("Sigmoid", inside)))


def _layer_normalization(w: _Writer) -> Pieces:
    w.refuse_outputs(1, 3)
    return w.done(_normal(w, w.input(0), w.input(1), w.input(2)))


def _root_normalization(w: _Writer) -> Pieces:
    w.refuse_outputs(1, 2)
    return w.done(_normal(w, w.input(0), w.input(1), "", centred=False))


def _skip_layer_normalization(w: _Writer) -> Pieces:
    w.refuse_outputs(1, 3)
    return w.done(_normal(w, _skipped(w, 4), w.input(2), w.input(3)))


def _skip_root_normalization(w: _Writer) -> Pieces:
    w.refuse_outputs(1, 3)
    return w.done(_normal(w, _skipped(w, 3), w.input(2), "", centred=False))


def _skipped(w: _Writer, bias: int) -> str:
    """Both summed, with a bias, which is the fourth output."""
    total = w.add("Add", w.input(0), w.input(1))
    if w.input(bias):
        total = w.add("Add", total, w.input(bias))
    if len(w.node.output) > 3 and w.node.output[3]:
        w.nodes[-1].output[0] = total = w.node.output[3]
    return total


def _normal(w: _Writer, x: str, scale: str, bias: str, *, centred: bool = True) -> str:
    """A layer norm, or one by the root mean square (not ``centred``), of the last axis."""
    default = 1e-12 if w.node.domain == DOMAIN else 1e-5
    epsilon, axis = w.options.get("epsilon", default), w.options.get("axis", -1)
    if centred and w.opset >= _LAYER_NORM_VERSION:
        inputs = [x, scale, *([bias] if bias else [])]
        return w.add("LayerNormalization", *inputs, axis=axis, epsilon=epsilon)
    if axis != -1:
        raise OtherMeaningError(f"expected a norm of the last axis, found axis {axis}")
    away = w.add("Sub", x, _mean(w, x)) if centred else x
    spread = _mean(w, w.add("Mul", away, away))
    root = w.add("Sqrt", w.add("Add", spread, w.number(epsilon)))
    normal = w.add("Mul", w.add("Div", away, root), scale)
    return w.add("Add", normal, bias) if bias else normal


def _mean(w: _Writer, x: str) -> str:
    if w.opset < _AXES_ARE_INPUTS:
        return w.add("ReduceMean", x, axes=[-1], keepdims=1)
    return w.add("ReduceMean", x, w.number(np.array([-1], np.int64)), keepdims=1)


def _convolution(w: _Writer) -> Pieces:
    kept = {key: v for key, v in w.options.items() if not key.startswith("activation")}
    y = w.add("Conv", *[name for name in list(w.node.input)[:3] if name], **kept)
    if w.input(3):
        y = w.add("Add", y, w.input(3))
    return w.done(_activated(w, y, w.options.get("activation_params", [])))


def _gemm(w: _Writer) -> Pieces:
    options = w.options
    kept = {key: v for key, v in options.items() if not key.startswith("activation")}
    names = [f"activation_{word}" for word in ("alpha", "beta")]
    y = w.add("Gemm", *[name for name in w.node.input if name], **kept)
    return w.done(_activated(w, y, [options[name] for name in names if name in options]))


def _activated(w: _Writer, y: str, numbers: list[float]) -> str:
    kind = w.options.get("activation", "")
    if kind == "":
        return y
    if kind == "Clip":
        return w.add("Clip", y, *[w.number(value) for value in numbers])
    names = _ACTIVATIONS.get(kind)
    if names is None:
        raise OtherMeaningError(
            f"expected one of the activations {', '.join([*_ACTIVATIONS, 'Clip'])}, found {kind}"
        )
    return w.add(kind, y, **dict(zip(names, numbers, strict=False)))


_ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
}
"""The operator of each, and what its parameters are called."""


def _transposes(node: onnx.NodeProto) -> bool:
    flags = ("transA", "transB", "transBatchA", "transBatchB")
    return any(a.name in flags and a.i for a in node.attribute)


def _product(w: _Writer, ranks: Mapping[str, int] | None = None) -> Pieces:
    """``transBatch`` says that the first axis belongs before the last; then ``trans`` swaps those
    two (rule U3).
    """
    options = w.options
    operands = []
    for name, letter in zip(w.node.input[:2], "AB", strict=True):
        first, swapped = (options.get(f"{key}{letter}", 0) for key in ("transBatch", "trans"))
        if ranks is not None and (first or swapped):
            order = list(range(ranks[name]))
            if first:
                order.insert(len(order) - 2, order.pop(0))
            if swapped:
                order[-2:] = order[:-3:-1]
            name = w.add("Transpose", name, perm=order)
        operands.append(name)
    product, alpha = w.add("MatMul", *operands), options.get("alpha", 1.0)
    return w.done(product if alpha == 1 else w.add("Mul", product, w.number(alpha)))


def _attention(w: _Writer) -> Pieces:
    """Queries, keys and values are one product with a matrix (columns)."""
    if any(list(w.node.input)[3:]) or w.options.get("unidirectional", 0):
        raise OtherMeaningError("expected an Attention of all positions, found a mask or a past")
    width = w.sizes.get(w.input(1), (0, 0))[-1]
    sizes = w.options.get("qkv_hidden_sizes", [width // 3] * 3)
    if not width or sum(sizes) != width:
        raise OtherMeaningError(
            "expected a constant matrix of queries, keys and values, found none"
        )
    every = w.add("MatMul", w.input(0), w.input(1))
    if w.input(2):
        every = w.add("Add", every, w.input(2))
    parts, start = [], 0
    for size in sizes:
        ends = [np.array([at], np.int64) for at in (start, start + size, -1)]
        parts.append(w.add("Slice", every, *[w.number(end) for end in ends]))
        start += size
    return _weighed(w, parts, sizes[0])


def _multi_head_attention(w: _Writer) -> Pieces:
    """Queries, keys and values are three inputs, and their biases lie one behind the other."""
    if any(list(w.node.input)[4:]) or w.options.get("unidirectional", 0) or not w.input(2):
        raise OtherMeaningError(
            "expected queries, keys and values of all positions, found a mask, a past or packed "
            "ones"
        )
    parts = list(w.node.input[:3])
    width = w.sizes.get(w.input(3), (0,))[0] // 3
    if not width:
        raise OtherMeaningError("expected a constant bias, found none")
    for place, part in enumerate(parts):
        ends = [np.array([at], np.int64) for at in (place * width, (place + 1) * width, 0)]
        bias = w.add("Slice", w.input(3), *[w.number(end) for end in ends])
        parts[place] = w.add("Add", part, bias)
    return _weighed(w, parts, width)


def _weighed(w: _Writer, parts: list[str], width: int) -> Pieces:
    """The scaled dot product of heads, side by side in rows of ``width``."""
    heads = w.options.get("num_heads", 0)
    if heads < 1 or width % heads:
        raise OtherMeaningError(f"expected heads that share {width} columns, found {heads}")
    apart = w.number(np.array([0, 0, heads, -1], np.int64))
    orders = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    q, k, v = (
        w.add("Transpose", w.add("Reshape", part, apart), perm=order)
        for part, order in zip(parts, orders, strict=True)
    )
    scale = w.options.get("scale", 0.0) or 1 / math.sqrt(width // heads)
    scores = w.add("Mul", w.add("MatMul", q, k), w.number(scale))
    found = w.add("MatMul", w.add("Softmax", scores, axis=-1), v)
    rows = w.add("Transpose", found, perm=[0, 2, 1, 3])
    return w.done(w.add("Reshape", rows, w.number(np.array([0, 0, -1], np.int64))))


_RULES: Mapping[str, Callable[[_Writer], Pieces]] = {
    "LayerNormalization": _layer_normalization,
    "SimplifiedLayerNormalization": _root_normalization,
    f"{DOMAIN}.Attention": _attention,
    f"{DOMAIN}.BiasGelu": _bias_gelu,
    f"{DOMAIN}.FastGelu": _fast_gelu,
    f"{DOMAIN}.FusedConv": _convolution,
    f"{DOMAIN}.FusedGemm": _gemm,
    f"{DOMAIN}.FusedMatMul": _product,
    f"{DOMAIN}.Gelu": _gelu,
    f"{DOMAIN}.MultiHeadAttention": _multi_head_attention,
    f"{DOMAIN}.QuickGelu": _quick_gelu,
    f"{DOMAIN}.SkipLayerNormalization": _skip_layer_normalization,
    f"{DOMAIN}.SkipSimplifiedLayerNormalization": _skip_root_normalization,
}
"""Rule U1."""
