# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reductions that ONNX defines by others only since opset 18, written out for older models.

R1. ReduceL1 is the sum of sizes, ReduceLogSum the logarithm of a sum.
R2. ReduceLogSumExp is ``log(sum(exp(x - m))) + m`` with the largest element ``m``, for sums of
    exponentials by themselves would overflow, or be 0 in float32 as runtimes do not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .expansion import Expansion, Pieces, Rule, inner_name, inner_node, named_node
from .source import kind_of

SINCE = 18
"""The opset that defines them by other operators."""

_AXES_ARE_AN_INPUT = 13
"""Of ReduceSum, since this opset; of all others here, since :data:`SINCE`."""


def expand_log_sums(found: Expansion, opset: int) -> None:
    """Write out the reductions of a sorted model with unique names (rules R1 and R2)."""
    if opset >= SINCE:
        return

    def rule_of(node: onnx.NodeProto) -> Rule | None:
        rule = _RULES.get(kind_of(node))
        return None if rule is None else lambda node: rule(_Reduction(node, opset))

    if any(kind_of(node) in _RULES for node in found.model.graph.node):
        found.write_out(rule_of)


class _Reduction:
    """A reduction that is being written out."""

    def __init__(self, node: onnx.NodeProto, opset: int) -> None:
        self.node = node
        self.opset = opset
        self.constants: dict[str, AnyArray] = {}
        axes = attributes(node).get("axes")
        self._given: dict[str, Any] = {} if axes is None else {"axes": axes}
        self.kept = int(attributes(node).get("keepdims", 1))

    def sum(self, x: str, output: str = "") -> onnx.NodeProto:
        """The sum over the node's axes: inside, or as the output of the node."""
        inputs = [x]
        options = {"keepdims": self.kept} | self._given
        if "axes" in options and self.opset >= _AXES_ARE_AN_INPUT:
            inputs.append(inner_name(self.node, "axes"))
            self.constants[inputs[-1]] = np.array(options.pop("axes"), np.int64)
        if output:
            return named_node(self.node, output, "ReduceSum", *inputs, **options)
        return inner_node(self.node, "total", "ReduceSum", *inputs, **options)

    def largest(self, x: str, word: str, kept: int) -> onnx.NodeProto:
        """The largest element over the node's axes."""
        return inner_node(self.node, word, "ReduceMax", x, keepdims=kept, **self._given)


def _sizes(reduction: _Reduction) -> Pieces:
    """Rule R1."""
    node = reduction.node
    sizes = inner_node(node, "sizes", "Abs", node.input[0])
    total = reduction.sum(sizes.output[0], node.output[0])
    return Pieces([sizes, total], reduction.constants)


def _logarithm(reduction: _Reduction) -> Pieces:
    """Rule R1."""
    node = reduction.node
    total = reduction.sum(node.input[0])
    return Pieces(
        [total, named_node(node, node.output[0], "Log", total.output[0])], reduction.constants
    )


def _exponentials(reduction: _Reduction) -> Pieces:
    """Rule R2."""
    node, kept = reduction.node, reduction.kept
    (x,) = node.input
    largest = reduction.largest(x, "largest", 1)
    below = inner_node(node, "below", "Sub", x, largest.output[0])
    powers = inner_node(node, "powers", "Exp", below.output[0])
    total = reduction.sum(powers.output[0])
    log = inner_node(node, "log", "Log", total.output[0])
    back = largest if kept else reduction.largest(x, "back", 0)
    last = named_node(node, node.output[0], "Add", log.output[0], back.output[0])
    nodes = [largest, below, powers, total, log, *([] if kept else [back]), last]
    return Pieces(nodes, reduction.constants)


_RULES: Mapping[str, Callable[[_Reduction], Pieces]] = {
    "ReduceL1": _sizes,
    "ReduceLogSum": _logarithm,
    "ReduceLogSumExp": _exponentials,
}
