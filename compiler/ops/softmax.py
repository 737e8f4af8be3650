# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softmax and LogSoftmax (ONNX operator versions 1, 11, 13), along any axis.

Rule N9: exponentials beside the largest element, then their shares of the sum. Both, and what
rounds the result, never fall where the input rises, so the largest element stays the largest; two
that differ may become equal. LogSoftmax is the logarithm of the shares, rounded by N6: it has as
many bits as tell the smallest one that the result's grid has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ...hw.kernels.powers import PowersKernel
from ...hw.kernels.shares import SharesKernel
from ...hw.numeric import Affine, Function, QType
from ...hw.numeric.norms import SoftmaxRule
from ..ir.lowered import Call, Inner, Meaning, OutputSpec
from ..ir.quant import QTensor
from ._groups import GUARD_BITS, GroupOp, Groups, fraction_bits, trailing
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported, axis_of, one
from .log import Log

LOG2_E = Fraction(1443, 1000)
"""Bits of a share for each unit of its logarithm, rounded up."""

DEEPEST = 12.0
"""How far below the largest element of a group others count: by then, they are 2**-17 of it."""


@dataclass(frozen=True)
class Softmax(GroupOp):
    """``exp(x) / sum(exp(x))``, summed over some axes; or the logarithm of that."""

    axes: tuple[int, ...]
    logarithm: bool = False

    onnx_types = ("Softmax", "LogSoftmax")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Before opset 13, an axis and all behind it were one."""
        shape = context.shape(node.input[0])
        joined = context.opset < 13
        axis = axis_of(int(context.attributes(node).get("axis", 1 if joined else -1)), shape)
        axes = trailing(shape, axis) if joined else (axis,)
        return one(cls(axes, node.op_type == "LogSoftmax"), [node.input[0]])

    @property
    def tells_all(self) -> bool:
        """What an attention has masked is so far below that no grid could hold it and the rest."""
        return False

    def told_apart(self, x: AnyArray) -> AnyArray:
        """At most :data:`DEEPEST` below the largest element of each group."""
        return np.maximum(x, x.max(self.axes, keepdims=True) - x.dtype.type(DEEPEST))

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """Two kernels; see the module's docstring."""
        (x,), (output,) = inputs, outputs
        groups = Groups(x.shape, self.axes)
        wanted = _logarithm_bits(output) if self.logarithm else fraction_bits(output)
        bits = min(wanted, SoftmaxRule.most_bits(groups.count))
        try:
            rule = SoftmaxRule.of(x.qtype, groups.count, bits)
            powers = PowersKernel(x.qtype.integers, groups.number, groups.count, 1, rule.table)
            powers_type = QType(int(rule.table[0]).bit_length(), False, 1.0)
            shares = SharesKernel(
                powers_type.integers, groups.number, groups.count, groups.channels, rule.bits
            )
        except ValueError as error:
            raise Unsupported(str(error)) from error
        inner = Inner(x.shape, powers_type, groups.layout)
        share: Function = Affine((Fraction(1, 1 << rule.bits),), Fraction(0))
        if self.logarithm:
            share = share.then(Log().function)
        meaning = Meaning([share] * groups.channels, groups.channel_axis, groups.layout)
        return Call(powers, (0,), (inner,)), Call(shares, (1,), (meaning,))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """The last axis, another one, several as one, few and many bits; logarithms."""
        yield Case("softmax", one_node("Softmax", [(1, 10)], (1, 10)), -4.0, 4.0)
        shape = (1, 3, 4, 7)
        yield Case("softmax_rows", one_node("Softmax", [shape], shape), -6.0, 2.0)
        yield Case("softmax_channels", one_node("Softmax", [shape], shape, axis=1))
        joined = one_node("Softmax", [shape], shape, opset=11, axis=2)
        yield Case("softmax_joined", joined, -2.0, 2.0)
        yield Case("softmax_4_bit", one_node("Softmax", [(1, 5)], (1, 5)), -4.0, 4.0, bits=4)
        yield Case("softmax_10_bit", one_node("Softmax", [(1, 6)], (1, 6)), -4.0, 4.0, bits=10)
        yield Case("log_softmax", one_node("LogSoftmax", [(1, 10)], (1, 10)), -4.0, 4.0)
        yield Case("log_softmax_channels", one_node("LogSoftmax", [shape], shape, axis=1))
        ten = one_node("LogSoftmax", [(1, 6)], (1, 6))
        yield Case("log_softmax_10_bit", ten, -1.0, 1.0, bits=10)


def _logarithm_bits(output: OutputSpec) -> int:
    """Fractional bits with which the smallest share that a grid of logarithms can tell is off by no
    more than ``2**-GUARD_BITS`` of a step.

    Where a logarithm falls by the whole range of the grid, a share falls to ``exp(-range)``.
    """
    if output.rounded is None:
        return fraction_bits(output)
    step = output.rounded.step
    depth = step * (output.rounded.hi - output.rounded.lo) * LOG2_E
    return GUARD_BITS + math.ceil(depth) + max(0, (math.ceil(1 / step) - 1).bit_length())
