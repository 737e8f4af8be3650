# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""LpNormalization (ONNX operator versions 1, 22): a vector divided by its L1 or L2 norm, rule N15;
Normalizer of ``ai.onnx.ml`` (1) with MAX.

With L1 and L2, that becomes an LpNormalization while loading (:mod:`~..load.linear_models`). MAX is
of the elements, not of their sizes. A vector of zeros stays one, whatever is 0 / 0 elsewhere; where
the largest of others is 0, ONNX Runtime leaves them, and here that counts as a step of the grid.
What exporters spell out (``x / max(norm, floor)``, as
``torch.nn.functional.normalize`` does, or ``x / sqrt(sum(x**2) + epsilon)``) is this operator with
attributes that ONNX's has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import onnx

from ...hw.kernels.deviation import DeviationKernel
from ...hw.numeric import Affine
from ...hw.numeric.norms import DeviationRule
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._groups import GroupOp, Groups, finest_rule, fraction_bits
from ._model import one_node
from .base import Case, ImportContext, Imported, Unsupported, axis_of, one
from .unary import number


@dataclass(frozen=True)
class LpNormalization(GroupOp):
    """``x / norm(x)``, or ``x / max(x)``.

    Attributes
    ----------
    axes : ascending, over which the norm is taken
    power : 1 for the sum of sizes, 2 for the root of the sum of squares, 0 for the largest element
    floor : the least norm that is divided by
    epsilon : what is added to the sum of squares
    """

    axes: tuple[int, ...]
    power: int
    floor: Fraction = Fraction(0)
    epsilon: Fraction = Fraction(0)

    onnx_types = ("LpNormalization", "ai.onnx.ml.Normalizer")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Any axis; of a Normalizer the last, and only MAX is left."""
        shape = context.shape(node.input[0])
        if node.op_type == "Normalizer":
            return one(cls((len(shape) - 1,), 0), [node.input[0]])
        attributes = context.attributes(node)
        power = int(attributes.get("p", 2))
        if power not in (1, 2):
            raise Unsupported(f"expected p to be 1 or 2, found {power}")
        axes = attributes.get("axes", [attributes.get("axis", -1)])
        found = tuple(sorted({axis_of(int(axis), shape) for axis in axes}))
        floor, epsilon = (number(attributes, name, 0.0) for name in ("floor", "epsilon"))
        return one(cls(found, power, floor, epsilon), [node.input[0]])

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """One kernel. On a grid no norm but 0 is below a step: a floor there does nothing."""
        (x,), (output,) = inputs, outputs
        if self.floor > x.qtype.step:
            raise Unsupported(
                "expected a least norm of at most a step of its input's grid, "
                f"{float(x.qtype.step):g}, found {float(self.floor):g}"
            )
        groups = Groups(x.shape, self.axes)
        rule = finest_rule(
            lambda bits: DeviationRule.of_norm(
                x.qtype, groups.count, self.power, self.epsilon, bits
            ),
            fraction_bits(output),
        )
        kernel = DeviationKernel(x.qtype.integers, groups.number, groups.channels, rule)
        functions = [Affine((Fraction(1, 1 << rule.bits),), Fraction(0))] * groups.channels
        return single(kernel, Meaning(functions, groups.channel_axis, groups.layout))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Both norms, of channels, of a vector, of few bits."""
        shape = (1, 6, 2, 3)
        yield Case("lp_normalization", one_node("LpNormalization", [shape], shape, axis=1))
        vector = one_node("LpNormalization", [(1, 9)], (1, 9), p=1)
        yield Case("lp_normalization_l1", vector, -1.0, 2.0)
        few = one_node("LpNormalization", [(1, 5)], (1, 5), p=2)
        yield Case("lp_normalization_4_bit", few, bits=4)
        ml = ("ai.onnx.ml", 1)
        largest = one_node("Normalizer", [(1, 9)], (1, 9), domain=ml, norm="MAX")
        yield Case("normalizer_max", largest, 0.0, 3.0)
        yield Case("normalizer_max_signed", largest, -1.0, 2.0)
