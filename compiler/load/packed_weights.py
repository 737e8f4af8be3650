# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MatMulNBits (domain ``com.microsoft``, version 1), written out while loading: a MatMul with the
weights that its packed ones stand for, and an Add.

Column ``n`` of the weights is stored as blocks of ``block_size`` integers of ``bits`` bits, the
first in the lowest bits of a byte; it is ``(integer - zero point) * scale``, both a block's own.
Zero points are packed in the same way, or are reals; they are half of the range if there are none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .expansion import (
    Expansion,
    OtherMeaningError,
    Pieces,
    inner_name,
    inner_node,
    named_node,
)
from .source import kind_of

_KIND = "com.microsoft.MatMulNBits"
_WIDTHS = (2, 4, 8)


def expand_packed_weights(found: Expansion) -> None:
    """Write out every MatMulNBits whose weights are stored."""
    kinds = map(kind_of, found.model.graph.node)
    if _KIND not in kinds:
        return
    stored = {tensor.name: tensor for tensor in found.model.graph.initializer}

    def rule(node: onnx.NodeProto) -> Pieces:
        return _product(node, stored)

    found.write_out(lambda node: rule if kind_of(node) == _KIND else None)


def _product(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> Pieces:
    x, *others = node.input
    names = {place: name for place, name in enumerate(others, 1) if name}
    if 4 in names:
        raise OtherMeaningError("expected columns in their order, found them grouped (g_idx)")
    packed = [name for place, name in names.items() if place < 4 and name not in stored]
    if packed:
        raise OtherMeaningError(f"expected stored weights, found {packed[0]!r} computed")
    arrays = {p: numpy_helper.to_array(stored[name]) for p, name in names.items() if p < 4}
    constants = {inner_name(node, "weights"): _unpacked(node, arrays)}
    if 5 not in names:
        return Pieces([named_node(node, node.output[0], "MatMul", x, *constants)], constants)
    product = inner_node(node, "product", "MatMul", x, *constants)
    total = named_node(node, node.output[0], "Add", product.output[0], names[5])
    return Pieces([product, total], constants)


def _unpacked(node: onnx.NodeProto, arrays: Mapping[int, AnyArray]) -> AnyArray:
    """The weights, (inputs, outputs)."""
    options = attributes(node)
    rows, columns = int(options["K"]), int(options["N"])
    bits, block = int(options.get("bits", 4)), int(options["block_size"])
    if bits not in _WIDTHS:
        raise OtherMeaningError(f"expected weights of 2, 4 or 8 bits, found {bits}")
    count = -(-rows // block)
    whole = _integers(arrays[1], bits).reshape(columns, count, -1)[:, :, :block]
    scale = arrays[2].reshape(columns, count, 1).astype(np.float32)
    zero: AnyArray = np.array(1 << (bits - 1))
    if 3 in arrays:
        given = arrays[3].reshape(columns, -1)
        points = _integers(given, bits) if given.dtype == np.uint8 else given
        zero = points[:, :count, None]
    real = (whole - zero.astype(np.float32)) * scale
    return np.ascontiguousarray(real.reshape(columns, -1)[:, :rows].T.astype(np.float32))


def _integers(packed: AnyArray, bits: int) -> AnyArray:
    """The integers in bytes, those in the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((packed[..., None] >> shifts) & ((1 << bits) - 1)).reshape(*packed.shape[:-1], -1)
