# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where (ONNX operator versions 9 to 16) with a constant mask.

With a constant branch it is ``factor * x + offset``: 1 and 0 where the computed branch is taken, 0
and the constant elsewhere. Two computed branches are a sum, of which each element has one term.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import onnx

from ...hw.kernels.eltwise import EltwiseKernel
from ...hw.numeric import Affine
from ..ir.lowered import Call, Meaning, OutputSpec
from ..ir.quant import QTensor
from ._constants import Numbers, period_of, with_constants
from ._elementwise import MeetingOp, check_broadcast, inner_axis, meeting, met
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported, check_exact
from .scale import Scale


@dataclass(frozen=True)
class Where(Scale):
    """The computed branch where the mask says so, else constants."""

    onnx_types: ClassVar[tuple[str, ...]] = ("Where",)

    def __repr__(self) -> str:
        return f"Where(shape={self.shape})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """The mask is constant."""
        mask = context.const(node.input[0])
        if mask is None:
            raise Unsupported(
                "expected a constant mask, or one of comparisons of the chosen tensor with "
                "constants, found another computed one; Mul by the mask and Add would work"
            )
        branches = [context.const(name, finite=False) for name in node.input[1:3]]
        check_exact(mask.shape)
        for name, branch in zip(node.input[1:3], branches, strict=True):
            if branch is None:
                context.shape(name)  # a branch without one is why the output has none
        made = context.shape(node.output[0])
        check_broadcast("a mask", mask.shape, made)
        if branches.count(None) == 2:
            own = Numbers(tuple(Fraction(int(v)) for v in mask.values.ravel()), mask.shape)
            return meeting(context, node, Select(own), node.input[1:3])
        taken = branches.index(None)
        constant = branches[1 - taken]
        assert constant is not None
        check_broadcast("a constant", constant.shape, made)
        shape = np.broadcast_shapes(mask.shape, constant.shape)
        check_exact(shape)
        chosen = np.broadcast_to(mask.values.astype(bool) == (taken == 0), shape).ravel()
        values = np.array(Numbers.of(constant).values, object).reshape(constant.shape)
        others = np.broadcast_to(values, shape).ravel()
        op = cls(
            tuple(Fraction(int(own)) for own in chosen),
            tuple(Fraction(0) if own else v for own, v in zip(chosen, others, strict=True)),
            shape,
        )
        return with_constants(context, node, op, node.input[1 + taken])

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A mask of channels, and one of pixels; either branch computed, and both."""
        shape = (1, 4, 3, 5)
        channels = np.array([True, False, True, False]).reshape(4, 1, 1)
        half = np.array(0.5, np.float32)
        yield Case("where", one_node("Where", [shape], shape, {0: channels, 2: half}))
        pixels = np.tril(np.ones((3, 5), bool))
        yield Case("where_pixels", one_node("Where", [shape], shape, {0: pixels, 1: -half}))
        both = one_node("Where", [shape, (1, 4, 1, 1)], shape, {0: pixels})
        yield Case("where_both", both)
        streams = one_node("Where", [(1, 4, 3), (1, 4, 3)], (1, 4, 3), {0: channels[:, 0]})
        yield Case("where_channels", streams)


@dataclass(frozen=True)
class Select(MeetingOp):
    """The first tensor where ``mask`` is 1, the second where it is 0."""

    mask: Numbers

    def __repr__(self) -> str:
        return f"Select(mask={self.mask.shape})"

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """Both streams with factors of 1 and 0, for each element of the mask."""
        (output,) = outputs
        meet = met(inputs, output)
        first = meet.streams[0]
        axis, depth = inner_axis(first)
        places = self.mask.streamed(first)
        period = period_of(first, depth, [places])
        types = [x.qtype for x in inputs]
        functions = []
        for place in places[:period]:
            own = self.mask.values[place]
            steps = [q.step * share for q, share in zip(types, (own, 1 - own), strict=True)]
            offset = sum(
                (-s * q.zero_point for s, q in zip(steps, types, strict=True)), Fraction(0)
            )
            functions.append(Affine(tuple(steps), offset))
        kernel = EltwiseKernel(
            tuple(q.integers for q in types), math.prod(output.shape), depth, period
        )
        meaning = Meaning(functions, axis, first.layout)
        return (*meet.calls, Call(kernel, meet.places, (meaning,)))
