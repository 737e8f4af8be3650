# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators through which a quantised constant stays integers with a scale.

K1. What only moves, repeats or leaves out elements does the same to integers, scales and zero
    points. Constants that are joined must all be on a grid.
K2. A product with a constant has another scale, where that is a float32 number exactly; integers
    that were cast are on a grid of step 1, so a Mul behind a Cast is DequantizeLinear.
K3. A difference of a grid of step 1 and whole numbers has another zero point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ..ops.base import Const
from .evaluate import evaluate

CAST = frozenset(("int2", "int4", "int8", "uint2", "uint4", "uint8"))
"""Element types of which a Cast to reals is a grid: those of weights."""

JOINING = frozenset(("Concat",))
MOVING = frozenset(("Expand", "Gather", "Slice", "Split", "Tile")) | JOINING


def cast(values: Const) -> Const:
    """Integers as reals: a grid of step 1."""
    return Const(values.values, np.ones((), np.float32), np.zeros((), np.int64))


def moved(
    node: onnx.NodeProto,
    name: str,
    inputs: Sequence[Const | None],
    others: Mapping[str, AnyArray],
    opset: int,
) -> Const | None:
    """Rule K1 for an output called ``name``; None if an operand is on no grid.

    Parameters
    ----------
    inputs : the constants that the node reads, in order
    others : values of those that are no operands (indices, shapes), by name
    """
    count = len(inputs) if node.op_type in JOINING else 1
    operands = dict(zip(node.input[:count], inputs, strict=False))
    full: list[dict[str, AnyArray]] = [{}, {}, {}]
    for key, constant in operands.items():
        if constant is None or constant.scale is None or constant.zero_point is None:
            return None
        parts = (constant.values, constant.scale, constant.zero_point)
        for arrays, part in zip(full, parts, strict=True):
            arrays[key] = np.ascontiguousarray(np.broadcast_to(part, constant.shape))
    found = [evaluate(node, {**others, **arrays}, opset) for arrays in full]
    results = [None if each is None else each.get(name) for each in found]
    values, scale, zero = results
    return None if values is None or scale is None or zero is None else Const(values, scale, zero)


def scaled(inputs: Sequence[Const]) -> Const | None:
    """Rule K2."""
    for grid, factor in (inputs[:2], inputs[1::-1]):
        if grid.scale is None or factor.scale is not None:
            continue
        exact = grid.scale.astype(np.float64) * factor.real
        step = exact.astype(np.float32)
        fits = np.array_equal(step, exact) and (step > 0).all()
        if fits and np.broadcast_shapes(grid.shape, step.shape) == grid.shape:
            return Const(grid.values, step, grid.zero_point)
    return None


def shifted(inputs: Sequence[Const]) -> Const | None:
    """Rule K3."""
    grid, offset = inputs[:2]
    if grid.scale is None or grid.zero_point is None or (grid.scale != 1).any():
        return None
    whole = np.rint(offset.real)
    if (whole != offset.real).any() or (np.abs(whole) > 255).any():
        return None
    if np.broadcast_shapes(grid.shape, whole.shape) != grid.shape:
        return None
    return Const(grid.values, grid.scale, grid.zero_point + whole.astype(np.int64))


ARITHMETIC: Mapping[str, Callable[[Sequence[Const]], Const | None]] = {
    "Mul": scaled,
    "Sub": shifted,
}
