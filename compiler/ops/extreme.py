# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Max and Min (ONNX operator versions 8 to 13) of computed tensors and constants.

Constants bound what is computed, and go into its producer's finisher. Computed tensors are each
rounded to the result's grid first, whatever their own scales: rounding keeps order, so the largest
of rounded numbers is the largest number, rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.kernels.eltwise import EltwiseKernel
from ...hw.numeric import Function
from ..ir.lowered import Call, Meaning, OutputSpec
from ..ir.quant import QTensor
from ._constants import ConstantOp, Numbers, with_constants
from ._elementwise import MeetingOp, check_broadcast, inner_axis, meeting, met, rounded
from ._model import one_node, weights
from ._moving import value_of
from .base import Case, Const, ImportContext, Imported, Unsupported, one
from .reshape import Reshape


@dataclass(frozen=True)
class Bound(ConstantOp):
    """The larger one (``mode`` "max") or the smaller one ("min") of a tensor and constants."""

    mode: str
    bound: Numbers

    def __repr__(self) -> str:
        return f"Bound({self.mode}, shape={self.bound.shape})"

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """The bound."""
        return (self.bound,)

    @property
    def clamps(self) -> bool:
        """If all elements are bounded alike."""
        return len(self.bound.values) == 1

    def changed(self, function: Function, values: Sequence[Fraction]) -> Function:
        """Clamp at one side."""
        (value,) = values
        return function.clamped(*((value, None) if self.mode == "max" else (None, value)))


@dataclass(frozen=True)
class Extreme(MeetingOp):
    """The largest (``mode`` "max") or smallest ("min") of ``count`` tensors, element by element."""

    mode: str
    count: int

    onnx_types = ("Max", "Min")

    @property
    def arity(self) -> int:
        """Any number of streams."""
        return self.count

    @property
    def needs_grid(self) -> bool:
        """Its inputs are rounded to that."""
        return True

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Constants, joined to one, bound what is computed."""
        mode = node.op_type.lower()
        constants = {name: context.const(name) for name in node.input}
        computed = list(dict.fromkeys(n for n in node.input if constants[n] is None))
        bounds = [c for c in constants.values() if c is not None]
        if not bounds and len(computed) == 1:
            return one(Reshape(True), computed)
        if not bounds:
            return meeting(context, node, cls(mode, len(computed)), computed)
        made = context.shape(node.output[0])
        for constant in bounds:
            check_broadcast("a constant", constant.shape, made)
        bound = Bound(mode, _joined(mode, bounds))
        if len(computed) == 1:
            return with_constants(context, node, bound, computed[0])
        raise Unsupported(
            f"expected constants beside one computed operand, found them beside {len(computed)}; "
            f"a {node.op_type} of the computed ones, then one with the constants, would work"
        )

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (output,) = outputs
        grid = output.grid
        if grid is None:
            raise Unsupported(
                "expected its result to be rounded to a grid, found an unrounded one; put a "
                "QuantizeLinear right behind it"
            )
        meet = met(inputs, output)
        calls, places = list(meet.calls), list(meet.places)
        for index, x in enumerate(meet.streams):
            if x.qtype != grid:
                call = rounded(x, grid, places[index])
                places[index] = len(inputs) + len(calls)
                calls.append(call)
        first = meet.streams[0]
        axis, depth = inner_axis(first)
        elements = int(np.prod(output.shape))
        types = (grid.integers,) * len(inputs)
        kernel = EltwiseKernel(types, elements, depth, depth, self.mode)
        meaning = Meaning([value_of(grid)] * depth, axis, first.layout)
        return (*calls, Call(kernel, tuple(places), (meaning,)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two tensors, three, a number a channel beside an image; a constant for each channel, one
        for all, one for each element.
        """
        shape = (1, 4, 3, 5)
        yield Case("max", one_node("Max", [shape, shape], shape))
        yield Case("min_three", one_node("Min", [shape, shape, shape], shape))
        yield Case("max_channels", one_node("Max", [shape, (1, 4, 1, 1)], shape))
        yield Case("max_constant", one_node("Max", [shape], shape, {0: weights(1, 4, 1, 1)}))
        one_bound = np.array(0.25, np.float32)
        yield Case("min_constant", one_node("Min", [shape], shape, {1: one_bound}))
        yield Case("min_map", one_node("Min", [(1, 4, 3)], (1, 4, 3), {1: weights(2, 4, 3)}))


def _joined(mode: str, constants: Sequence[Const]) -> Numbers:
    """The largest or the smallest of constants that broadcast to each other."""
    arrays = [np.array(c.exact(), object).reshape(c.shape) for c in constants]
    total = arrays[0]
    for array in arrays[1:]:
        total = (np.maximum if mode == "max" else np.minimum)(total, array)
    total = np.asarray(total, object)
    return Numbers(tuple(total.ravel()), total.shape)
