# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads nodes of arithmetic as formulas of an operand.

F1. A tensor is a formula of the operand, and that formula's own shape, which has as many axes as
    the operand: axes that are summed over have length 1 there.
F2. A tensor has the elements of its formula in their order, and any shape. So axes of length 1 may
    come and go (a sum without ``keepdims``, a Reshape or Unsqueeze that brings the axis back).
F3. Arithmetic on several tensors is that of their formulas where both broadcast alike: all have
    their formulas' shapes (but for leading axes of length 1), or all have one shape and their
    formulas too, or they have one element. Whatever else there is, is no formula.
F4. A mean is a sum times a number, for exporters write that as well; the number that they write may
    be the inverse rounded to float32.
F5. What is true is 1, what is false is 0: a comparison is whether a difference is positive, and
    Where is ``condition * (a - b) + b``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ..ir.algebra import (
    Atom,
    Expression,
    NotAFormulaError,
    X,
    as_expression,
    clip,
    exactly,
    function,
    odd,
    of_atom,
    positive,
)
from ..load.constants import Context, attributes
from ..load.source import Source
from ..ops import REGISTRY
from ..ops.base import Op, Unsupported
from ..ops.unary import UnaryOp


@dataclass(frozen=True)
class Found:
    """A formula in a model: ``y`` as a function of ``x``, and the nodes between them by name."""

    x: str
    y: str
    formula: Expression
    nodes: frozenset[str]


class Readings(Context):
    """A context that keeps what it reads: many roots have the same operand, and what is between.

    Roots come from the last to the first, so what is behind one is no longer wanted then.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.places = {node.name: place for place, node in enumerate(source.nodes)}
        self._activations = {node.name: source.activations(node) for node in source.nodes}
        self._readers: dict[str, dict[int, _Reader]] = {}  # by operand, then by how much they read
        self._behind: dict[int, list[onnx.NodeProto]] = {}  # of this root
        self._numbers: dict[str, Expression] = {}

    def read(self, x: str, y: str, most: int) -> Found | None:
        """A tensor as a formula of another one of its shape; None if it is none, or of more nodes.

        Both have a known shape.
        """
        readers = self._readers.setdefault(x, {})
        if most not in readers:
            readers[most] = _Reader(self, x, most)
        reader = readers[most]
        try:
            reading = reader.read(y)
            same = reading.shape == reader.shape(x) == reader.shape(y)
        except NotAFormulaError:
            return None
        return Found(x, y, reading.formula, reader.nodes(y)) if same else None

    def behind(self, root: onnx.NodeProto, most: int) -> list[onnx.NodeProto]:
        """Nodes of arithmetic that a root depends on, nearest first, the root among them; so many,
        until it is forgotten.
        """
        if most not in self._behind:
            self._behind[most] = self._all_behind(root, most)
        return self._behind[most]

    def _all_behind(self, root: onnx.NodeProto, most: int) -> list[onnx.NodeProto]:
        found = {root.name: root}
        for node in (queue := [root]):
            for name in self._activations[node.name]:
                maker = self.source.producers.get(name)
                if maker is None or maker.name in found or _rule(maker) is None:
                    continue
                if len(found) < most:
                    found[maker.name] = maker
                    queue.append(maker)
        return list(found.values())

    def operands(self, nodes: Iterable[str]) -> list[str]:
        """What nodes of the model read that is not constant, by their names, without repeats."""
        return list(dict.fromkeys(name for node in nodes for name in self._activations[node]))

    def meets(self, node: str) -> bool:
        """Whether a node of the model reads several tensors that are not constant."""
        return len(set(self._activations[node])) > 1

    def node(self, name: str) -> onnx.NodeProto:
        """A node of the model."""
        return self.source.nodes[self.places[name]]

    def forget(self, root: onnx.NodeProto) -> None:
        """No root that is asked for from now on is this one, or depends on it."""
        self._behind.clear()
        for name in root.output:
            self._readers.pop(name, None)

    def constant(self, name: str) -> Expression:
        """A constant: a number if all of its elements are that."""
        if name not in self._numbers:
            self._numbers[name] = self._constant(name)
        return self._numbers[name]

    def _constant(self, name: str) -> Expression:
        array = known_array(self, name)
        if array is None or not array.size or (array != array.flat[0]).any():
            return of_atom(Atom("constant", None, (name,)))
        return as_expression(exactly(float(array.flat[0])))


def known_array(context: Context, name: str, *, finite: bool = True) -> AnyArray | None:
    """The real values of a constant; None if it cannot be evaluated, is no number, or is not finite
    though it must be.
    """
    try:
        constant = context.const(name, finite=finite)
    except Unsupported:
        return None
    return None if constant is None else constant.real


def known_number(context: Context, name: str, left_out: float | None = None) -> float | None:
    """The real value of a constant of one element, None if it is none; of one ``left_out``."""
    if not name:
        return left_out
    array = known_array(context, name)
    return None if array is None or array.size != 1 else float(array.reshape(-1)[0])


@dataclass(frozen=True, slots=True)
class _Reading:
    """A tensor as a formula, with the formula's shape (rules F1 and F2)."""

    formula: Expression
    shape: tuple[int, ...]


