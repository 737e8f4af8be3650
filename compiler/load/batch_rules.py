# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which operators keep the samples of a batch apart (rule B3 of :mod:`.batch`).

Axis 0 of what carries the batch is outermost, and each of its B equal parts is a sample. A rule
looks at one node and raises :class:`Mixed`, a clause behind the node's name, if samples meet in it.
That axis 0 stays a multiple of the batch, and that shapes come out right, is checked elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .source import MICROSOFT, kind_of

TREES = ("ai.onnx.ml.TreeEnsemble", "ai.onnx.ml.TreeEnsembleRegressor")
"""Decision trees as loading leaves them; each row of their input is a sample."""

SHAPES: Mapping[str, int] = {"Reshape": 1, "Expand": 1, "Resize": 3}
"""Operators that take a shape of their output as an input, and which input that is."""


class Mixed(Exception):
    """Samples of a batch cannot be told apart; the message says where."""


@dataclass(frozen=True)
class View:
    """A node as its rule sees it.

    Attributes
    ----------
    op_type, attributes : the node's own
    carried : for each input its shape if it carries the batch, else None
    values : for each input its value if that is known and constant, else None
    shapes : for each input its shape if it is constant, else None
    output : shape of the first output
    opset : of the default domain
    """

    op_type: str
    attributes: Mapping[str, Any]
    carried: Sequence[tuple[int, ...] | None]
    values: Sequence[AnyArray | None]
    shapes: Sequence[tuple[int, ...] | None]
    output: tuple[int, ...]
    opset: int

    @property
    def rank(self) -> int:
        """Axes of the first input that carries the batch."""
        return len(next(shape for shape in self.carried if shape is not None))

    def numbers(self, name: str, position: int) -> list[int] | None:
        """Integers that are an attribute in older opsets and a constant input in newer ones."""
        if name in self.attributes:
            return [int(x) for x in np.atleast_1d(self.attributes[name])]
        if position >= len(self.carried) or (
            self.carried[position] is None
            and self.values[position] is None
            and self.shapes[position] is None
        ):
            return None
        value = self.values[position]
        if value is None:
            raise Mixed(f"takes its {name} from a tensor that is not a small constant")
        return [int(x) for x in value.ravel()]


Rule = Callable[[View], None]


def rule_of(node: onnx.NodeProto) -> Rule | None:
    """The rule for a node's operator; None if nothing is known of it."""
    if node.domain and node.op_type in _QUANTISERS:
        return _elementwise
    return _RULES.get(kind_of(node))


def _same_for_all(view: View) -> None:
    """Constants beside the data must not differ from sample to sample."""
    for shape in view.shapes:
        if shape is not None and len(shape) == view.rank and shape[0] not in (0, 1):
            raise Mixed(
                f"has a constant of shape {list(shape)}, which differs from sample to sample"
            )


def _elementwise(view: View) -> None:
    for shape in view.carried:
        if shape is not None and len(shape) != len(view.output):
            raise Mixed("broadcasts a tensor along the samples of another")
    _same_for_all(view)


def _data_only(view: View) -> None:
    """Operators that define axis 0 of their first input as the batch."""
    if view.carried[0] is None or any(shape is not None for shape in view.carried[1:]):
        raise Mixed("takes more from the batch than its first input")


def _batch_normalization(view: View) -> None:
    _data_only(view)
    if view.attributes.get("training_mode", 0):
        raise Mixed("takes mean and variance over all samples")


def _quantiser(view: View) -> None:
    _data_only(view)
    scale = view.shapes[1]
    if scale is not None and (not scale or set(scale) == {1}):
        return
    if int(view.attributes.get("axis", 1)) % view.rank == 0:
        raise Mixed("has a scale for each sample")


def _matmul(view: View) -> None:
    a, b = view.carried[0], view.carried[1]
    ranks = [
        len(shape) if shape is not None else len(view.shapes[i] or ())
        for i, shape in enumerate((a, b))
    ]
    rows = a is not None and ranks[0] >= ranks[1] and ranks[0] >= 2
    stacks = b is not None and ranks[1] >= max(ranks[0], 3)
    alike = a is None or b is None or ranks[0] == ranks[1]
    if not (rows or stacks) or not alike or (b is not None and not stacks):
        raise Mixed("sums over samples")
    for shape in view.shapes[2:]:
        if shape is not None and any(size != 1 for size in shape):
            raise Mixed("has a zero point for each row")
    if any(shape is not None for shape in view.carried[2:]):
        raise Mixed("takes a zero point from the batch")


def _qlinear_matmul(view: View) -> None:
    _data_only(view)
    if len(view.shapes[3] or ()) > view.rank or view.rank < 2:
        raise Mixed("sums over samples")
    for position in (1, 2, 6, 7):
        if any(size != 1 for size in view.shapes[position] or ()):
            raise Mixed("has a scale for each row")


def _gemm(view: View) -> None:
    _data_only(view)
    if view.attributes.get("transA", 0):
        raise Mixed("sums over samples")
    _same_for_all(replace(view, shapes=view.shapes[2:]))


def _qgemm(view: View) -> None:
    _data_only(view)
    if view.attributes.get("transA", 0):
        raise Mixed("sums over samples")
    _same_for_all(replace(view, shapes=view.shapes[6:7]))


