# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How long a constant takes to compute, whose size says little: a window may hold any number of
elements, and a product may sum over any.

Counted is about a nanosecond of the ONNX reference evaluator, which loops in Python over some
operators, and lays out the windows of others in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import onnx

from .ranks import dims_of

MAX_WORK = 1 << 31
"""Of one node."""

MAX_WORK_TOGETHER = 1 << 34
"""Of all nodes of a model."""

_NEVER = 1 << 62
_LOOP = 1000
_STEP = 50_000
_LAID_OUT = 16
_REAL = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)

_Types = list[onnx.TypeProto]


def work_of(node: onnx.NodeProto, inputs: _Types, outputs: _Types) -> int:
    """What a node of the default domain takes, but for what goes with the size of its tensors.

    Parameters
    ----------
    inputs, outputs : types of those that it has, shapes in numbers
    """
    rule = _RULES.get(node.op_type)
    if rule is None:
        return 0
    options = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return rule(inputs, _elements(outputs), options)


def _shape(kind: onnx.TypeProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in dims_of(kind))


def _elements(kinds: _Types) -> int:
    return sum(math.prod(_shape(kind)) for kind in kinds)


_Rule = Callable[[_Types, int, Mapping[str, Any]], int]


def _product(weights: int) -> _Rule:
    """Sums of products; ``weights`` is the place of the second matrix."""

    def rule(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
        rows = _shape(inputs[weights])[-2:]
        if not rows:
            return 0
        return _macs(inputs, size * rows[-1 if options.get("transB", 0) else 0])

    return rule


def _windows(weights: int) -> _Rule:
    """Products of filters with windows, all of which are in memory at once."""

    def rule(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
        shape = _shape(inputs[weights])
        filters, each = math.prod(shape[:1]), math.prod(shape[1:])
        laid_out = size // max(filters, 1) * int(options.get("group", 1)) * each
        return _macs(inputs, size * each) + _LAID_OUT * laid_out

    return rule


def _macs(inputs: _Types, macs: int) -> int:
    """Of integers numpy has none that are quick."""
    return macs // 8 if inputs[0].tensor_type.elem_type in _REAL else 2 * macs


def _transposed(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
    return _macs(inputs, _elements(inputs[:1]) * math.prod(_shape(inputs[1])[1:])) * _LAID_OUT


def _pool(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
    return _LOOP * size * math.prod(options.get("kernel_shape", ()))


def _recurrent(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
    """Of a step or a sample, whichever is outermost, several calls and the products."""
    steps = math.prod(_shape(inputs[0])[:2])
    return _STEP * steps + _macs(inputs, steps * _elements(inputs[1:3]))


def _places(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
    return 2 * _LOOP * (size + _elements(inputs[1:2]))


def _never(inputs: _Types, size: int, options: Mapping[str, Any]) -> int:
    """Loops whose length is data, or which nobody computes constants with."""
    return _NEVER


_RULES: Mapping[str, _Rule] = {
    "AveragePool": _pool,
    "Conv": _windows(1),
    "ConvInteger": _windows(1),
    "ConvTranspose": _transposed,
    "DeformConv": _never,
    "GRU": _recurrent,
    "GatherND": _places,
    "Gemm": _product(1),
    "GridSample": _never,
    "LSTM": _recurrent,
    "LpPool": _pool,
    "MatMul": _product(1),
    "MatMulInteger": _product(1),
    "MaxPool": _pool,
    "NonMaxSuppression": _never,
    "QLinearConv": _windows(3),
    "QLinearMatMul": _product(3),
    "RNN": _recurrent,
    "RoiAlign": _never,
    "ScatterElements": _places,
    "ScatterND": _places,
}
