# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantisers of QONNX (Brevitas, FINN), written out in standard operators while loading.

ONNX Runtime does not know these nodes, and the parts of a model, calibration and losses run in it.

Q1. ``Quant(x, scale, zero_point, bits)`` is ``(clip(round(x / scale + zero_point)) - zero_point) *
    scale``: ties to the even integer (rounding mode ROUND), bounds by ``signed`` and ``narrow``.
Q2. ``BipolarQuant(x, scale)``, and Quant of one signed bit, is ``-scale`` where ``x < 0``, else
    ``scale``.
Q3. The last of the nodes has the name of the one that they stand for, and
    :class:`~.source.Written` says which that is: people are shown their own.
Q4. What has another meaning stays as it is, with a sentence that says why.
Q5. Round came with opset 11: an older model is converted to that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .source import Written, kind_of, reads

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


@dataclass
class Expansion:
    """What became of a model's quantisers.

    Attributes
    ----------
    model : with standard nodes in their place
    written : for each of those, by name, the node in the file
    refused : why a quantiser stayed, by name
    """

    model: onnx.ModelProto
    written: dict[str, Written] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class _OtherMeaningError(Exception):
    """One clause: what was expected and what was found (rule Q4)."""


def expand_quantisers(model: onnx.ModelProto) -> Expansion:
    """Write out all quantisers of a sorted model with unique names (rules Q1 to Q5)."""
    if not any(_is_quantiser(node) for node in model.graph.node):
        return Expansion(model)
    found = Expansion(_converted(model))
    opset = _opset(found.model)
    graph = found.model.graph
    known = _known(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if not _is_quantiser(node):
            nodes.append(node)
            continue
        try:
            if opset < _OPSET:
                raise _OtherMeaningError(
                    f"expected opset {_OPSET} or later, or a model that onnx.version_converter "
                    f"can bring there, found opset {opset}"
                )
            new, constants = _expanded(node, known)
        except _OtherMeaningError as reason:
            found.refused[node.name] = str(reason)
            nodes.append(node)
            continue
        nodes.extend(new)
        graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
        written = Written(node.name, kind_of(node))
        found.written.update((each.name, written) for each in new)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unread(graph)
    return found


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Bit widths are bounds now: ONNX Runtime warns of initialisers that nothing reads."""
    used = {name for node in graph.node for name in reads(node)}
    used.update(value.name for value in graph.output)
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


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


def _expanded(
    node: onnx.NodeProto, known: Mapping[str, AnyArray]
) -> tuple[list[onnx.NodeProto], dict[str, AnyArray]]:
    """The standard nodes, and constants of theirs."""
    count = 4 if node.op_type == "Quant" else 2
    if len(node.input) != count or not all(node.input) or len(node.output) != 1:
        raise _OtherMeaningError(
            f"expected {count} inputs and one output, found {len(node.input)} and "
            f"{len(node.output)}"
        )
    if node.op_type == "BipolarQuant":
        return _bipolar(node)
    options = attributes(node)
    mode = options.get("rounding_mode", "ROUND")
    if str(mode).upper() != "ROUND":
        raise _OtherMeaningError(f"expected the rounding mode ROUND, halves to even, found {mode}")
    zero = _number(known, node.input[2], "zero point", 0)
    bits = _number(known, node.input[3], "bit width", 1)
    signed, narrow = bool(options.get("signed", 1)), bool(options.get("narrow", 0))
    if signed and bits == 1:
        if zero:
            raise _OtherMeaningError(f"expected a zero point of 0 for one bit, found {zero}")
        return _bipolar(node)
    if bits <= _MOST_BITS:  # else the bounds need not fit into memory
        low = -(1 << (bits - 1)) + narrow if signed else 0
        high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1 - narrow
        if low < high:
            return _uniform(node, low, high)
    raise _OtherMeaningError(
        f"expected a bit width of 1 to {_MOST_BITS} with two values or more, found {bits}"
    )


def _number(known: Mapping[str, AnyArray], name: str, what: str, least: int) -> int:
    if name not in known:
        raise _OtherMeaningError(f"expected a constant {what}, one for the tensor, found {name!r}")
    value = float(known[name].reshape(-1)[0])
    if not value.is_integer() or (least and value < least):
        raise _OtherMeaningError(f"expected a whole number as the {what}, found {value:g}")
    return int(value)


def _uniform(
    node: onnx.NodeProto, low: int, high: int
) -> tuple[list[onnx.NodeProto], dict[str, AnyArray]]:
    """Rule Q1."""
    x, scale, zero, _ = node.input
    ends: dict[str, AnyArray] = {
        f"{node.name}::low": np.array(low, np.float32),
        f"{node.name}::high": np.array(high, np.float32),
    }
    names = iter(_names(node, ("steps", "shifted", "rounded", "clipped", "centred")))
    steps = _node("Div", next(names), x, scale)
    shifted = _node("Add", next(names), steps.output[0], zero)
    rounded = _node("Round", next(names), shifted.output[0])
    clipped = _node("Clip", next(names), rounded.output[0], *ends)
    centred = _node("Sub", next(names), clipped.output[0], zero)
    last = _last(node, "Mul", centred.output[0], scale)
    return [steps, shifted, rounded, clipped, centred, last], ends


def _bipolar(node: onnx.NodeProto) -> tuple[list[onnx.NodeProto], dict[str, AnyArray]]:
    """Rule Q2."""
    x, scale = node.input[:2]
    zero: dict[str, AnyArray] = {f"{node.name}::zero": np.zeros((), np.float32)}
    names = _names(node, ("minus", "below"))
    minus = _node("Neg", next(names), scale)
    below = _node("Less", next(names), x, *zero)
    last = _last(node, "Where", below.output[0], minus.output[0], scale)
    return [minus, below, last], zero


def _names(node: onnx.NodeProto, words: tuple[str, ...]) -> Iterator[str]:
    return (f"{node.name}::{word}" for word in words)


def _node(kind: str, name: str, *inputs: str) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [name], name)


def _last(node: onnx.NodeProto, kind: str, *inputs: str) -> onnx.NodeProto:
    """The node that makes what the quantiser made, with its name (rule Q3)."""
    return helper.make_node(kind, inputs, node.output, node.name)