class _TooFarError(NotAFormulaError):
    """More nodes are between. Those nearer to the operand may be fewer."""


class _Reader:
    """Reads tensors as formulas of ``x``, of so many nodes at most, each tensor once.

    Nodes on the way are kept as a bit for each node behind the one that makes ``x``.
    """

    def __init__(self, context: Readings, x: str, most: int) -> None:
        self.context = context
        self._most = most
        self._whole = context.source.values[x].shape
        maker = context.source.producers.get(x)
        self._first = 0 if maker is None else context.places[maker.name] + 1
        self._known: dict[str, tuple[_Reading, int] | None] = {x: (_Reading(X, self._whole), 0)}
        self._open: list[int] = []  # nodes of what is being read, the innermost last

    def read(self, name: str) -> _Reading:
        """A tensor as a formula. Raises NotAFormulaError if it has another operand."""
        if name not in self._known:
            self._known[name] = self._found(name)
        found = self._known[name]
        if found is None:
            raise NotAFormulaError
        reading, nodes = found
        if self._open:
            self._open[-1] |= nodes
        return reading

    def nodes(self, name: str) -> frozenset[str]:
        """Names of the nodes on the way to a tensor that was read."""
        found, all_nodes = self._known[name], self.context.source.nodes
        nodes = found[1] if found else 0
        behind = (k for k in range(nodes.bit_length()) if nodes >> k & 1)
        return frozenset(all_nodes[self._first + k].name for k in behind)

    def number(self, name: str) -> Fraction:
        """A constant whose elements are one number."""
        number = self.read(name).formula.number
        if number is None:
            raise NotAFormulaError
        return number

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that a tensor has in the model."""
        value = self.context.source.values.get(name)
        if value is None:
            raise NotAFormulaError
        return value.shape

    def broadcast(self, names: Sequence[str]) -> tuple[int, ...]:
        """Shape of the formula that arithmetic on tensors makes (rule F3)."""
        shapes = {(self.shape(name), self.read(name).shape) for name in names}
        shapes = {(own, formula) for own, formula in shapes if math.prod(formula) != 1}
        if len(shapes) > 1 and any(self._aligned(own) != formula for own, formula in shapes):
            raise NotAFormulaError
        return np.broadcast_shapes((1,) * len(self._whole), *(formula for _, formula in shapes))

    def total(
        self, name: str, formula: Expression, axes: Sequence[int], kind: str = "sum"
    ) -> tuple[_Reading, int]:
        """The sum ("max": the largest) of a formula of a tensor's shape over some of its axes, and
        of how many elements.

        Axes of length 1 are no part of it, so that they need not be named to be the same sum.
        """
        own, shape = self.shape(name), self.read(name).shape
        if self._aligned(own) != shape:
            raise NotAFormulaError
        missing = len(shape) - len(own)
        over = sorted({axis % len(own) + missing for axis in axes})
        over = [axis for axis in over if axis >= 0 and shape[axis] != 1]
        if any(shape[axis] != self._whole[axis] for axis in over):
            raise NotAFormulaError
        left = tuple(1 if axis in over else size for axis, size in enumerate(shape))
        count = math.prod(shape[axis] for axis in over)
        return _Reading(function(kind, formula, *over) if over else formula, left), count

    def expanded(self, name: str, output: str) -> _Reading:
        """A tensor that is broadcast to the shape of another one."""
        reading, own, wanted = self.read(name), self.shape(name), self.shape(output)
        if math.prod(own) == math.prod(wanted):
            return reading
        if self._aligned(own) != reading.shape:
            raise NotAFormulaError
        return _Reading(reading.formula, self._aligned(wanted))

    def _aligned(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape with as many axes as the operand, by leading ones of length 1."""
        extra = len(shape) - len(self._whole)
        if any(size != 1 for size in shape[: max(extra, 0)]):
            raise NotAFormulaError
        return (1,) * -extra + shape[max(extra, 0) :]

    def _found(self, name: str) -> tuple[_Reading, int] | None:
        try:
            if name in self.context.source.constants:
                shape = self._aligned(self.shape(name))
                return _Reading(self.context.constant(name), shape), 0
            return self._computed(name)
        except _TooFarError:
            raise
        except NotAFormulaError:
            return None

    def _computed(self, name: str) -> tuple[_Reading, int]:
        node = self.context.source.producers.get(name)
        rule = None if node is None else _rule(node)
        if node is None or rule is None or node.output[0] != name:
            raise NotAFormulaError
        place = self.context.places[node.name] - self._first
        if place < 0:  # it stands before the operand
            raise NotAFormulaError
        if len(self._open) >= self._most:
            raise _TooFarError
        self._open.append(1 << place)
        try:
            reading = rule(self, node)
        finally:
            nodes = self._open.pop()
        if nodes.bit_count() > self._most:
            raise NotAFormulaError
        return reading, nodes


