# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GroupNormalization (ONNX operator version 21) and InstanceNormalization (versions 6, 22).

Rule N10 over the image of each group of channels; InstanceNormalization has a group a channel. The
elements of a group follow each other while they are normalised. Where that is one group, channels
are innermost and have their own finishers there; else a buffer behind brings them innermost again,
and scale and bias go into the finisher of that buffer: normalised numbers are rounded once, behind
both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.deviation import DeviationKernel
from ...hw.kernels.reorder import reorder_between
from ...hw.numeric import Affine, IntType, QType
from ...hw.numeric.norms import DeviationRule
from ..ir.lowered import Call, Inner, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._groups import constant_factor, epsilon_of, finest_rule, fraction_bits
from ._model import one_node, weights
from .base import Case, ImportContext, Imported, Op, Unsupported, one

MOST_INNER_BITS = 32
"""Bits of a normalised number in the buffer: those that an element of a stream may have."""


@dataclass(frozen=True)
class GroupNormalization(Op):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` of (N, C, ...).

    Attributes
    ----------
    groups : of channels that follow each other, as many in each
    epsilon : what is added to the variance of each group's image
    scale, bias : one each for each channel
    chosen : whether the scale is one of reals, so that others as close to it would do as well
    """

    groups: int
    epsilon: Fraction
    scale: tuple[Fraction, ...]
    bias: tuple[Fraction, ...]
    chosen: bool

    onnx_types = ("GroupNormalization", "InstanceNormalization")

    def __repr__(self) -> str:
        return f"GroupNormalization(groups={self.groups}, channels={len(self.scale)})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Scale and bias are constants, one each a channel."""
        shape = context.shape(node.input[0])
        if len(shape) < 3:
            raise Unsupported(f"expected a tensor (N, C, ...), found the shape {list(shape)}")
        channels = groups = shape[1]
        if node.op_type == "GroupNormalization":
            groups = int(context.attributes(node)["num_groups"])
            if groups < 1 or channels % groups:
                raise Unsupported(
                    f"expected groups that divide {channels} channels, found {groups}"
                )
        found: list[tuple[Fraction, ...]] = []
        chosen = True
        for position, word in enumerate(("scale", "bias"), start=1):
            constant = constant_factor(context, node, position, word)
            if constant is None or constant.shape != (channels,):
                held = "none" if constant is None else f"the shape {list(constant.shape)}"
                raise Unsupported(f"expected a {word} of shape [{channels}], found {held}")
            found.append(tuple(constant.exact()))
            chosen = chosen and constant.scale is None
        scale, bias = found
        op = cls(groups, epsilon_of(context, node), scale, bias, chosen)
        return one(op, [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """One group behind the other, channels innermost in each."""
        batch, channels, *image = shapes[index]
        dims = (batch, self.groups, channels // self.groups, *image)
        return Layout(dims, (0, 1, *range(3, len(dims)), 2))

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """One kernel where there is one group, else two; see the module's docstring."""
        (x,), (output,) = inputs, outputs
        batch, channels = x.shape[:2]
        number = batch * self.groups
        count = math.prod(x.shape) // number
        alone = self.groups == 1
        bits = fraction_bits(output, max(map(abs, self.scale)))
        if not alone:
            bits = min(bits, MOST_INNER_BITS - 2 - (math.isqrt(count) + 1).bit_length())
        rule = finest_rule(
            lambda bits: DeviationRule.of(x.qtype, count, self.epsilon, bits, centred=True), bits
        )
        unit = Fraction(1, 1 << rule.bits)
        functions = [Affine((unit * s,), b) for s, b in zip(self.scale, self.bias, strict=True)]
        layout = Layout.channels_last(x.shape)
        meaning = Meaning(functions, 1, layout, self.chosen)
        own = DeviationKernel(x.qtype.integers, number, channels if alone else 1, rule)
        if alone:
            return single(own, meaning)
        held = IntType.holding(*rule.span)
        grouped = self.wanted_layout([x.shape], 0)
        assert grouped is not None
        inner = Inner(x.shape, QType(held.bits, held.signed, 1.0), grouped)
        back = reorder_between(grouped, layout, held, channels)
        assert back is not None, "both orders are of the same axes"
        return Call(own, (0,), (inner,)), Call(back, (1,), (meaning,))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A channel each, several, all as one; images of one and three axes."""
        shape = (1, 6, 3, 4)
        constants = {1: 1 + weights(1, 6), 2: weights(2, 6)}
        instance, kind = "InstanceNormalization", "GroupNormalization"
        yield Case("instance_normalization", one_node(instance, [shape], shape, constants))
        line = (1, 2, 7)
        own = {1: np.array([-1.5, 0.25], np.float32), 2: np.array([0.5, 0], np.float32)}
        fine = one_node(instance, [line], line, own, epsilon=0.01)
        yield Case("instance_normalization_10_bit", fine, -1.0, 3.0, bits=10)
        groups = one_node(kind, [shape], shape, constants, opset=21, num_groups=3)
        yield Case("group_normalization", groups)
        whole = one_node(kind, [shape], shape, constants, opset=21, num_groups=1)
        yield Case("group_normalization_of_all", whole, 0.0, 2.0)
        solid = (1, 6, 2, 1, 3)
        pairs = one_node(kind, [solid], solid, constants, opset=21, num_groups=2, epsilon=0.1)
        yield Case("group_normalization_3d", pairs)
