# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From nodes to formulas: what the patterns of arithmetic share.

A pattern is a formula of one operand. Starting at a node (its *root*), every tensor behind it is
tried as the operand, and the nodes between the two are read as an
:class:`~.algebra.Expression`; if that is one that the pattern names, it matches.

Why not onnxscript's rewriter: a pattern for it fixes association and distribution (GELU alone has
some thirty spellings), it does not say which nodes a replacement stands for, without which the
model's parts cannot be the model's own nodes, and importing it takes 0.3 s (860 modules, SymPy
among them), where all of ``midwire inspect`` takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import onnx

from ...hw.formats.tensor import AnyArray
from ..ir.graph import Value
from ..load.constants import Context, attributes
from ..load.source import Source
from ..ops.base import Unsupported
from .algebra import (
    Atom,
    Expression,
    NotAFormulaError,
    X,
    as_expression,
    clip,
    exactly,
    function,
    of_atom,
)

_MOST_NODES = 24
"""Nodes behind a root that are looked at."""


@dataclass(frozen=True, eq=False)
class Match:
    """What a pattern found, and what stands in its place.

    Attributes
    ----------
    nodes : names of the nodes that it stands for, the root among them
    becomes : the nodes in their place, in order; the last makes what the root made
    constants : new constants that those read
    values : tensors between them, which the model does not have
    """

    nodes: frozenset[str]
    becomes: tuple[onnx.NodeProto, ...]
    constants: Mapping[str, AnyArray] = field(default_factory=dict)
    values: tuple[Value, ...] = ()


class Pattern(Protocol):
    """A pattern: one file."""

    @property
    def operator(self) -> str:
        """The ONNX operator that it means."""

    @property
    def before(self) -> str:
        """What exporters write, for people."""

    @property
    def after(self) -> str:
        """What it means, for people."""

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The pattern that ends at a node, if there is one."""


@dataclass(frozen=True)
class Found:
    """A formula in a model: ``y`` as a function of ``x``."""

    x: str
    y: str
    formula: Expression


Replacement = tuple[onnx.NodeProto, Mapping[str, AnyArray]]


@dataclass(frozen=True, eq=False)
class Formula:
    """A :class:`Pattern` of arithmetic.

    Attributes
    ----------
    operator, before, after : as the protocol says
    keys : operators, one of which every spelling has: where there is none, nothing is tried
    roots : operators that a spelling ends with
    replace : the node, and new constants, for a formula that is the pattern; None for others
    """

    operator: str
    before: str
    after: str
    keys: frozenset[str]
    roots: frozenset[str]
    replace: Callable[[Context, Found], Replacement | None]

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The formula that ends at a node, if there is one."""
        if root.domain or root.op_type not in self.roots:
            return None
        source = context.source
        if self.keys.isdisjoint(source.operators):
            return None
        behind = _behind(source, root)
        if not any(node.op_type in self.keys for node in behind):
            return None
        y = root.output[0]
        operands = dict.fromkeys(name for node in behind for name in source.activations(node))
        for x in operands:
            if not _same_kind(source, x, y):
                continue
            reader = _Reader(context, x)
            try:
                found = Found(x, y, reader.read(y))
            except NotAFormulaError:
                continue
            replacement = self.replace(context, found)
            if replacement is not None:
                node, constants = replacement
                return Match(frozenset(reader.nodes), (node,), constants)
        return None


def make_node(
    operator: str, inputs: Sequence[str], output: str, options: Mapping[str, str | float]
) -> onnx.NodeProto:
    """A node of one output, with its attributes."""
    node = onnx.helper.make_node(operator, inputs, [output], output)
    node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in options.items())
    return node


def unary(
    operator: str,
    before: str,
    after: str,
    keys: Sequence[str],
    forms: Sequence[tuple[Expression, Mapping[str, str | float]]],
) -> Formula:
    """A function of each element: the formulas that it has, each with the node's attributes."""
    known = dict(reversed(forms))

    def replace(context: Context, found: Found) -> Replacement | None:
        del context
        options = known.get(found.formula)
        if options is None:
            return None
        return make_node(operator, [found.x], found.y, options), {}

    roots = frozenset({"Mul", "Div", "Add"})
    return Formula(operator, before, after, frozenset(keys), roots, replace)


def _same_kind(source: Source, x: str, y: str) -> bool:
    """Whether two tensors have one shape and one type of reals."""
    first, second = source.values.get(x), source.values.get(y)
    if first is None or second is None or not first.dtype.startswith("float"):
        return False
    return first.shape == second.shape and first.dtype == second.dtype


