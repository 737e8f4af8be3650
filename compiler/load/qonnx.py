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
Q6. ``Trunc(x, scale, zero_point, in_bits, out_bits)`` is ``scale * floor(round(x / scale) /
    2**(in_bits - out_bits))``, or ``ceil`` or ``round`` by its mode; newer ones of seven inputs
    bound that by ``signed`` and ``narrow`` and have a scale of their own for it, which is the power
    of two times the other. The zero point must be 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
import onnx.version_converter
from onnx import numpy_helper

from ...hw.formats.tensor import AnyArray
from .evaluate import INFERENCE_ERRORS
from .expansion import Expansion, OtherMeaningError, Pieces, drop_unread
from .normalise import name_nodes
from .qonnx_nodes import INPUTS, write_quantiser
from .source import Written, kind_of

_DOMAINS = frozenset(
    (
        "finn.custom_op.general",
        "onnx.brevitas",
        "qonnx.custom_op.general",
    )
)
_OPSET = 11


def expand_quantisers(found: Expansion) -> None:
    """Write out all quantisers of a sorted model with unique names (rules Q1 to Q6)."""
    if not any(_is_quantiser(node) for node in found.model.graph.node):
        return
    _convert(found)
    opset = _opset(found.model)
    known = _known(found.model.graph)

    def expanded(node: onnx.NodeProto) -> Pieces:
        if opset < _OPSET:
            raise OtherMeaningError(
                f"expected opset {_OPSET} or later, or a model that onnx.version_converter "
                f"can bring there, found opset {opset}"
            )
        return write_quantiser(node, known)

    found.write_out(lambda node: expanded if _is_quantiser(node) else None)
    drop_unread(found.model.graph)  # bit widths are bounds now


def _is_quantiser(node: onnx.NodeProto) -> bool:
    return node.domain in _DOMAINS and node.op_type in INPUTS


def _opset(model: onnx.ModelProto) -> int:
    return next(int(e.version) for e in model.opset_import if e.domain == "")


def _convert(found: Expansion) -> None:
    """Rule Q5; a model that the converter cannot take stays, and its quantisers are refused."""
    before = found.model
    if _opset(before) >= _OPSET:
        return
    try:
        found.model = onnx.version_converter.convert_version(before, _OPSET)
    except INFERENCE_ERRORS:
        return
    nodes = found.model.graph.node
    kept = {node.name for node in nodes}
    replaced = [node for node in before.graph.node if node.name not in kept]
    # What the converter makes has no name: one node in the place of each, and its constants.
    made = [node for node in nodes if not node.name and node.op_type != "Constant"]
    if len(made) == len(replaced):
        for node, old in zip(made, replaced, strict=True):
            node.name = old.name
            found.written[old.name] = Written(old.name, kind_of(old))
    name_nodes(nodes)


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
