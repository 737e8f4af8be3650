# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantisers of QONNX (Brevitas, FINN), written out in standard operators while loading.

ONNX Runtime does not know these nodes, and the parts of a model, calibration and losses run in it.

Q1. ``Quant(x, scale, zero_point, bits)`` is ``(clip(round(x / scale + zero_point)) - zero_point) *
    scale``: ties to the even integer (rounding mode ROUND), bounds by ``signed`` and ``narrow``.
Q2. ``BipolarQuant(x, scale)``, and Quant of one signed bit, is ``-scale`` where ``x < 0``, else
    ``scale``.
Q3. Names, and how people are shown their own nodes, are those of :mod:`.expansion`.
Q4. What has another meaning stays as it is, with a sentence that says why.
Q5. Round came with opset 11: an older model is converted to that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
import onnx.version_converter
from onnx import numpy_helper

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .expansion import (
    Expansion,
    OtherMeaningError,
    Pieces,
    drop_unread,
    inner_name,
    inner_node,
    named_node,
)

_DOMAINS = frozenset(
    (
        "finn.custom_op.general",
        "onnx.brevitas",
        "qonnx.custom_op.general",
    )
)
_OPSET = 11
_MOST_BITS = 32
"""More cannot be told apart in the float32 that bounds are compared in."""


def expand_quantisers(found: Expansion) -> None:
    """Write out all quantisers of a sorted model with unique names (rules Q1 to Q5)."""
    if not any(_is_quantiser(node) for node in found.model.graph.node):
        return
    found.model = _converted(found.model)
    opset = _opset(found.model)
    known = _known(found.model.graph)

    def expanded(node: onnx.NodeProto) -> Pieces:
        if opset < _OPSET:
            raise OtherMeaningError(
                f"expected opset {_OPSET} or later, or a model that onnx.version_converter "
                f"can bring there, found opset {opset}"
            )
        return _expanded(node, known)

    found.write_out(lambda node: expanded if _is_quantiser(node) else None)
    drop_unread(found.model.graph)  # bit widths are bounds now


def _is_quantiser(node: onnx.NodeProto) -> bool:
    return node.domain in _DOMAINS and node.op_type in ("Quant", "BipolarQuant")


def _opset(model: onnx.ModelProto) -> int:
    return next(int(e.version) for e in model.opset_import if e.domain == "")


def _converted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rule Q5; a model that the converter cannot take stays, and its quantisers are refused."""
    if _opset(model) >= _OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, _OPSET)
    except (RuntimeError, TypeError, ValueError):
        return model


def _known(graph: onnx.GraphProto) -> Mapping[str, AnyArray]:
    """Constants of one element: initialisers, and Constant nodes of a tensor."""
    tensors = {t.name: t for t in graph.initializer if math.prod(t.dims) == 1}
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain:
            held = [a.t for a in node.attribute if a.HasField("t") and math.prod(a.t.dims) == 1]
            tensors.update(dict.fromkeys(node.output, held[0]) if held else {})
    try:
        return {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    except (KeyError, TypeError, ValueError):
        return {}  # damaged: whoever reads all initialisers says which


def _expanded(node: onnx.NodeProto, known: Mapping[str, AnyArray]) -> Pieces:
    """The standard nodes, and constants of theirs."""
    count = 4 if node.op_type == "Quant" else 2
    if len(node.input) != count or not all(node.input) or len(node.output) != 1:
        raise OtherMeaningError(
            f"expected {count} inputs and one output, found {len(node.input)} and "
            f"{len(node.output)}"
        )
    if node.op_type == "BipolarQuant":
        return _bipolar(node)
    options = attributes(node)
    mode = options.get("rounding_mode", "ROUND")
    if str(mode).upper() != "ROUND":
        raise OtherMeaningError(f"expected the rounding mode ROUND, halves to even, found {mode}")
    zero = _number(known, node.input[2], "zero point", 0)
    bits = _number(known, node.input[3], "bit width", 1)
    signed, narrow = bool(options.get("signed", 1)), bool(options.get("narrow", 0))
    if signed and bits == 1:
        if zero:
            raise OtherMeaningError(f"expected a zero point of 0 for one bit, found {zero}")
        return _bipolar(node)
    if bits <= _MOST_BITS:  # else the bounds need not fit into memory
        low = -(1 << (bits - 1)) + narrow if signed else 0
        high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1 - narrow
        if low < high:
            return _uniform(node, low, high)
    raise OtherMeaningError(
        f"expected a bit width of 1 to {_MOST_BITS} with two values or more, found {bits}"
    )


def _number(known: Mapping[str, AnyArray], name: str, what: str, least: int) -> int:
    if name not in known:
        raise OtherMeaningError(f"expected a constant {what}, one for the tensor, found {name!r}")
    value = float(known[name].reshape(-1)[0])
    if not value.is_integer() or (least and value < least):
        raise OtherMeaningError(f"expected a whole number as the {what}, found {value:g}")
    return int(value)


def _uniform(node: onnx.NodeProto, low: int, high: int) -> Pieces:
    """Rule Q1."""
    x, scale, zero, _ = node.input
    ends: dict[str, AnyArray] = {
        inner_name(node, "low"): np.array(low, np.float32),
        inner_name(node, "high"): np.array(high, np.float32),
    }
    steps = inner_node(node, "steps", "Div", x, scale)
    shifted = inner_node(node, "shifted", "Add", steps.name, zero)
    rounded = inner_node(node, "rounded", "Round", shifted.name)
    clipped = inner_node(node, "clipped", "Clip", rounded.name, *ends)
    centred = inner_node(node, "centred", "Sub", clipped.name, zero)
    last = named_node(node, node.output[0], "Mul", centred.name, scale)
    return Pieces([steps, shifted, rounded, clipped, centred, last], ends)


def _bipolar(node: onnx.NodeProto) -> Pieces:
    """Rule Q2."""
    x, scale = node.input[:2]
    zero: dict[str, AnyArray] = {inner_name(node, "zero"): np.zeros((), np.float32)}
    minus = inner_node(node, "minus", "Neg", scale)
    below = inner_node(node, "below", "Less", x, *zero)
    last = named_node(node, node.output[0], "Where", below.name, minus.name, scale)
    return Pieces([minus, below, last], zero)