def _transpose(view: View) -> None:
    perm = view.attributes.get("perm") or list(range(view.rank))[::-1]
    if perm[0] != 0:
        raise Mixed("moves axis 0, the batch")


def _over(default: Sequence[int] | None) -> Rule:
    """Reductions and normalisations over several axes; ``default`` None is all of them."""

    def rule(view: View) -> None:
        _data_only(view)
        axes = view.numbers("axes", 1) or default
        if axes is None and view.attributes.get("noop_with_empty_axes", 0) != 1:
            axes = [0]
        if any(axis % view.rank == 0 for axis in axes or ()):
            raise Mixed("takes axis 0, the batch, together")

    return rule


def _along(default: int, *, old: int | None = None) -> Rule:
    """Operators along one axis; ``old`` is the default before opset 13."""

    def rule(view: View) -> None:
        fallback = old if old is not None and view.opset < 13 else default
        if int(view.attributes.get("axis", fallback)) % view.rank == 0:
            raise Mixed("works along axis 0, the batch")
        _elementwise(view)

    return rule


def _one_axis(view: View) -> None:
    _data_only(view)
    if int(view.attributes.get("axis", 0)) % view.rank == 0:
        raise Mixed("works along axis 0, the batch")


def _slice(view: View) -> None:
    _data_only(view)
    starts = view.numbers("starts", 1) or []
    axes = view.numbers("axes", 3) or list(range(len(starts)))
    steps = view.numbers("steps", 4) or [1] * len(starts)
    ends = view.numbers("ends", 2) or []
    whole = view.carried[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=False):
        if axis % view.rank == 0 and whole is not None:
            if (start, step) != (0, 1) or end < whole[0]:
                raise Mixed("chooses among the samples")


def _gather(view: View) -> None:
    data, indices = view.carried[0], view.carried[1]
    axis = int(view.attributes.get("axis", 0))
    if data is None:  # a table: every index is looked up by itself
        if axis != 0:
            raise Mixed("puts another axis before the batch")
    elif indices is not None or axis % view.rank == 0:
        raise Mixed("chooses among the samples")


def _pad(view: View) -> None:
    _data_only(view)
    pads = view.numbers("pads", 1)
    axes = view.numbers("axes", 3) or list(range(view.rank))
    ends = pads or []
    for index, axis in enumerate(axes):
        if axis % view.rank == 0 and any(ends[index :: len(axes)]):
            raise Mixed("adds samples to the batch")


def _expand(view: View) -> None:
    _data_only(view)
    if len(view.output) != view.rank:
        raise Mixed("puts another axis before the batch")


def _resize(view: View) -> None:
    _data_only(view)
    whole = view.carried[0]
    if whole is not None and view.output[:1] != whole[:1]:
        raise Mixed("resizes axis 0, the batch")


def _tile(view: View) -> None:
    _data_only(view)
    repeats = view.numbers("repeats", 1)
    if repeats and repeats[0] != 1:
        raise Mixed("repeats the batch")


_ELEMENTWISE = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseOr BitwiseXor Cast "
    "CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater "
    "GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max "
    "Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin "
    "Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor"
)
_BATCH_FIRST = (
    "AveragePool Conv ConvInteger ConvTranspose DepthToSpace Flatten GlobalAveragePool "
    "GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool MaxPool "
    "QLinearConv Reshape SpaceToDepth Squeeze Unsqueeze"
)
_REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

_MICROSOFT: Mapping[str, Rule] = {
    **dict.fromkeys(("DequantizeLinear", "QuantizeLinear"), _quantiser),
    **dict.fromkeys(
        ("QLinearAdd", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid"), _elementwise
    ),
    **dict.fromkeys(("QLinearAveragePool", "QLinearConv", "QLinearGlobalAveragePool"), _data_only),
    "QGemm": _qgemm,
    "QLinearConcat": _along(0),
    "QLinearSoftmax": _along(-1),
}

_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys((*_BATCH_FIRST.split(), *TREES), _data_only),
    **{f"Reduce{name}": _over(None) for name in _REDUCTIONS.split()},
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _along(-1, old=1)),
    **dict.fromkeys(
        (
            "LayerNormalization",
            "LpNormalization",
            "RMSNormalization",
            "TopK",
            "ai.onnx.ml.Normalizer",
        ),
        _along(-1),
    ),
    **dict.fromkeys(("Concat", "GatherElements"), _along(0)),
    **dict.fromkeys(("ArgMax", "ArgMin", "Split"), _one_axis),
    **dict.fromkeys(("DequantizeLinear", "QuantizeLinear"), _quantiser),
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **{f"{MICROSOFT}.{name}": rule for name, rule in _MICROSOFT.items()},
    "BatchNormalization": _batch_normalization,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "MeanVarianceNormalization": _over((0, 2, 3)),
    "Pad": _pad,
    "QLinearMatMul": _qlinear_matmul,
    "Slice": _slice,
    "Tile": _tile,
    "Transpose": _transpose,
}

_QUANTISERS = frozenset(("BipolarQuant", "FloatQuant", "IntQuant", "Quant", "Trunc"))
