# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators that no rule takes, where more can be said than that: what was expected, what was found
and the nearest thing that works.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from ..load.constants import attributes
from ..load.qoperator import FORMS, wrong_with
from ..load.source import MICROSOFT, kind_of

_STATIC = (
    "quantise with static ranges (onnxruntime.quantization.quantize_static), or compile the float "
    "model with --calibrate"
)
_DYNAMIC = f"expected a grid that is the same for all data, found one computed from it; {_STATIC}"
_SUMS = (
    "expected integer sums that are cast to float32 and multiplied by a constant scale, found "
    f"another use; {_STATIC}"
)
_BEFORE = (
    "which ONNX Runtime's own optimiser makes of it for one machine; give the model from before "
    "that"
)
_OPTIMISED = f"expected a model as its exporter wrote it, found channels innermost, {_BEFORE}"
_FUSED = f"expected a model as its exporter wrote it, found operators fused into one, {_BEFORE}"

_VARIES = (
    "expected results of one size, found as many as the data have; a slice that ends before it, at "
    "its input, leaves it to the cloud"
)
_FLOW = (
    "expected operators only, found control flow; export with it unrolled or decided (onnxsim and "
    "onnxslim fold constant conditions)"
)

_OF_THE_OPTIMISER = ("EmbedLayerNormalization", "FusedMatMul")
_IN_BLOCKS = (
    "AveragePool",
    "Conv",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "ReorderInput",
    "ReorderOutput",
    "Upsample",
)

_REMEDIES: Mapping[str, str] = {
    "ConvInteger": _SUMS,
    "DynamicQuantizeLinear": _DYNAMIC,
    "CumSum": "expected sums along whole axes, found running ones; MatMul with a constant triangle "
    "of ones would work",
    "Einsum": "expected products that are written out, found an equation; MatMul, with Transpose "
    "and Reshape, would work",
    "If": _FLOW,
    "Loop": _FLOW,
    "MatMulInteger": _SUMS,
    "NonZero": _VARIES,
    "NonMaxSuppression": _VARIES,
    "Scan": _FLOW,
    "Unique": _VARIES,
    f"{MICROSOFT}.DynamicQuantizeLSTM": _DYNAMIC,
    f"{MICROSOFT}.DynamicQuantizeMatMul": _DYNAMIC,
    **{f"{MICROSOFT}.{kind}": _FUSED for kind in _OF_THE_OPTIMISER},
    **{f"{MICROSOFT}.nchwc.{kind}": _OPTIMISED for kind in _IN_BLOCKS},
    f"{MICROSOFT}.MatMulIntegerToFloat": _DYNAMIC,
    f"{MICROSOFT}.NhwcMaxPool": _OPTIMISED,
    f"{MICROSOFT}.QLinearAveragePool": _OPTIMISED,
    f"{MICROSOFT}.QLinearConv": _OPTIMISED,
    f"{MICROSOFT}.QLinearGlobalAveragePool": _OPTIMISED,
}


def remedy_of(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A clause that says why no rule takes a node, and what to do; empty if there is none.

    Parameters
    ----------
    shapes : of tensors, as far as they are known
    """
    kind, options = kind_of(node), attributes(node)
    if wrong := wrong_with(node, shapes):
        return wrong
    if kind in FORMS and not options.get("channels_last", 0):
        given = ", ".join(f"{name} = {options[name]}" for name in sorted(options))
        return (
            "expected integers with their scales, and attributes, as ONNX Runtime defines them, "
            f"found {len(node.input)} inputs and {given or 'no attributes'}"
        )
    return _REMEDIES.get(kind, "")
