# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators on integers and their scales (ONNX Runtime's *QOperator* format), written out.

Each reads integers, scales and zero points, and means DequantizeLinear of its operands, an operator
on reals, and QuantizeLinear of the result. :data:`FORMS` has a line for each. The model keeps the
node itself, for its edge and cloud parts; inference and the rewriting stage ask here what it means.

The bias of a product is integers that count ``scale of x * scale of w``. No float32 is that
product, so the weights get a step of 1, the bias the scale of x, both exactly, and a Mul with the
scale of w follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .evaluate import infer_node, static_shape, tensor_type
from .expansion import STUMBLES, Pieces, inner_name, inner_node
from .source import MICROSOFT, kind_of, standard

Operand = tuple[int, int, int]
"""Which inputs of a node are an operand's integers, scale and zero point."""


@dataclass(frozen=True)
class Form:
    """What an operator of integers computes.

    Attributes
    ----------
    operator : on reals, in the default domain
    operands : of the operator, in order; none for as many as there are behind the result's
    result : which inputs are the scale and zero point of the result
    axis : of the second operand, along which its scales are, from the node's attributes; None
        where there is one scale
    bias : which input is the bias of a product
    dropped : attributes that the operator on reals does not have
    """

    operator: str
    operands: tuple[Operand, ...]
    result: tuple[int, int]
    axis: Callable[[Mapping[str, Any]], int] | None = None
    bias: int | None = None
    dropped: frozenset[str] = frozenset({"channels_last"})


_X, _W = (0, 1, 2), (3, 4, 5)

FORMS: Mapping[str, Form] = {
    "QLinearConv": Form("Conv", (_X, _W), (6, 7), axis=lambda _: 0, bias=8),
    "QLinearMatMul": Form("MatMul", (_X, _W), (6, 7), axis=lambda _: -1),
    f"{MICROSOFT}.QGemm": Form(
        "Gemm",
        (_X, _W),
        (7, 8),
        axis=lambda options: 0 if options.get("transB", 0) else 1,
        bias=6,
        dropped=frozenset({"alpha"}),
    ),
    f"{MICROSOFT}.QLinearAdd": Form("Add", (_X, _W), (6, 7)),
    f"{MICROSOFT}.QLinearAveragePool": Form("AveragePool", (_X,), (3, 4)),
    f"{MICROSOFT}.QLinearConcat": Form("Concat", (), (0, 1)),
    f"{MICROSOFT}.QLinearConv": Form("Conv", (_X, _W), (6, 7), axis=lambda _: 0, bias=8),
    f"{MICROSOFT}.QLinearGlobalAveragePool": Form("GlobalAveragePool", (_X,), (3, 4)),
    f"{MICROSOFT}.QLinearLeakyRelu": Form("LeakyRelu", (_X,), (3, 4)),
    f"{MICROSOFT}.QLinearMul": Form("Mul", (_X, _W), (6, 7)),
    f"{MICROSOFT}.QLinearSigmoid": Form("Sigmoid", (_X,), (3, 4)),
    f"{MICROSOFT}.QLinearSoftmax": Form(
        "Softmax", (_X,), (3, 4), dropped=frozenset({"axis", "opset"})
    ),
}


def grid_inputs(node: onnx.NodeProto) -> list[str]:
    """The inputs of an operator of integers that must be constant: scales and zero points."""
    form = FORMS.get(kind_of(node))
    if form is None:
        return []
    data = {operand[0] for operand in form.operands} or set(range(2, len(node.input), 3))
    data |= set() if form.bias is None else {form.bias}
    return [name for index, name in enumerate(node.input) if name and index not in data]