def _inputs(reader: _Reader, node: onnx.NodeProto) -> list[Expression]:
    return [reader.read(name).formula for name in node.input if name]


def _power(reader: _Reader, node: onnx.NodeProto) -> Expression:
    base, exponent = reader.read(node.input[0]).formula, reader.number(node.input[1])
    if exponent.denominator == 1 and 1 <= abs(exponent) <= 4:
        power = base.power(abs(int(exponent)))
    elif abs(exponent) == Fraction(1, 2):
        power = function("sqrt", base)
    else:
        raise NotAFormulaError
    return power if exponent > 0 else power.inverse()


def _clipped(reader: _Reader, node: onnx.NodeProto) -> Expression:
    """Clip, by attributes up to opset 10 and by inputs from 11."""
    options = attributes(node)
    bounds: list[Fraction | None] = []
    for position, name in ((1, "min"), (2, "max")):
        if len(node.input) > position and node.input[position]:
            bounds.append(reader.number(node.input[position]))
        else:
            bounds.append(exactly(options[name]) if name in options else None)
    return clip(reader.read(node.input[0]).formula, bounds[0], bounds[1])


def _bounded(reader: _Reader, node: onnx.NodeProto) -> Expression:
    """Min and Max of two; JAX writes a constant that is no bound."""
    if len(node.input) != 2:
        raise NotAFormulaError
    a, b = _inputs(reader, node)
    no_bound = -math.inf if node.op_type == "Max" else math.inf
    for name, other in zip(node.input, (b, a), strict=True):
        array = known_array(reader.context, name, finite=False)
        if array is not None and (array == no_bound).all():
            return other
    value, bound = (a, b.number) if a.number is None else (b, a.number)
    if bound is None:  # one, and what the other has more, or less
        value, bound = b - a, Fraction(0)
    else:
        a = as_expression(0)
    return a + (clip(value, bound, None) if node.op_type == "Max" else clip(value, None, bound))


