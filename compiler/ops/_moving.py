# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elements that move: what such operators share, orders of a tensor's axes, and the loops that read
them in another order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...hw.formats.tensor import Layout
from ...hw.kernels.reorder import ReorderKernel, merged
from ...hw.numeric import Affine, QType
from ..ir.lowered import Meaning
from ..ir.quant import QTensor
from .base import Op


@dataclass(frozen=True)
class Turn:
    """A loop over an axis in steps, or (``axis`` None) one that repeats what is inside of it."""

    count: int
    axis: int | None
    step: int = 1


class MovingOp(Op):
    """Base of operators that only move elements, and have hardware for it: frozen dataclasses."""

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """Elements only move."""
        return True

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """Any order of the axes."""
        return [axis_order(x) for x in inputs]


def axis_order(tensor: QTensor) -> Layout:
    """The order in which a tensor is streamed, in its own axes; channels last where it is streamed
    in no order of them (a flattened image, say, cut into rows again).
    """
    fallback = Layout.channels_last(tensor.shape)
    finer = tensor.layout.refined(tensor.shape)
    if finer is None:
        return fallback
    layout, groups = finer
    owner = {fine: axis for axis, group in enumerate(groups) for fine in group}
    perm = [axis for axis, group in enumerate(groups) if not group]
    for fine in layout.perm:
        if owner[fine] not in perm:
            perm.append(owner[fine])
    found = Layout(tensor.shape, tuple(perm))
    return found if found.same_order(tensor.layout) else fallback


def reading(
    x: QTensor, turns: Sequence[Turn], starts: Mapping[int, int] | None = None
) -> ReorderKernel:
    """The kernel that reads a tensor by nested loops, outermost first; its blocks are smallest.

    Parameters
    ----------
    x : the tensor, in an order of its axes
    turns : the loops
    starts : for each axis its first element that is read, if that is not 0
    """
    starts = starts or {}
    strides: dict[int, int] = {}
    stride = 1
    for axis in reversed(x.layout.perm):
        strides[axis] = stride
        stride *= x.shape[axis]
    left = [turn for turn in turns if turn.count > 1]
    block = math.prod(x.shape)
    for axis in (axis for axis in x.layout.perm if x.shape[axis] > 1):
        # An axis that both walk from end to end, outermost: each of its elements is a block.
        if not left or left[0] != Turn(x.shape[axis], axis) or starts.get(axis, 0):
            break
        block //= x.shape[axis]
        left.pop(0)
    loops = [
        (turn.count, 0 if turn.axis is None else turn.step * strides[turn.axis]) for turn in left
    ]
    start = sum(first * strides[axis] for axis, first in starts.items())
    return ReorderKernel(x.qtype.integers, block, math.prod(x.shape) // block, merged(loops), start)


def repeated(x: QTensor, shape: tuple[int, ...]) -> tuple[ReorderKernel, Layout]:
    """The kernel that reads a tensor again and again, each axis as often as that of a shape is a
    multiple of it; and the order of what it reads.
    """
    layout = Layout(shape, x.layout.perm)
    turns: list[Turn] = []
    for axis in layout.perm:
        turns += [Turn(shape[axis] // x.shape[axis], None), Turn(x.shape[axis], axis)]
    return reading(x, turns), layout


def value_of(qtype: QType) -> Affine:
    """The real number that an integer of a type stands for (rule N1)."""
    return Affine((qtype.step,), -qtype.step * Fraction(qtype.zero_point))


def moved(qtype: QType, layout: Layout) -> Meaning:
    """The meaning of elements that only moved: all are one channel."""
    return Meaning([value_of(qtype)], 0, layout)
