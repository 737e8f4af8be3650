# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""DepthToSpace and SpaceToDepth (ONNX operator versions 1 to 28): three views.

A reshape, a transposition and a reshape: there is hardware only where what follows wants another
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx

from ..ir.graph import Value
from ._model import one_node
from .base import Case, ImportContext, Imported, Op, Piece, Unsupported, inner
from .reshape import Reshape
from .transpose import Transpose


@dataclass(frozen=True)
class DepthToSpace(Op):
    """The import rule only: other operators do the work."""

    onnx_types = ("DepthToSpace", "SpaceToDepth")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Images whose axes the block size divides."""
        (source,) = node.input
        attributes = context.attributes(node)
        shape, block = context.shape(source), int(attributes["blocksize"])
        if len(shape) != 4:
            raise Unsupported(f"expected an image of 4 axes, found {list(shape)}")
        if block < 1:
            raise Unsupported(f"expected a blocksize of at least 1, found {block}")
        mode = attributes.get("mode", "DCR")
        moves = _to_space if node.op_type == "DepthToSpace" else _to_depth
        cut, perm = moves(shape, block, mode)
        if prod(cut) != prod(shape):
            raise Unsupported(f"expected axes that {block} divides, found the shape {list(shape)}")
        turned = tuple(cut[axis] for axis in perm)
        names = inner(node, "cut"), inner(node, "turned")
        dtype = context.dtype(source)
        return Imported(
            (
                Piece(Reshape(), (source,), names[:1]),
                Piece(Transpose(perm), names[:1], names[1:]),
                Piece(Reshape(), names[1:]),
            ),
            (Value(names[0], cut, dtype), Value(names[1], turned, dtype)),
        )

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Both modes, and back (by columns since operator version 28)."""
        deep, wide = (1, 8, 2, 3), (1, 2, 4, 6)
        yield Case("depth_to_space", one_node("DepthToSpace", [deep], wide, blocksize=2))
        yield Case(
            "depth_to_space_by_columns",
            one_node("DepthToSpace", [deep], wide, blocksize=2, mode="CRD"),
        )
        yield Case("space_to_depth", one_node("SpaceToDepth", [wide], deep, blocksize=2))
        yield Case(
            "space_to_depth_by_columns",
            one_node("SpaceToDepth", [wide], deep, opset=28, blocksize=2, mode="CRD"),
        )


_Moves = tuple[tuple[int, ...], tuple[int, ...]]
"""The shape that the axes are cut to, and how these move."""


def _to_space(shape: tuple[int, ...], block: int, mode: str) -> _Moves:
    batch, depth, height, width = shape
    rest = depth // block // block
    if mode == "DCR":
        return (batch, block, block, rest, height, width), (0, 3, 4, 1, 5, 2)
    if mode == "CRD":
        return (batch, rest, block, block, height, width), (0, 1, 4, 2, 5, 3)
    raise Unsupported(f"expected the mode DCR or CRD, found {mode}")


def _to_depth(shape: tuple[int, ...], block: int, mode: str) -> _Moves:
    batch, depth, height, width = shape
    cut = (batch, depth, height // block, block, width // block, block)
    if mode == "DCR":
        return cut, (0, 3, 5, 1, 2, 4)
    if mode == "CRD":
        return cut, (0, 1, 3, 5, 2, 4)
    raise Unsupported(f"expected the mode DCR or CRD, found {mode}")
