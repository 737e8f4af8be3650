# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Concat (ONNX operator versions 4 to 13) of computed tensors, or of one with constants, along any
axis.

Beside constants, some elements of the tensor stand in for them, and are replaced. Tensors with
scales of their own meet on the output's grid in one rounding: each index along the axis has a
finisher of its own, so the streams have that axis innermost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.concat import ConcatKernel
from ..ir.graph import Value
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._constants import narrowed
from ._model import one_node, weights
from ._moving import axis_order, value_of
from .base import (
    MOST_EXACT,
    Case,
    ImportContext,
    Imported,
    Op,
    Unsupported,
    axis_of,
    check_exact,
    inner,
    one,
)
from .gather import picking
from .reshape import Reshape
from .scale import Scale


@dataclass(frozen=True)
class Concat(Op):
    """``count`` tensors, one after another along ``axis``.

    Attributes
    ----------
    alike_parts : they are parts of one tensor, and so all lie on its grid
    """

    axis: int
    count: int
    alike_parts: bool = False

    onnx_types = ("Concat",)

    @property
    def arity(self) -> int:
        """Any number of streams."""
        return self.count

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Constants stand beside one computed operand."""
        if any(context.const(name) is not None for name in node.input):
            return _with_constants(context, node)
        if len(node.input) == 1:
            return one(Reshape(True), [node.input[0]])
        shape = context.shape(node.output[0])
        axis = axis_of(int(context.attributes(node).get("axis", 1)), shape)
        return one(cls(axis, len(node.input)), list(node.input))

    @property
    def is_core(self) -> bool:
        """Streams meet in hardware of their own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """Where all have one."""
        return self.alike_parts

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Any order, if all have it."""
        del shapes, index
        return None

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """The largest one's order, for an axis of one element may lie anywhere; with the axis
        innermost if their grids differ.
        """
        perm = axis_order(max(inputs, key=lambda x: math.prod(x.shape))).perm
        if len({x.qtype for x in inputs}) > 1:
            perm = (*(axis for axis in perm if axis != self.axis), self.axis)
        return [Layout(x.shape, perm) for x in inputs]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        (output,) = outputs
        perm = inputs[0].layout.perm
        place = perm.index(self.axis)
        inner = math.prod(output.shape[axis] for axis in perm[place + 1 :])
        functions = [each for x in inputs for each in [value_of(x.qtype)] * x.shape[self.axis]]
        channel_axis = self.axis
        if len({x.qtype for x in inputs}) == 1:
            channel_axis = perm[-1]
            functions = functions[:1] * output.shape[channel_axis]
        kernel = ConcatKernel(
            tuple(x.qtype.integers for x in inputs),
            tuple(x.shape[self.axis] * inner for x in inputs),
            math.prod(output.shape[axis] for axis in perm[:place]),
            len(functions),
        )
        meaning = Meaning(functions, channel_axis, Layout(output.shape, perm))
        return single(kernel, meaning, len(inputs))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Channels of images, rows of images, and vectors; constants before and behind."""
        shapes = [(1, 4, 3, 5), (1, 2, 3, 5), (1, 6, 3, 5)]
        yield Case("concat_channels", one_node("Concat", shapes, (1, 12, 3, 5), axis=1))
        shapes = [(1, 4, 3, 5), (1, 4, 2, 5)]
        yield Case("concat_rows", one_node("Concat", shapes, (1, 4, 5, 5), axis=2))
        yield Case("concat_vectors", one_node("Concat", [(1, 4), (1, 3)], (1, 7), axis=-1))
        token = one_node("Concat", [(1, 3, 4)], (1, 5, 4), {0: weights(1, 1, 2, 4)}, axis=1)
        yield Case("concat_token", token)
        zeros = {1: np.zeros((1, 2, 3, 5), np.float32)}
        wider = one_node("Concat", [(1, 4, 3, 5)], (1, 6, 3, 5), zeros, axis=1)
        yield Case("concat_zeros", wider)


def _with_constants(context: ImportContext, node: onnx.NodeProto) -> Imported:
    """A computed tensor between constants: they replace elements of it."""
    constants = [context.const(name) for name in node.input]
    if constants.count(None) != 1:
        raise Unsupported(
            f"expected one computed operand beside constants, found {constants.count(None)}; a "
            "Concat of the computed ones, then one with the constants, would work"
        )
    shape, output = context.shape(node.input[constants.index(None)]), context.shape(node.output[0])
    axis = axis_of(int(context.attributes(node).get("axis", 1)), shape)
    check_exact(output)
    kept, values = [], []
    for constant in constants:
        size = shape if constant is None else constant.shape
        real = [Fraction(0)] * math.prod(size) if constant is None else constant.exact()
        values.append(np.array(real, object).reshape(size))
        kept.append(np.full([size[axis]], constant is None))
    inside = np.concatenate(kept)
    offset = narrowed(np.concatenate(values, axis))
    factor = inside.astype(int).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    factor, offset = np.broadcast_arrays(factor, offset)
    if offset.size > MOST_EXACT:
        raise Unsupported(
            f"expected constants of at most {MOST_EXACT} elements, found {list(offset.shape)}"
        )
    placed = Scale(
        tuple(Fraction(int(f)) for f in factor.ravel()), tuple(offset.ravel()), factor.shape
    )
    indices = [int(i) for i in np.where(inside, np.cumsum(inside) - 1, 0)]
    source = node.input[constants.index(None)]
    spread = one(picking(shape, axis, indices), [source])
    return spread.then(Value(inner(node, "spread"), output, context.dtype(source)), placed)
