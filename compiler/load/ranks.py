# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ONNX's inference of a node may be asked: it does not look at what it is told, and takes the
process with it, or all memory of the machine.

It makes an entry for each axis, and takes their number from the length of a tensor, which a few
bytes of a model can make any: of the shape that an Expand reads, be it a Range to 10^12. A Gather
in its own result has twice as many axes, so thirty of them have 10^9. A kernel larger than its
image leaves a length below zero, which ends the process where a Slice reads it.

So each type that inference makes is looked at before the next node reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

MAX_RANK = 64
"""Axes of a tensor, as in numpy."""

COUNTS: Mapping[str, int] = {
    "AffineGrid": 1,
    "Col2Im": 1,
    "ConstantOfShape": 0,
    "Expand": 1,
    "Reshape": 1,
    "Resize": 3,
}
"""Which input of an operator, a list, has as many elements as the result may have axes."""


def check_types(types: Mapping[str, onnx.TypeProto]) -> None:
    """Raise ValueError if a tensor has more than :data:`MAX_RANK` axes, or a length below 0."""
    for name, kind in types.items():
        dims = dims_of(kind)
        if len(dims) > MAX_RANK:
            raise ValueError(f"{name!r} has {len(dims)} axes; a tensor has at most {MAX_RANK}")
        if any(dim.dim_value < 0 for dim in dims):
            raise ValueError(f"{name!r} has the shape {[dim.dim_value for dim in dims]}")


def check_node(node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto]) -> None:
    """Raise ValueError if inference of a node of the default domain would make a tensor of more
    than :data:`MAX_RANK` axes, or look where nothing is.

    Parameters
    ----------
    types : those of its inputs
    """
    check_types({name: types[name] for name in node.input if name})
    position = COUNTS.get(node.op_type, len(node.input))
    if position < len(node.input) and node.input[position]:
        length = next((dim.dim_value for dim in dims_of(types[node.input[position]])), 0)
        if length > MAX_RANK:
            raise ValueError(f"{length} numbers for axes; a tensor has at most {MAX_RANK}")
    batch = next((a.i for a in node.attribute if a.name == "batch_dims"), 0)
    if node.op_type == "GatherND" and batch < 0:
        raise ValueError(f"expected batch_dims of 0 or more, found {batch}")


def dims_of(kind: onnx.TypeProto) -> list[onnx.TensorShapeProto.Dimension]:
    """Of a tensor, or of each in a sequence; empty where they are not known."""
    for holder in ("sequence_type", "optional_type"):
        if kind.HasField(holder):
            return dims_of(getattr(kind, holder).elem_type)
    return list(kind.tensor_type.shape.dim)