def wrong_with(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What is wrong with an operator of integers, as a clause; empty if nothing is.

    Parameters
    ----------
    shapes : of tensors, as far as they are known
    """
    return _wrong_attribute(node) or _wrong_grid(node, shapes)


def _wrong_attribute(node: onnx.NodeProto) -> str:
    """Which attribute of an operator of integers is of another type than the operator of reals has
    it, as a clause; empty if none is. The checker knows nothing of other domains.
    """
    form = FORMS.get(kind_of(node))
    known = {} if form is None else onnx.defs.get_schema(form.operator).attributes
    for given in node.attribute:
        if given.name not in known:
            continue
        expected = str(known[given.name].type).rpartition(".")[2].lower()
        found = onnx.AttributeProto.AttributeType.Name(given.type).lower()
        if found != expected:
            return f"expected {given.name} of type {expected}, found {found}"
    return ""


def _wrong_grid(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What is wrong with the shapes of an operator's scales and zero points, as a clause; empty if
    nothing is, or some are not given.
    """
    form = FORMS.get(kind_of(node))
    if form is None or not _is_given(node, form):
        return ""
    given = [*_operands_of(node, form), (-1, *form.result)]
    for index, (data, *grid) in enumerate(given):
        own = shapes.get(node.input[data], ()) if 0 <= data < len(node.input) else ()
        axis = form.axis(attributes(node)) if form.axis is not None and index == 1 else len(own)
        several = -len(own) <= axis < len(own)  # else it has one, or weights lack axes
        count = own[axis] if several else 1
        for name in (node.input[k] for k in grid if k < len(node.input)):
            shape = shapes.get(name, ())
            if math.prod(shape) == 1 or shape == (count,):
                continue
            if node.op_type == "QLinearMatMul" and shape == (*(1,) * (len(shape) - 1), count):
                continue  # as many axes as the matrix
            each = f", or one for each of {count} channels" if several else ""
            return (
                f"expected one scale and zero point for a tensor{each}, found the shape "
                f"{list(shape)} for {name!r}"
            )
    return ""


def _operands_of(node: onnx.NodeProto, form: Form) -> tuple[Operand, ...]:
    """Those of the form, or as many as there are behind the result's grid."""
    return form.operands or tuple((i, i + 1, i + 2) for i in range(2, len(node.input), 3))


def _is_given(node: onnx.NodeProto, form: Form) -> bool:
    """Whether all operands, of which there are some, have integers and a scale."""
    operands, names = _operands_of(node, form), node.input
    return bool(operands) and all(k < len(names) and names[k] for o in operands for k in o[:2])


def infer_pieces(pieces: Pieces, types: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """Types of what the nodes of :func:`write_out` make, by name, as far as ONNX can say.

    Parameters
    ----------
    types : those of what the nodes read
    """
    known = {**types, **{name: tensor_type(array) for name, array in pieces.constants.items()}}
    made: dict[str, onnx.TypeProto] = {}
    for node in pieces.nodes:
        found = infer_node(node, known, pieces.constants, onnx.defs.onnx_opset_version())
        made.update(found)
        known.update(found)
    return made


def write_out(node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto]) -> Pieces | None:
    """What an operator of integers means: nodes of the default domain, newest opset, of which the
    last has its output, and its name. None for another node, or for a form that is not known.

    Parameters
    ----------
    types : those of its inputs, as far as they are known
    """
    kind = kind_of(node)
    alike = standard(node)
    if alike is not node:
        return Pieces([alike])
    form, options = FORMS.get(kind), attributes(node)
    if form is None or options.get("channels_last", 0) or len(node.output) != 1:
        return None
    writer = _Writer(node, form, options, types)
    try:
        return writer.write() if writer.is_complete else None
    except STUMBLES:
        return None


class _Writer:
    def __init__(
        self,
        node: onnx.NodeProto,
        form: Form,
        options: Mapping[str, Any],
        types: Mapping[str, onnx.TypeProto],
    ) -> None:
        self._node, self._form, self._options, self._types = node, form, options, types
        self._operands = _operands_of(node, form)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, AnyArray] = {}

    def write(self) -> Pieces:
        """All nodes."""
        node, form = self._node, self._form
        operands = self._operands
        bias = "" if form.bias is None else self._input(form.bias)
        reals = [self._real(index, operand, bool(bias)) for index, operand in enumerate(operands)]
        if bias:
            reals.append(self._add("DequantizeLinear", "bias", bias, self._input(operands[0][1])))
        softmax = form.operator == "Softmax"
        real = self._softmax(*reals) if softmax else self._add(form.operator, "real", *reals)
        kept = [each for each in node.attribute if each.name not in form.dropped]
        self._nodes[-1].attribute.extend(kept)
        if bias:
            real = self._add("Mul", "steps", real, self._along_channels(operands[1]))
        if "alpha" in form.dropped and self._options.get("alpha", 1.0) != 1:  # the bias has it too
            alpha = self._constant("alpha", np.float32(self._options["alpha"]))
            real = self._add("Mul", "scaled", real, alpha)
        self._round(real, self._input(operands[0][0]))
        self._nodes[-1].name, self._nodes[-1].output[0] = node.name, node.output[0]
        return Pieces(self._nodes, self._constants)

    @property
    def is_complete(self) -> bool:
        """Whether all operands have integers and a scale, for a tensor or a channel, and a softmax
        has an axis of them: the checker knows nothing of other domains.
        """
        rank = len(self._shape(self._input(0)) or ())
        if self._form.operator == "Softmax":
            if not -rank <= int(self._options.get("axis", -1)) < rank:
                return False
        known = {name: self._shape(name) for name in self._node.input}
        shapes = {name: shape for name, shape in known.items() if shape is not None}
        return _is_given(self._node, self._form) and not wrong_with(self._node, shapes)

    def _shape(self, name: str) -> tuple[int, ...] | None:
        kind = self._types.get(name)
        return None if kind is None else static_shape(kind)

    def _input(self, position: int) -> str:
        return self._node.input[position] if position < len(self._node.input) else ""

    def _add(self, kind: str, word: str, *inputs: str, **options: Any) -> str:
        self._nodes.append(inner_node(self._node, word, kind, *inputs, **options))
        return self._nodes[-1].name

    def _constant(self, word: str, value: Any) -> str:
        name = inner_name(self._node, word)
        self._constants[name] = np.asarray(value)
        return name

    def _real(self, index: int, operand: Operand, biased: bool) -> str:
        """An operand dequantised; the weights of a product with a bias in steps of 1."""
        integers, scale, zero = (self._input(position) for position in operand)
        options: dict[str, Any] = {}
        if index and self._form.axis is not None:
            options["axis"] = self._form.axis(self._options)
        if index and biased:
            scale = self._constant("one", np.float32(1))
        inputs = [integers, scale, *([zero] if zero else [])]
        return self._add("DequantizeLinear", f"x{index}", *inputs, **options)

    def _along_channels(self, weights: Operand) -> str:
        """The scales of the weights, to multiply a product with: channels of an image stand before
        its spatial axes.
        """
        shape = self._shape(self._input(weights[0]))
        scale = self._input(weights[1])
        if self._form.operator != "Conv" or shape is None:
            return scale
        target = self._constant("channels", np.array([-1, *[1] * (len(shape) - 2)], np.int64))
        return self._add("Reshape", "scales", scale, target)

    def _softmax(self, x: str) -> str:
        """Along the last axis, which means the same in every opset: the node has the number of the
        opset that it is meant in, whatever that of the model.
        """
        shape = self._shape(self._input(0)) or ()
        last = len(shape) - 1
        axis = int(self._options.get("axis", -1)) % len(shape)
        if axis == last:
            return self._add("Softmax", "real", x, axis=-1)
        if self._options.get("opset", 13) < 13:  # the axis and all behind it are one
            joined = self._constant("joined", np.array([*shape[:axis], -1], np.int64))
            apart = self._constant("apart", np.array(shape, np.int64))
            shares = self._add("Softmax", "shares", self._add("Reshape", "one", x, joined), axis=-1)
            return self._add("Reshape", "real", shares, apart)
        order = list(range(len(shape)))
        order[axis], order[last] = last, axis
        turned = self._add("Transpose", "turned", x, perm=order)
        shares = self._add("Softmax", "shares", turned, axis=-1)
        return self._add("Transpose", "real", shares, perm=order)

    def _round(self, real: str, alike: str) -> None:
        """To the result's grid, if it has one; without a zero point, its type is the operands'."""
        scale, zero = (self._input(position) for position in self._form.result)
        if not scale:
            return
        if zero:
            self._add("QuantizeLinear", "rounded", real, scale, zero)
            return
        kind = self._types.get(alike)
        options = {} if kind is None else {"output_dtype": kind.tensor_type.elem_type}
        self._add("QuantizeLinear", "rounded", real, scale, **options)
