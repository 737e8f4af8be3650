# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LayerNormalization (ONNX operator version 17) and RMSNormalization (version 23).

Rules N10 and N11 over an axis and all behind it; scale and bias go into the finisher.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.kernels.deviation import DeviationKernel
from ...hw.numeric import Affine
from ...hw.numeric.norms import DeviationRule
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._groups import (
    GroupOp,
    Groups,
    constant_factor,
    epsilon_of,
    finest_rule,
    fraction_bits,
    trailing,
)
from ._model import one_node, weights
from .base import (
    Case,
    Const,
    ImportContext,
    Imported,
    Unsupported,
    axis_of,
    one,
)


@dataclass(frozen=True)
class LayerNormalization(GroupOp):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias``.

    Attributes
    ----------
    axes : over which mean and variance are taken
    epsilon : what is added to the variance
    centred : whether the mean is taken off; else the mean square is in place of the variance
    scale, bias : one each for all, for each element of the last axis, or for each of a group
    chosen : whether the scale is one of reals, so that others as close to it would do as well
    """

    axes: tuple[int, ...]
    epsilon: Fraction
    centred: bool
    scale: tuple[Fraction, ...]
    bias: tuple[Fraction, ...]
    chosen: bool

    onnx_types = ("LayerNormalization", "RMSNormalization")

    def __repr__(self) -> str:
        return f"LayerNormalization(axes={self.axes}, centred={self.centred})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Scale and bias are constants that differ along the axes of a group at most."""
        shape = context.shape(node.input[0])
        axis = axis_of(int(context.attributes(node).get("axis", -1)), shape)
        axes = trailing(shape, axis)
        parameters: list[tuple[Fraction, ...]] = []
        chosen = True
        for position, (word, default) in enumerate((("scale", 1), ("bias", 0)), start=1):
            constant = constant_factor(context, node, position, word)
            if constant is None:
                parameters.append((Fraction(default),))
                continue
            parameters.append(_of_group(constant, shape, axes))
            chosen = chosen and constant.scale is None
        epsilon = epsilon_of(context, node)
        centred = node.op_type == "LayerNormalization"
        scale, bias = parameters
        op = cls(axes, epsilon, centred, scale, bias, chosen)
        return one(op, [node.input[0]])

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """One kernel."""
        (x,), (output,) = inputs, outputs
        groups = Groups(x.shape, self.axes)
        bits = fraction_bits(output, max(map(abs, self.scale)))
        rule = finest_rule(
            lambda bits: DeviationRule.of(
                x.qtype, groups.count, self.epsilon, bits, centred=self.centred
            ),
            bits,
        )
        channels = max(groups.channels, len(self.scale), len(self.bias))
        kernel = DeviationKernel(x.qtype.integers, groups.number, channels, rule)
        # Of fewer values than channels, those come again and again.
        scale, bias = (values * (channels // len(values)) for values in (self.scale, self.bias))
        unit = Fraction(1, 1 << rule.bits)
        functions = [Affine((unit * s,), b) for s, b in zip(scale, bias, strict=True)]
        meaning = Meaning(functions, groups.channel_axis, groups.layout, self.chosen)
        return single(kernel, meaning)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """The last axis, several, no bias, parameters that differ along both, the mean square; few
        bits.
        """
        shape = (1, 5, 8)
        factors, offsets = 1 + weights(1, 8), weights(2, 8)
        constants = {1: factors, 2: offsets}
        kind = "LayerNormalization"
        yield Case("layer_normalization", one_node(kind, [shape], shape, constants, opset=17))
        image = (1, 2, 3, 4)
        wide = {1: np.broadcast_to(weights(3, 4), (3, 4)).copy()}
        several = one_node(kind, [image], image, wide, opset=17, axis=2, epsilon=0.01)
        yield Case("layer_normalization_axes", several, -1.0, 3.0)
        both = {1: 1 + weights(5, 3, 4), 2: weights(6, 3, 1)}
        whole = one_node(kind, [image], image, both, opset=17, axis=-2)
        yield Case("layer_normalization_of_elements", whole)
        few = one_node(kind, [(1, 6)], (1, 6), {1: weights(4, 6)}, opset=17)
        yield Case("layer_normalization_4_bit", few, bits=4)
        fine = one_node(kind, [shape], shape, constants, opset=17)
        yield Case("layer_normalization_10_bit", fine, bits=10)
        square = one_node("RMSNormalization", [shape], shape, {1: factors}, opset=23)
        yield Case("rms_normalization", square, -1.0, 2.0)


def _of_group(
    constant: Const, shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[Fraction, ...]:
    """A constant as one value, one for each element of the last axis, or one for each of a group.

    Raises Unsupported if it differs along an axis that is none of a group's.
    """
    full = (1,) * (len(shape) - len(constant.shape)) + constant.shape
    sizes = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    if len(full) != len(shape) or any(a not in (1, b) for a, b in zip(full, sizes, strict=True)):
        raise Unsupported(
            f"expected a constant that differs along the axes {list(axes)} of {list(shape)} only, "
            f"found the shape {list(constant.shape)}"
        )
    values = np.array(constant.exact(), object).reshape(full)
    rows = np.broadcast_to(values, (*sizes[:-1], full[-1])).reshape(-1, full[-1])
    if (rows == rows[:1]).all():
        return tuple(rows[0])
    return tuple(np.broadcast_to(values, sizes).ravel())
