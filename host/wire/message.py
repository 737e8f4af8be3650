# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests, replies and errors on top of the wire format.

- A request is one TENSOR message: every slice input, at cursor 0.
- A REPLY's bytes describe themselves: 4 bytes length (network order) of a UTF-8 JSON object, the
  object, then the bytes of the model's outputs, C-contiguous and little-endian, one after the
  other. The object has ``outputs`` (a list of ``name``, ``dtype``, ``shape``), ``executed_by``
  (``nic`` or ``cloud``) and ``slice_sha256`` (over the bytes of the slice's outputs, for comparing
  bits without sending them).
- An ERROR's bytes are a UTF-8 JSON object with ``message``.

A reply's header is that of the request as it reached the cloud, so that flags, decline reason and
cycles of the hops on the way reach the edge.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...hw.formats import fragments, wire
from ...hw.formats.fragments import DEFAULT_MTU
from ...hw.formats.tensor import AnyArray
from ...hw.formats.wire import HEADER_BYTES, ElementType, Header, MessageType, WireError

MAX_REPLY_BYTES = 16 << 20
MAX_ERROR_TEXT = 1000
_MAX_ABOUT = 1 << 16
_DTYPES = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


class BadReply(WireError):
    """The bytes of a reply are not those of a reply."""


def parse(datagram: memoryview) -> tuple[Header, memoryview]:
    """Header and tensor bytes of a datagram.

    Raises
    ------
    WireError
        If the datagram is not a sound fragment.
    """
    header = wire.decode(datagram)
    payload = datagram[HEADER_BYTES:]
    fragments.check_fragment(header, len(payload))
    return header, payload


def reason_of(error: WireError) -> str:
    """Name of the counter for a bad datagram: ``BadCrc`` counts as ``bad_crc``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def trains(
    header: Header,
    tensors: Sequence[bytes],
    mtu: int = DEFAULT_MTU,
    types: Sequence[ElementType] = (),
) -> Iterator[tuple[bytes, int]]:
    """Datagrams of a message: for each tensor, the train and the size of one datagram.

    ``types`` are the tensors' element types; without them the header's stays.
    """
    size = HEADER_BYTES + fragments.fragment_bytes(mtu)
    kinds = types or [header.element_type] * len(tensors)
    for index, (tensor, kind) in enumerate(zip(tensors, kinds, strict=True)):
        of_tensor = replace(
            header, tensor_index=index, source_count=len(tensors), element_type=kind
        )
        yield b"".join(fragments.datagrams(of_tensor, tensor, mtu)), size


def answer_header(request: Header, kind: MessageType) -> Header:
    """Header of the answer to a request."""
    return replace(
        request, message_type=kind, resend=False, element_type=ElementType.NONE, hop_limit=8
    )


def pack_reply(outputs: Mapping[str, AnyArray], *, executed_by: str, slice_sha256: str) -> bytes:
    """Bytes of a reply."""
    about = {
        "outputs": [
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
            for name, array in outputs.items()
        ],
        "executed_by": executed_by,
        "slice_sha256": slice_sha256,
    }
    text = json.dumps(about).encode()
    arrays = [
        np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        for array in outputs.values()
    ]
    return b"".join([len(text).to_bytes(4, "big"), text, *arrays])


def unpack_reply(data: bytes) -> tuple[dict[str, AnyArray], dict[str, str]]:
    """Outputs by name, and the rest of what a reply says.

    Raises
    ------
    BadReply
        If the bytes are anything else.
    """
    try:
        size = int.from_bytes(data[:4], "big")
        if size > _MAX_ABOUT:
            raise ValueError(f"{size} bytes of description")
        about = json.loads(data[4 : 4 + size])
        at = 4 + size
        outputs: dict[str, AnyArray] = {}
        for item in about["outputs"]:
            shape = [int(length) for length in item["shape"]]
            if item["dtype"] not in _DTYPES or any(length < 0 for length in shape):
                raise ValueError(f"output {item!r}")
            dtype = np.dtype(item["dtype"]).newbyteorder("<")
            end = at + math.prod(shape) * dtype.itemsize
            if end > len(data):
                raise ValueError(f"{len(data)} bytes, {end} announced")
            outputs[str(item["name"])] = np.frombuffer(data[at:end], dtype).reshape(shape)
            at = end
        if at != len(data):
            raise ValueError(f"{len(data)} bytes, {at} announced")
        executed_by, fingerprint = str(about["executed_by"]), str(about["slice_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise BadReply("the bytes are not those of a reply", found=str(error)) from error
    return outputs, {"executed_by": executed_by, "slice_sha256": fingerprint}


def pack_error(text: str) -> bytes:
    """Bytes of an error."""
    return json.dumps({"message": text[:MAX_ERROR_TEXT]}).encode()


def unpack_error(data: bytes) -> str:
    """What an error says.

    Raises
    ------
    BadReply
        If the bytes are anything else.
    """
    try:
        found: Any = json.loads(data)
        return str(found["message"])[:MAX_ERROR_TEXT]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadReply("the bytes are not those of an error", found=str(error)) from error
