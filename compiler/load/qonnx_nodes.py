# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What each quantiser of QONNX is in standard operators: rules Q1 to Q6 of :mod:`.qonnx`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .expansion import OtherMeaningError, Pieces, inner_name, inner_node, named_node

INPUTS = {"BipolarQuant": (2,), "Quant": (4,), "Trunc": (5, 7)}
"""The quantisers, and how many inputs each has."""

_ROUNDING = {"CEIL": "Ceil", "FLOOR": "Floor", "ROUND": "Round"}

_MOST_BITS = 32
"""More cannot be told apart in the float32 that bounds are compared in."""


def write_quantiser(node: onnx.NodeProto, known: Mapping[str, AnyArray]) -> Pieces:
    """The standard nodes for a quantiser, and constants of theirs.

    Parameters
    ----------
    known : constants of one element

    Raises
    ------
    OtherMeaningError
        If it has a meaning that no rule gives.
    """
    counts = INPUTS[node.op_type]
    if len(node.input) not in counts or not all(node.input) or len(node.output) != 1:
        raise OtherMeaningError(
            f"expected {' or '.join(map(str, counts))} inputs and one output, found "
            f"{len(node.input)} and {len(node.output)}"
        )
    if node.op_type == "BipolarQuant":
        return _bipolar(node)
    return _truncated(node, known) if node.op_type == "Trunc" else _quantised(node, known)


def _quantised(node: onnx.NodeProto, known: Mapping[str, AnyArray]) -> Pieces:
    """Rule Q1, and Q2 for one bit."""
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
    return _uniform(node, *_bounds(bits, signed, narrow))


def _bounds(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The smallest and the largest integer."""
    if bits <= _MOST_BITS:  # else the bounds need not fit into memory
        low = -(1 << (bits - 1)) + narrow if signed else 0
        high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1 - narrow
        if low < high:
            return low, high
    raise OtherMeaningError(
        f"expected a bit width of 1 to {_MOST_BITS} with two values or more, found {bits}"
    )


def _number(known: Mapping[str, AnyArray], name: str, what: str, least: int) -> int:
    if name not in known:
        raise OtherMeaningError(f"expected a constant {what}, one for the tensor, found {name!r}")
    value = float(known[name].reshape(-1)[0])
    if not value.is_integer() or (least and value < least):
        at_least = f" of at least {least}" if least else ""
        raise OtherMeaningError(f"expected a whole number{at_least} as the {what}, found {value:g}")
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


def _truncated(node: onnx.NodeProto, known: Mapping[str, AnyArray]) -> Pieces:
    """Rule Q6."""
    options = attributes(node)
    mode = str(options.get("rounding_mode", "FLOOR")).upper()
    if mode not in _ROUNDING:
        raise OtherMeaningError(
            f"expected one of the rounding modes {', '.join(sorted(_ROUNDING))}, found {mode}"
        )
    x, scale, zero = node.input[:3]
    if offset := _number(known, zero, "zero point", 0):
        raise OtherMeaningError(f"expected a zero point of 0, found {offset}")
    bits = _number(known, node.input[3], "bit width of the input", 1)
    out = _number(known, node.input[-1], "bit width of the output", 1)
    newer = len(node.input) == 7
    result = node.input[4] if newer else scale
    dropped = _dropped_bits(known, scale, result) if newer else bits - out
    if not 0 <= dropped <= _MOST_DROPPED or bits > _MOST_BITS:
        raise OtherMeaningError(
            f"expected 0 to {_MOST_DROPPED} bits less behind it than the {bits} before it, found "
            f"{dropped}"
        )
    constants: dict[str, AnyArray] = {}
    nodes = [inner_node(node, "steps", "Div", x, scale)]

    def then(kind: str, word: str, **others: float) -> None:
        ends = {inner_name(node, key): np.array(v, np.float32) for key, v in others.items()}
        constants.update(ends)
        nodes.append(inner_node(node, word, kind, nodes[-1].name, *ends))

    then("Round", "whole")
    # Signed or not, as wide as it may be.
    then("Clip", "bounded", least=-(1 << bits), most=(1 << bits) - 1)
    then("Div", "shifted", unit=1 << dropped)
    if newer:
        low, high = _bounds(out, bool(options.get("signed", 1)), bool(options.get("narrow", 0)))
        then("Clip", "clipped", low=low, high=high)
    then(_ROUNDING[mode], "truncated")
    last = named_node(node, node.output[0], "Mul", nodes[-1].name, result)
    return Pieces([*nodes, last], constants)


_MOST_DROPPED = 16
"""Bits that a truncation takes off, at most."""


def _dropped_bits(known: Mapping[str, AnyArray], scale: str, result: str) -> int:
    """The power of two between two scales."""
    if scale not in known or result not in known:
        raise OtherMeaningError(f"expected two constant scales, found {scale!r} and {result!r}")
    ratio = float(known[result].reshape(-1)[0]) / (float(known[scale].reshape(-1)[0]) or math.nan)
    mantissa, exponent = math.frexp(ratio)
    if mantissa != 0.5:
        raise OtherMeaningError(
            f"expected an output scale that is a power of two times the scale, found {ratio:g}"
        )
    return exponent - 1