def _hard_sigmoid(reader: _Reader, node: onnx.NodeProto) -> Expression:
    options = attributes(node)
    slope, offset = exactly(options.get("alpha", 0.2)), exactly(options.get("beta", 0.5))
    inside = reader.read(node.input[0]).formula * slope + offset
    return clip(inside, Fraction(0), Fraction(1))


def _above(a: Expression) -> Expression:
    return clip(a, Fraction(0), None)


def _two_lines(a: Expression, slope: Expression) -> Expression:
    return _above(a) + clip(a, None, Fraction(0)) * slope


def _by_operator(reader: _Reader, node: onnx.NodeProto) -> Expression:
    """What an operator of one element says of itself."""
    try:
        op = REGISTRY[node.op_type].import_node(reader.context, node).pieces[0].op
    except Unsupported as error:
        raise NotAFormulaError from error
    if not isinstance(op, UnaryOp):
        raise NotAFormulaError
    (a,) = _inputs(reader, node)
    return op.formula.with_leaves(lambda _: a)


def _rule(node: onnx.NodeProto) -> _Rule | None:
    """How a node makes a formula of its inputs' formulas."""
    if node.domain:
        return None
    rule = _RULES.get(node.op_type)
    if rule is None and issubclass(REGISTRY.get(node.op_type, Op), UnaryOp):
        return _elementwise(_by_operator)
    return rule


def _axes(reader: _Reader, node: onnx.NodeProto) -> Sequence[int]:
    """Axes of a reduction, an attribute before opset 13 or 18 and an input since; none are all."""
    options = attributes(node)
    axes = options.get("axes", ())
    if len(node.input) > 1 and node.input[1]:
        array = known_array(reader.context, node.input[1])
        if array is None:
            raise NotAFormulaError
        axes = [int(axis) for axis in array.reshape(-1)]
    if not axes and not options.get("noop_with_empty_axes", 0):
        axes = range(len(reader.shape(node.input[0])))
    return axes


