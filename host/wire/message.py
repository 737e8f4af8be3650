# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests, replies and errors on top of the wire format.

- A request is one TENSOR message: every slice input, at cursor 0; with cursor 1 it is every slice
  output, from the hop that executed.
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

import bisect
import itertools
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
from . import missing
from .tensors import Buffer, view_of
from .udp import Datagram

MAX_REPLY_BYTES = 16 << 20
MAX_ERROR_TEXT = 1000
_MAX_ABOUT = 1 << 16
_DTYPES = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


class BadReply(WireError):
    """The bytes are not those of a reply, or a reply cannot be sent."""


def parse(datagram: memoryview) -> tuple[Header, memoryview]:
    """Header of a datagram and what is behind it: tensor bytes, or which fragments are missing.

    Raises
    ------
    WireError
        If the datagram is neither a sound fragment (W2) nor asks soundly for some (W8).
    """
    header = wire.decode(datagram)
    payload = datagram[HEADER_BYTES:]
    if header.message_type == MessageType.MISSING:
        missing.wanted(header, payload)
    else:
        fragments.check_fragment(header, len(payload))
    return header, payload


def reason_of(error: WireError) -> str:
    """Name of the counter for a bad datagram: ``BadCrc`` counts as ``bad_crc``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def datagrams(
    header: Header,
    tensors: Sequence[Sequence[Buffer]],
    mtu: int = DEFAULT_MTU,
    types: Sequence[ElementType] = (),
    only: Mapping[int, Sequence[int]] | None = None,
) -> Iterator[Datagram]:
    """Datagrams of a message: a header each, and views of the tensors' bytes.

    Parameters
    ----------
    header : what all tensors share
    tensors : the bytes of each, in one piece or in several that lie anywhere
    mtu : of IP on the way
    types : of the tensors' elements; without them the header's stays
    only : fragments by the index of their tensor, if it is not to be all of all
    """
    kinds = types or [header.element_type] * len(tensors)
    for index, (pieces, kind) in enumerate(zip(tensors, kinds, strict=True)):
        if only is not None and index not in only:
            continue
        of_tensor = replace(
            header, tensor_index=index, source_count=len(tensors), element_type=kind
        )
        views = [memoryview(piece) for piece in pieces]
        ends = list(itertools.accumulate(map(len, views)))
        total, chosen = ends[-1] if ends else 0, None if only is None else only[index]
        for head, start, stop in fragments.headers(of_tensor, total, mtu, chosen):
            yield [head, *_between(views, ends, start, stop)]


def _between(
    views: Sequence[memoryview], ends: Sequence[int], start: int, stop: int
) -> Iterator[memoryview]:
    """Views of bytes ``start`` to ``stop`` of pieces that follow each other."""
    for at in range(bisect.bisect_right(ends, start), len(views)):
        begin = ends[at] - len(views[at])
        if begin >= stop:
            return
        yield views[at][max(0, start - begin) : stop - begin]


def answer_header(request: Header, kind: MessageType) -> Header:
    """Header of the answer to a request."""
    return replace(
        request, message_type=kind, resend=False, element_type=ElementType.NONE, hop_limit=8
    )


def pack_reply(
    outputs: Mapping[str, AnyArray], *, executed_by: str, slice_sha256: str
) -> list[Buffer]:
    """Bytes of a reply in pieces: what it says of itself, then the memory of each output.

    Raises
    ------
    BadReply
        If they are more than anybody takes.
    """
    about = {
        "outputs": [
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
            for name, array in outputs.items()
        ],
        "executed_by": executed_by,
        "slice_sha256": slice_sha256,
    }
    text = json.dumps(about).encode()
    pieces: list[Buffer] = [len(text).to_bytes(4, "big") + text, *map(view_of, outputs.values())]
    size = sum(map(len, pieces))
    if size > MAX_REPLY_BYTES:
        raise BadReply(
            "the model's outputs are too large for a reply",
            expected=f"at most {MAX_REPLY_BYTES} bytes",
            found=f"{size} bytes",
        )
    return pieces


def unpack_reply(data: Buffer) -> tuple[dict[str, AnyArray], dict[str, str]]:
    """Outputs by name, in the reply's own memory, and the rest of what it says.

    Raises
    ------
    BadReply
        If the bytes are anything else.
    """
    data = memoryview(data)
    try:
        size = int.from_bytes(data[:4], "big")
        if size > _MAX_ABOUT:
            raise ValueError(f"{size} bytes of description")
        about = json.loads(bytes(data[4 : 4 + size]))
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
        if not outputs:
            raise ValueError("no outputs")
        if at != len(data):
            raise ValueError(f"{len(data)} bytes, {at} announced")
        executed_by, fingerprint = str(about["executed_by"]), str(about["slice_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise BadReply("the bytes are not those of a reply", found=str(error)) from error
    return outputs, {"executed_by": executed_by, "slice_sha256": fingerprint}


def pack_error(text: str) -> bytes:
    """Bytes of an error."""
    return json.dumps({"message": text[:MAX_ERROR_TEXT]}).encode()


def unpack_error(data: Buffer) -> str:
    """What an error says.

    Raises
    ------
    BadReply
        If the bytes are anything else.
    """
    try:
        found: Any = json.loads(bytes(data))
        text = str(found["message"])[:MAX_ERROR_TEXT]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadReply("the bytes are not those of an error", found=str(error)) from error
    # It goes to a terminal, which a stranger's control characters must not reach.
    return "".join(character if character.isprintable() else "?" for character in text)
