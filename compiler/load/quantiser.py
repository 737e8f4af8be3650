# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rounding to a grid, spelled out in arithmetic: where it is in a graph, and what it does.

Constants know it, which become integers on a grid, and so does the pattern for activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx

from ..ops.base import Const, Unsupported
from .source import Source


class Constants(Protocol):
    """Who knows the constants of a model."""

    source: Source

    def const(self, name: str) -> Const | None:
        """The constant behind a name; None if there is none."""


@dataclass(frozen=True)
class Quantiser:
    """``(clip(round(x / scale + zero_point), low, high) - zero_point) * scale``.

    Or, where ``bipolar``, ``-scale`` where ``x < 0``, else ``scale``.

    Attributes
    ----------
    x, scale : names of tensors
    zero_point : name of a tensor; empty for 0
    low, high : the smallest and the largest integer
    nodes : names of the nodes that spell it out
    """

    x: str
    scale: str
    zero_point: str
    low: int
    high: int
    nodes: frozenset[str]
    bipolar: bool = False

    def quantised(self, constants: Constants, shape: tuple[int, ...]) -> Const | None:
        """A constant that it rounds, as integers: those that float32 arithmetic gives, as in ONNX
        Runtime. None if something in it is not known.
        """
        x, scale = constants.const(self.x), constants.const(self.scale)
        zero = constants.const(self.zero_point) if self.zero_point else Const(np.zeros((), int))
        if x is None or scale is None or zero is None or x.shape != shape:
            return None
        real, step = x.real.astype(np.float32), scale.real.astype(np.float32)
        if not (step > 0).all():
            return None
        offset = zero.real.astype(np.float32)
        if self.bipolar:
            integers = np.where(real < 0, -1, 1)
        else:
            integers = np.clip(np.rint(real / step + offset), self.low, self.high)
        return Const(integers.astype(np.int64), step, offset.astype(np.int64))


def find_quantiser(constants: Constants, root: onnx.NodeProto) -> Quantiser | None:
    """The quantiser that ends at a node, if there is one."""
    if root.domain:
        return None
    reader = _Reader(constants.source.producers, constants, {root.name})
    try:
        if root.op_type == "Mul":
            return reader.uniform(root)
        return reader.bipolar(root) if root.op_type == "Where" else None
    except _NoQuantiserError:
        return None


class _NoQuantiserError(Exception):
    """Something else is spelled out."""


@dataclass
class _Reader:
    producers: Mapping[str, onnx.NodeProto]
    constants: Constants
    nodes: set[str]

    def maker(self, name: str, *kinds: str) -> onnx.NodeProto:
        """The node behind a tensor, one of these kinds."""
        node = self.producers.get(name)
        if node is None or node.domain or node.op_type not in kinds:
            raise _NoQuantiserError
        self.nodes.add(node.name)
        return node

    def operand(self, node: onnx.NodeProto, *kinds: str) -> tuple[onnx.NodeProto, str]:
        """The node behind one operand of two, one of these kinds, and the other operand."""
        first, second = node.input
        try:
            return self.maker(first, *kinds), second
        except _NoQuantiserError:
            return self.maker(second, *kinds), first

    def uniform(self, root: onnx.NodeProto) -> Quantiser:
        """Mul, Sub, Clip and Round in either order, Add, Div; without a zero point no Sub, Add."""
        node, scale = self.operand(root, "Sub", "Clip", "Round")
        zero = ""
        if node.op_type == "Sub":
            zero = node.input[1]
            node = self.maker(node.input[0], "Clip", "Round")
        other = "Round" if node.op_type == "Clip" else "Clip"
        clip = node if node.op_type == "Clip" else None
        node = self.maker(node.input[0], other)
        clip = clip or node
        node = self.maker(node.input[0], "Add" if zero else "Div")
        if zero:
            node, added = self.operand(node, "Div")
            if added != zero:
                raise _NoQuantiserError
        if node.input[1] != scale or len(clip.input) != 3:
            raise _NoQuantiserError
        low, high = (self.whole(name) for name in clip.input[1:])
        return Quantiser(node.input[0], scale, zero, low, high, frozenset(self.nodes))

    def bipolar(self, root: onnx.NodeProto) -> Quantiser:
        """Where, Less than 0, Neg."""
        condition, minus, scale = root.input
        less = self.maker(condition, "Less")
        if self.whole(less.input[1]) or self.maker(minus, "Neg").input[0] != scale:
            raise _NoQuantiserError
        return Quantiser(less.input[0], scale, "", -1, 1, frozenset(self.nodes), bipolar=True)

    def whole(self, name: str) -> int:
        """A constant that is one whole number."""
        try:
            constant = self.constants.const(name)
        except Unsupported:  # no finite number
            raise _NoQuantiserError from None
        if constant is None or constant.values.size != 1:
            raise _NoQuantiserError
        value = float(constant.real.reshape(-1)[0])
        if not value.is_integer():
            raise _NoQuantiserError
        return int(value)