def _behind(source: Source, root: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes of arithmetic that a root depends on, nearest first, the root among them."""
    found = {root.name: root}
    for node in (queue := [root]):
        for name in source.activations(node):
            maker = source.producers.get(name)
            if maker is None or maker.name in found or maker.op_type not in _RULES:
                continue
            if not maker.domain and len(found) < _MOST_NODES:
                found[maker.name] = maker
                queue.append(maker)
    return list(found.values())


class _Reader:
    """Reads tensors as formulas of ``x``; ``nodes`` are those on the way."""

    def __init__(self, context: Context, x: str) -> None:
        self.context = context
        self.nodes: set[str] = set()
        self._known: dict[str, Expression] = {x: X}

    def read(self, name: str) -> Expression:
        """The formula of a tensor. Raises NotAFormulaError if it has another operand."""
        if name not in self._known:
            self._known[name] = self._constant(name) or self._computed(name)
        return self._known[name]

    def _constant(self, name: str) -> Expression | None:
        if name not in self.context.source.constants:
            return None
        array = known_array(self.context, name)
        if array is None or array.size != 1:
            return of_atom(Atom("constant", None, (name,)))
        return as_expression(exactly(float(array.reshape(-1)[0])))

    def _computed(self, name: str) -> Expression:
        node = self.context.source.producers.get(name)
        rule = None if node is None or node.domain else _RULES.get(node.op_type)
        if node is None or rule is None or node.output[0] != name:
            raise NotAFormulaError
        if len(self.nodes) >= _MOST_NODES:
            raise NotAFormulaError
        self.nodes.add(node.name)
        return rule(self, node)


def known_array(context: Context, name: str) -> AnyArray | None:
    """The real values of a constant; None if it cannot be evaluated or is not finite."""
    try:
        constant = context.const(name)
    except Unsupported:
        return None
    return None if constant is None else constant.real


def _inputs(reader: _Reader, node: onnx.NodeProto) -> list[Expression]:
    return [reader.read(name) for name in node.input if name]


def _number(reader: _Reader, name: str) -> Fraction:
    """A constant of one element."""
    number = reader.read(name).number
    if number is None:
        raise NotAFormulaError
    return number


def _power(reader: _Reader, node: onnx.NodeProto) -> Expression:
    base, exponent = reader.read(node.input[0]), _number(reader, node.input[1])
    if exponent.denominator == 1 and 1 <= exponent <= 4:
        return base.power(int(exponent))
    if abs(exponent) == Fraction(1, 2):
        root = function("sqrt", base)
        return root if exponent > 0 else root.inverse()
    raise NotAFormulaError


def _clipped(reader: _Reader, node: onnx.NodeProto) -> Expression:
    """Clip, by attributes up to opset 10 and by inputs from 11."""
    options = attributes(node)
    bounds: list[Fraction | None] = []
    for position, name in ((1, "min"), (2, "max")):
        if len(node.input) > position and node.input[position]:
            bounds.append(_number(reader, node.input[position]))
        else:
            bounds.append(exactly(options[name]) if name in options else None)
    return clip(reader.read(node.input[0]), bounds[0], bounds[1])


def _bounded(reader: _Reader, node: onnx.NodeProto) -> Expression:
    """Min and Max with one constant."""
    if len(node.input) != 2:
        raise NotAFormulaError
    a, b = _inputs(reader, node)
    value, bound = (a, b.number) if a.number is None else (b, a.number)
    if bound is None:
        raise NotAFormulaError
    return clip(value, bound, None) if node.op_type == "Max" else clip(value, None, bound)


def _mean(reader: _Reader, node: onnx.NodeProto) -> Expression:
    """ReduceMean, whose axes stay: then it broadcasts against its operand."""
    options = attributes(node)
    value = reader.context.source.values.get(node.input[0])
    axes = options.get("axes")
    if len(node.input) > 1 and node.input[1]:
        array = known_array(reader.context, node.input[1])
        axes = None if array is None else array.reshape(-1)
    if value is None or axes is None or not options.get("keepdims", 1):
        raise NotAFormulaError
    rank = len(value.shape)
    return function("mean", reader.read(node.input[0]), *sorted(int(a) % rank for a in axes))


def _hard_sigmoid(reader: _Reader, node: onnx.NodeProto) -> Expression:
    options = attributes(node)
    slope, offset = exactly(options.get("alpha", 0.2)), exactly(options.get("beta", 0.5))
    inside = reader.read(node.input[0]) * slope + offset
    return clip(inside, Fraction(0), Fraction(1))


def _of(kind: str) -> Callable[[_Reader, onnx.NodeProto], Expression]:
    return lambda reader, node: function(kind, reader.read(node.input[0]))


def _pair(
    combine: Callable[[Expression, Expression], Expression],
) -> Callable[[_Reader, onnx.NodeProto], Expression]:
    return lambda reader, node: combine(*_inputs(reader, node))


_RULES: Mapping[str, Callable[[_Reader, onnx.NodeProto], Expression]] = {
    "Add": _pair(lambda a, b: a + b),
    "Sub": _pair(lambda a, b: a - b),
    "Mul": _pair(lambda a, b: a * b),
    "Div": _pair(lambda a, b: a / b),
    "Neg": lambda reader, node: -reader.read(node.input[0]),
    "Reciprocal": lambda reader, node: reader.read(node.input[0]).inverse(),
    "Identity": lambda reader, node: reader.read(node.input[0]),
    "Pow": _power,
    "Sqrt": _of("sqrt"),
    "Erf": _of("erf"),
    "Tanh": _of("tanh"),
    "Exp": _of("exp"),
    "Sigmoid": _of("sigmoid"),
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clipped,
    "Min": _bounded,
    "Max": _bounded,
    "Relu": lambda reader, node: clip(reader.read(node.input[0]), Fraction(0), None),
    "ReduceMean": _mean,
}
"""How each operator of arithmetic makes a formula of its inputs' formulas."""