def _mean(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    name = node.input[0]
    total, count = reader.total(name, reader.read(name).formula, _axes(reader, node))
    return _Reading(total.formula / count, total.shape)


def _sum(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    name = node.input[0]
    return reader.total(name, reader.read(name).formula, _axes(reader, node))[0]


def _largest(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    name = node.input[0]
    return reader.total(name, reader.read(name).formula, _axes(reader, node), "max")[0]


def _sum_of_squares(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    name = node.input[0]
    return reader.total(name, reader.read(name).formula.power(2), _axes(reader, node))[0]


def _root_of_squares(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    squares = _sum_of_squares(reader, node)
    return _Reading(function("sqrt", squares.formula), squares.shape)


def _size(argument: Expression) -> Expression:
    return function("abs", argument)


def _sum_of_sizes(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    name = node.input[0]
    return reader.total(name, _size(reader.read(name).formula), _axes(reader, node))[0]


def _instance_normalised(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    """InstanceNormalization whose channels are scaled alike, as tf2onnx writes a LayerNorm."""
    name, axes = node.input[0], range(2, len(reader.shape(node.input[0])))
    reading, scale, bias = reader.read(name), *(reader.number(n) for n in node.input[1:3])
    total, count = reader.total(name, reading.formula, axes)
    centred = reading.formula - total.formula / count
    squares, _ = reader.total(name, centred.power(2), axes)
    epsilon = exactly(attributes(node).get("epsilon", 1e-5))
    deviation = function("sqrt", squares.formula / count + epsilon)
    return _Reading(centred / deviation * scale + bias, reading.shape)


def passes_on(context: Context, node: onnx.NodeProto) -> bool:
    """Whether a node's first output is its first input: Identity, a Cast to the type that it has,
    Dropout in inference.
    """
    if node.domain or node.op_type not in ("Identity", "Cast", "Dropout"):
        return False
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        training = known_array(context, node.input[2])
        return training is not None and not training.any()
    values = [context.source.values.get(name) for name in (node.input[0], node.output[0])]
    return values[0] is not None and values[1] is not None and values[0].dtype == values[1].dtype


def _passed_on(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    if not passes_on(reader.context, node) and not _counts(reader.context, node):
        raise NotAFormulaError
    return reader.read(node.input[0])


def _counts(context: Context, node: onnx.NodeProto) -> bool:
    """A Cast of what is true or false to a real number, 1 or 0, as rule F5 has it."""
    values = [context.source.values.get(name) for name in (node.input[0], node.output[0])]
    if node.op_type != "Cast" or values[0] is None or values[1] is None:
        return False
    return values[0].dtype == "bool" and values[1].dtype.startswith("float")


def _chosen(condition: Expression, a: Expression, b: Expression) -> Expression:
    if condition.atoms("constant"):  # a mask, which is no real number
        raise NotAFormulaError
    return condition * (a - b) + b


def _either(a: Expression, b: Expression) -> Expression:
    return a + b - a * b


def _differs(a: Expression, b: Expression) -> Expression:
    return positive(a - b) + positive(b - a)


_Rule = Callable[[_Reader, onnx.NodeProto], _Reading]


def _elementwise(formula: Callable[[_Reader, onnx.NodeProto], Expression]) -> _Rule:
    return lambda reader, node: _Reading(
        formula(reader, node), reader.broadcast([name for name in node.input if name])
    )


def _of(combine: Callable[..., Expression]) -> _Rule:
    return _elementwise(lambda reader, node: combine(*_inputs(reader, node)))


def _function(kind: str) -> _Rule:
    return _of(lambda a: function(kind, a))


def _same(reader: _Reader, node: onnx.NodeProto) -> _Reading:
    """The same elements in the same order (rule F2)."""
    return reader.read(node.input[0])


_RULES: Mapping[str, _Rule] = {
    "Add": _of(lambda a, b: a + b),
    "Sub": _of(lambda a, b: a - b),
    "Mul": _of(lambda a, b: a * b),
    "Div": _of(lambda a, b: a / b),
    "Neg": _of(lambda a: -a),
    "Reciprocal": _of(lambda a: a.inverse()),
    "Pow": _elementwise(_power),
    "Sqrt": _function("sqrt"),
    "Erf": _of(lambda a: odd("erf", a)),
    "Tanh": _of(lambda a: odd("tanh", a)),
    "Exp": _function("exp"),
    "PRelu": _of(_two_lines),
    "Sigmoid": _function("sigmoid"),
    "HardSigmoid": _elementwise(_hard_sigmoid),
    "Clip": _elementwise(_clipped),
    "Min": _elementwise(_bounded),
    "Max": _elementwise(_bounded),
    "Relu": _of(_above),
    "Abs": _of(_size),
    "Sign": _of(lambda a: positive(a) - positive(-a)),
    "Greater": _of(lambda a, b: positive(a - b)),
    "GreaterOrEqual": _of(lambda a, b: 1 + -positive(b - a)),
    "Less": _of(lambda a, b: positive(b - a)),
    "LessOrEqual": _of(lambda a, b: 1 + -positive(a - b)),
    "Equal": _of(lambda a, b: 1 + -_differs(a, b)),
    "Not": _of(lambda a: 1 + -a),
    "And": _of(lambda a, b: a * b),
    "Or": _of(_either),
    "Xor": _of(lambda a, b: a + b - 2 * (a * b)),
    "Where": _of(_chosen),
    "ReduceL1": _sum_of_sizes,
    "ReduceL2": _root_of_squares,
    "ReduceMax": _largest,
    "ReduceMean": _mean,
    "ReduceSum": _sum,
    "ReduceSumSquare": _sum_of_squares,
    "InstanceNormalization": _instance_normalised,
    "Expand": lambda reader, node: reader.expanded(node.input[0], node.output[0]),
    "Cast": _passed_on,
    "Dropout": _passed_on,
    "Identity": _passed_on,
    "Reshape": _same,
    "Flatten": _same,
    "Squeeze": _same,
    "Unsqueeze": _same,
}
"""How each operator makes a formula of its inputs' formulas."""
