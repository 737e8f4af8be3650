# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Wire tensors as the bytes that are sent, without copies, both ways."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ...hw.formats.tensor import AnyArray, TensorSpec

Buffer = bytes | bytearray | memoryview
"""Bytes that the socket can be given as they lie."""


def view_of(array: AnyArray) -> memoryview:
    """An array's bytes, little-endian and C-contiguous; copied only where it is not so already."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data


def to_buffers(specs: Sequence[TensorSpec], arrays: Sequence[AnyArray]) -> list[memoryview]:
    """Bytes of wire tensors, in the memory of the arrays where these have the wire's type."""
    return [
        view_of(array.astype(spec.qtype.wire_dtype, copy=False))
        for spec, array in zip(specs, arrays, strict=True)
    ]


def from_buffers(specs: Sequence[TensorSpec], tensors: Sequence[Buffer]) -> list[AnyArray]:
    """Wire tensors in the memory of their bytes."""
    return [
        np.frombuffer(data, dtype=spec.qtype.wire_dtype)
        for spec, data in zip(specs, tensors, strict=True)
    ]


def fingerprint(tensors: Sequence[Buffer]) -> str:
    """SHA-256 over the bytes of wire tensors, in hexadecimal: equal bits, equal fingerprint."""
    total = hashlib.sha256()
    for data in tensors:
        total.update(data)
    return total.hexdigest()


def fingerprint_of(specs: Sequence[TensorSpec], arrays: Sequence[AnyArray]) -> str:
    """Fingerprint of wire tensors, as replies carry it."""
    return fingerprint(to_buffers(specs, arrays))
