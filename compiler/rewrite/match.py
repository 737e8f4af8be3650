# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a pattern is, and what the patterns of arithmetic share.

Those are formulas of one operand. Starting at a node (its *root*), every tensor behind it is tried
as the operand, and the nodes between the two are read (:mod:`.reading`) as an
:class:`~..ir.algebra.Expression`; if that is one that the pattern names, it matches.

Why not onnxscript's rewriter: a pattern for it fixes association and distribution (GELU alone has
some thirty spellings), it does not say which nodes a replacement stands for, without which the
model's parts cannot be the model's own nodes, and importing it takes 0.3 s (860 modules, SymPy
among them), where all of ``midwire inspect`` takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import onnx

from ...hw.formats.tensor import AnyArray
from ..ir.algebra import Expression, NotAFormulaError
from ..ir.graph import Value
from ..load.constants import Context
from ..load.source import Source
from .reading import Found, Readings


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

    def match(self, context: Readings, root: onnx.NodeProto) -> Match | None:
        """The pattern that ends at a node, if there is one."""


@dataclass(frozen=True, eq=False)
class Formula:
    """A :class:`Pattern` of arithmetic.

    Attributes
    ----------
    operator, before, after : as the protocol says
    keys : operators, one of which every spelling has: where there is none, nothing is tried; empty
        if there are too many to name
    roots : operators that a spelling ends with
    replace : what stands in its place, for a formula that is the pattern; None for others
    most : nodes behind a root that are looked at. In a model that is all arithmetic it takes time
        in proportion to it, so it is not much more than the longest spelling has.
    """

    operator: str
    before: str
    after: str
    keys: frozenset[str]
    roots: frozenset[str]
    replace: Callable[[Readings, Found], Match | None]
    most: int

    def match(self, context: Readings, root: onnx.NodeProto) -> Match | None:
        """The formula that ends at a node, if there is one."""
        if root.domain or root.op_type not in self.roots:
            return None
        source = context.source
        if self.keys and self.keys.isdisjoint(source.operators):
            return None
        nodes = context.behind(root, self.most)
        if self.keys and not any(node.op_type in self.keys for node in nodes):
            return None
        y = root.output[0]
        for x in context.operands(node.name for node in nodes):
            found = context.read(x, y, self.most) if _same_kind(source, x, y) else None
            match = None if found is None else self._replaced(context, found)
            if match is not None:
                return match
        return None

    def _replaced(self, context: Readings, found: Found) -> Match | None:
        """Algebra on a formula that was read may end where its reading would have."""
        try:
            return self.replace(context, found)
        except NotAFormulaError:
            return None


def make_node(
    operator: str,
    inputs: Sequence[str],
    output: str,
    options: Mapping[str, str | float | Sequence[int] | Sequence[str]],
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

    def replace(context: Context, found: Found) -> Match | None:
        del context
        options = known.get(found.formula)
        if options is None:
            return None
        return Match(found.nodes, (make_node(operator, [found.x], found.y, options),))

    roots = frozenset({"Mul", "Div", "Add"})
    return Formula(operator, before, after, frozenset(keys), roots, replace, most=20)


def _same_kind(source: Source, x: str, y: str) -> bool:
    """Whether two tensors have one shape and one type of reals."""
    first, second = source.values.get(x), source.values.get(y)
    if first is None or second is None or not first.dtype.startswith("float"):
        return False
    return first.shape == second.shape and first.dtype == second.dtype
