# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""CastLike, written as Cast once types are known: functions that torch and onnxscript inline give
their constants the type of a computed tensor, of which nothing but the type counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from ...hw.formats.tensor import AnyArray
from .expansion import Expansion, OtherMeaningError, Pieces, named_node
from .infer import analyse
from .source import kind_of


def expand_casts(found: Expansion, opset: int, initialisers: Mapping[str, AnyArray]) -> None:
    """Write out every CastLike of a bound, sorted model with unique names."""
    if not any(_is_cast_like(node) for node in found.model.graph.node):
        return
    types = analyse(found.model, opset, initialisers).types

    def cast(node: onnx.NodeProto) -> Pieces:
        like = types.get(node.input[1])
        if like is None:
            raise OtherMeaningError(
                f"expected a tensor of a known type to cast like, found {node.input[1]!r}"
            )
        to = like.tensor_type.elem_type
        written = named_node(node, node.output[0], "Cast", node.input[0], to=to)
        written.attribute.extend(node.attribute)
        return Pieces([written])

    found.write_out(lambda node: cast if _is_cast_like(node) else None)


def _is_cast_like(node: onnx.NodeProto) -> bool:
    return kind_of(node) == "CastLike"
