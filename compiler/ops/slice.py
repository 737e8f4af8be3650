# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slice (ONNX operator versions 1 to 13) with constant bounds.

Consecutive elements are let through as they come, and the others dropped; with steps other than 1
they are read from a buffer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.split import SplitKernel
from ..ir.lowered import Call, Inner, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import MovingOp, Turn, moved, reading
from .base import Case, ImportContext, Imported, Unsupported, axis_of, one
from .reshape import Reshape


@dataclass(frozen=True)
class Slice(MovingOp):
    """For each axis (first element, step, number of elements)."""

    ranges: tuple[tuple[int, int, int], ...]

    onnx_types = ("Slice",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Bounds are attributes (version 1) or constants."""
        shape = context.shape(node.input[0])
        bounds = _bounds(context, node, shape)
        ranges = [(0, 1, size) for size in shape]
        for start, end, axis, step in bounds:
            taken = range(shape[axis])[slice(start, end, step)]
            if not len(taken):
                raise Unsupported(f"expected at least one element of axis {axis}, found none")
            ranges[axis] = (taken[0], step if len(taken) > 1 else 1, len(taken))
        if ranges == [(0, 1, size) for size in shape]:
            return one(Reshape(True), [node.input[0]])
        return one(cls(tuple(ranges)), [node.input[0]])

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (x,), (output,) = inputs, outputs
        layout = Layout(output.shape, x.layout.perm)
        if all(step == 1 for _, step, _ in self.ranges):
            return self._filters(x, moved(x.qtype, layout))
        turns = [Turn(self.ranges[axis][2], axis, self.ranges[axis][1]) for axis in layout.perm]
        starts = {axis: start for axis, (start, _, _) in enumerate(self.ranges) if start}
        return single(reading(x, turns, starts), moved(x.qtype, layout))

    def _filters(self, x: QTensor, meaning: Meaning) -> tuple[Call, ...]:
        """A filter for each axis of which something is dropped, outermost first."""
        perm, shape = x.layout.perm, list(x.shape)
        calls: list[Call] = []
        axes = [axis for axis in perm if self.ranges[axis][2] < shape[axis]]
        for index, axis in enumerate(axes):
            start, _, count = self.ranges[axis]
            place = perm.index(axis)
            inner = math.prod(shape[other] for other in perm[place + 1 :])
            turns = math.prod(shape[other] for other in perm[:place])
            parts = ((start, -1), (count, 0), (shape[axis] - start - count, -1))
            blocks, to = zip(*((size * inner, k) for size, k in parts if size), strict=True)
            shape[axis] = count
            kernel = SplitKernel(x.qtype.integers, blocks, to, turns, (1,))
            kept = Inner(tuple(shape), x.qtype, Layout(tuple(shape), perm))
            calls.append(Call(kernel, (index,), (meaning if axis == axes[-1] else kept,)))
        return tuple(calls)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A crop, channels, every other column backwards."""
        shape = (1, 6, 5, 8)

        def bounds(*rows: tuple[int, ...]) -> dict[int, np.ndarray]:
            return {k: np.array(row, np.int64) for k, row in enumerate(rows, 1)}

        yield Case(
            "slice_crop",
            one_node("Slice", [shape], (1, 6, 3, 4), bounds((1, -6), (-1, -2), (2, 3))),
        )
        yield Case(
            "slice_channels", one_node("Slice", [shape], (1, 2, 5, 8), bounds((4,), (99,), (1,)))
        )
        yield Case(
            "slice_steps",
            one_node(
                "Slice",
                [shape],
                (1, 6, 5, 4),
                bounds((-1,), (-(1 << 31),), (3,), (-2,)),
            ),
        )
        yield Case(
            "slice_attributes",
            one_node("Slice", [shape], (1, 6, 2, 8), opset=9, axes=[2], starts=[0], ends=[2]),
        )


def _bounds(
    context: ImportContext, node: onnx.NodeProto, shape: Sequence[int]
) -> list[tuple[int, int, int, int]]:
    """(start, end, axis, step) of every axis that is sliced."""
    attributes = context.attributes(node)
    found: list[list[int] | None] = [attributes.get(name) for name in ("starts", "ends", "axes")]
    for position, name in enumerate(node.input[1:]):
        if not name:
            continue
        constant = context.const(name)
        if constant is None:
            raise Unsupported(f"expected a constant {name!r}, found a computed one")
        if constant.values.size > len(shape):
            raise Unsupported(
                f"expected at most {len(shape)} values, one for each axis, found "
                f"{constant.values.size} in {name!r}"
            )
        found[position:] = [[int(v) for v in constant.values.ravel()], *found[position + 1 :]]
    starts, ends, axes = found[:3]
    if starts is None or ends is None:
        raise Unsupported("expected starts and ends, found none")
    if axes is None:
        axes = list(range(len(starts)))
    steps = (found[3] if len(found) > 3 else None) or [1] * len(starts)
    if 0 in steps:
        raise Unsupported("expected steps other than 0, found 0")
    counts = [len(values) for values in (starts, ends, axes, steps)]
    if len(set(counts)) != 1:
        raise Unsupported(
            f"expected as many starts, ends, axes and steps, found {', '.join(map(str, counts))}"
        )
    return [
        (start, end, axis_of(axis, shape), step)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    ]
