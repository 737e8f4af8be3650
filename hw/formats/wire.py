# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Wire format, version 1: the header in front of tensor bytes in a UDP datagram.

:data:`FIELDS` is the only definition. The codec here, the RTL parser
(:mod:`midwire.hw.nic.header`), the Wireshark dissector and the tables in ``docs/wire-format.md``
come from it. :mod:`.fragments` cuts tensors (rule W2), and ``host/wire/message.py`` says what
replies and errors are made of.

Rules, cited by tests as W1 to W8:

W1. The header is 64 bytes in network order. Its CRC is CRC-32C (Castagnoli) over the 64 bytes with
    the CRC field zero, as in SCTP.
W2. A tensor is cut into fragments ``0 .. count - 1``, in order, edge to edge. Every fragment but
    the last carries the same number of bytes, a multiple of 64; the last one carries the rest, and
    it alone has the flag ``last``.
W3. A hop that executes puts the result in place of the tensor: flag ``result``, ``cursor`` plus
    one; the last fragment has ``cycles`` and the flag ``telemetry``, the others need not;
    ``declined`` and its reason go.
W4. A hop that is asked to execute and cannot sets ``declined`` and ``reason``, and sends the tensor
    on. One that is not asked leaves both alone: an earlier hop's result is for whoever has the
    slice at its cursor.
W5. A hop that changes a header takes 1 from ``hop_limit`` and the microseconds that it used from
    ``deadline_us`` (not below 0). Bits that it does not know are sent on as they came.
W6. A request is ``source_count`` tensors: one for each input of the slice at ``cursor``, numbered
    by ``tensor_index`` from 0 in the order of the manifest. Each is cut by itself (W2), and they
    may come in any order and mixed; the request is whole when all of them are. A result (W3) takes
    the place of all of them at once: ``source_count`` becomes the number of the slice's outputs,
    which ``tensor_index`` numbers alike, and the last fragment of each has ``cycles``. A reply or
    an error is one byte string, tensor 0 of 1.
W7. A hop executes a request whole or not at all. Once it has sent on a fragment of one tensor, it
    sends on those of the others too, each declined by itself (W4); a hop that cannot join tensors
    declines each as ``wrong_tensor``. So a next hop, and in the end the receiver, gets all the
    tensors of one cursor: it puts together what agrees in sender, model, request and cursor, and
    drops a ``source_count`` or a size that is not the manifest's.
W8. Whoever puts a tensor together may ask its sender for what has not come: a message ``MISSING``
    back to the address that the fragments came from, with their header, but that
    ``fragment_index`` is a multiple of 64, ``offset`` is 0, ``last`` is set, and the payload is a
    bitmap of 8 bytes, first bit first: bit k asks for fragment ``fragment_index + k``. The sender
    sends those again, as they were; what has come meanwhile is dropped as a duplicate. The header
    has the cursor at which the tensor is missed: if that is not the sender's own, a result was lost
    behind the hop that executed, and the sender sends the request again, flagged ``resend``.
    A hop that keeps the result of that cursor, and sees the message on its way back from whom that
    went to, sends those fragments again itself, and the message ends there.
    Fragments of a reply or an error are asked for alike; one of which nothing has come, and a
    tensor of which nothing has, as fragment 0 of 1.

Errors::

    MidwireError
      WireError
        TooShort      fewer bytes than a header
        BadMagic      not midwire
        BadVersion    another version
        BadCrc        the header was damaged
        BadField      a field's value is not one of this version's (both directions)
        BadLength     fragment, payload and tensor lengths contradict each other
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from ..errors import MidwireError

MAGIC = 0x4D57  # "MW"
VERSION = 1
HEADER_BYTES = 64
TAG_BYTES = 16
"""Of the authentication tag behind an encrypted fragment."""

UDP_PORT = 5210
"""Port that the NIC's registers have after reset. Processes take any free port unless told."""


class WireError(MidwireError):
    """A datagram is not a midwire fragment, or a header cannot be sent."""


class TooShort(WireError):
    """Fewer bytes than a header."""


class BadMagic(WireError):
    """The datagram is not midwire's."""


class BadVersion(WireError):
    """A header of another version."""


class BadCrc(WireError):
    """The header was damaged on its way."""


class BadField(WireError):
    """A field's value is not one of this version's."""


class BadLength(WireError):
    """Lengths of fragment, payload and tensor contradict each other."""


class MessageType(IntEnum):
    """What the bytes behind the header are."""

    TENSOR = 1
    """Fragment of a tensor at ``cursor``, input of a slice or its result."""
    REPLY = 2
    """Fragment of the answer to a request: all outputs of the model, and who executed what."""
    ERROR = 3
    """Fragment of the answer to a request that ended in an error: a JSON object."""
    MISSING = 4
    """Asks the sender of a tensor for fragments that have not come (W8)."""


class DeclineReason(IntEnum):
    """Why a hop sent a tensor on without executing."""

    NONE = 0
    BUSY = 1
    WRONG_MODEL = 2
    WRONG_CURSOR = 3
    WRONG_TENANT = 4
    WRONG_EPOCH = 5
    POLICY = 6
    DEADLINE = 7
    BAD_LENGTH = 8
    INCOMPLETE = 9
    WRONG_TENSOR = 10
    ENCRYPTED = 11


class ElementType(IntEnum):
    """Type of a tensor's elements, numbered as in ONNX's TensorProto."""

    NONE = 0
    FLOAT32 = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    FLOAT64 = 11
    UINT32 = 12
    UINT64 = 13

    @classmethod
    def of(cls, dtype: np.dtype[Any]) -> ElementType:
        """The type of a numpy array's elements."""
        return cls[dtype.name.upper()]


class Field(NamedTuple):
    """One field of the header.

    Attributes
    ----------
    name : str
        Also the attribute of :class:`Header`, unless it is fixed.
    offset, bits : int
        Position of the most significant bit, counted from the first bit on the wire, and width.
    meaning : str
    fixed : bool
        Not a choice of the sender: magic, version, CRC, reserved bits.
    """

    name: str
    offset: int
    bits: int
    meaning: str
    fixed: bool = False


FIELDS = (
    Field("magic", 0, 16, "`MW`, 0x4D57", True),
    Field("version", 16, 8, "1", True),
    Field("message_type", 24, 8, "1 tensor, 2 reply, 3 error, 4 missing"),
    Field("last", 32, 1, "last fragment of the tensor"),
    Field("result", 33, 1, "the tensor was computed by a slice on the way"),
    Field("declined", 34, 1, "a hop was asked to execute and did not; see `reason`"),
    Field("resend", 35, 1, "the sender has sent this request before"),
    Field("congestion", 36, 1, "a hop or queue on the way was congested"),
    Field("encrypted", 37, 1, "the tensor is encrypted, a 16-byte tag follows it"),
    Field("telemetry", 38, 1, "`cycles` is valid"),
    Field("reserved_flags", 39, 17, "zero", True),
    Field("reason", 56, 8, "why declined; 0 if not declined"),
    Field("tenant", 64, 16, "who pays"),
    Field("may_execute", 80, 1, "policy: hops may execute"),
    Field("must_encrypt", 81, 1, "policy: never in clear on a link"),
    Field("reserved_policy", 82, 10, "zero", True),
    Field("region", 92, 4, "policy: class of regions it may be in, 0 for any"),
    Field("model_hash", 96, 64, "first 8 bytes of the SHA-256 of the signed manifest"),
    Field("cursor", 160, 8, "slice to execute next"),
    Field("slice_count", 168, 8, "slices of the model"),
    Field("epoch", 176, 16, "version of the weights"),
    Field("request_id", 192, 64, "random high half, counter in the low half"),
    Field("fragment_index", 256, 16, "of this fragment in its tensor"),
    Field("fragment_count", 272, 16, "fragments of this tensor"),
    Field("offset", 288, 32, "bytes of the tensor before this fragment"),
    Field("total_bytes", 320, 32, "bytes of the whole tensor"),
    Field("tensor_index", 352, 8, "which tensor of the request or result: 0, 1, ..."),
    Field("element_type", 360, 8, "as in ONNX's TensorProto"),
    Field("source_count", 368, 8, "tensors of the request: slice inputs; of a result: outputs"),
    Field("hop_limit", 376, 8, "hops that may still change the header; at 0 none"),
    Field("deadline_us", 384, 32, "microseconds left"),
    Field("cycles", 416, 32, "telemetry: clock cycles in the slice of the hop that executed last"),
    Field("reserved", 448, 32, "zero", True),
    Field("crc", 480, 32, "CRC-32C of the header with this field zero", True),
)
"""The header, in the order on the wire."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header of one fragment: the fields of :data:`FIELDS` that a sender chooses.

    Integers are unsigned and as wide as the field; ``model_hash`` is 8 bytes.
    """

    message_type: MessageType = MessageType.TENSOR
    last: bool = False
    result: bool = False
    declined: bool = False
    resend: bool = False
    congestion: bool = False
    encrypted: bool = False
    telemetry: bool = False
    reason: DeclineReason = DeclineReason.NONE
    tenant: int = 0
    may_execute: bool = True
    must_encrypt: bool = False
    region: int = 0
    model_hash: bytes = bytes(8)
    cursor: int = 0
    slice_count: int = 1
    epoch: int = 0
    request_id: int = 0
    fragment_index: int = 0
    fragment_count: int = 1
    offset: int = 0
    total_bytes: int = 0
    tensor_index: int = 0
    element_type: ElementType = ElementType.NONE
    source_count: int = 1
    hop_limit: int = 8
    deadline_us: int = 0
    cycles: int = 0


ENUMS: dict[str, type[IntEnum]] = {
    "message_type": MessageType,
    "reason": DeclineReason,
    "element_type": ElementType,
}
"""What the values of a field are called, of those that have names."""

_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}


class _Word(NamedTuple):
    """Neighbouring fields that struct reads as one integer: (name, shift, mask) each."""

    code: str
    members: tuple[tuple[str, int, int], ...]


def _words() -> tuple[_Word, ...]:
    words = []
    run: list[Field] = []
    for field in FIELDS:
        run.append(field)
        end = field.offset + field.bits
        bits = end - run[0].offset
        if bits in _CODES:
            members = [(f.name, end - f.offset - f.bits, (1 << f.bits) - 1) for f in run]
            code = "8s" if run[0].name == "model_hash" else _CODES[bits]
            words.append(_Word(code, tuple(members)))
            run = []
    return tuple(words)


_WORDS = _words()
_STRUCT = struct.Struct(">" + "".join(word.code for word in _WORDS))
_FIXED = {"magic": MAGIC, "version": VERSION}
_SENDER = frozenset(field.name for field in fields(Header))


def encode(header: Header) -> bytes:
    """The 64 bytes of a header, its CRC filled in.

    Raises
    ------
    BadField
        If a value does not fit its field.
    """
    values: list[int | bytes] = []
    for word in _WORDS:
        if word.code == "8s":
            if len(header.model_hash) != 8:
                raise BadField(
                    "the value does not fit the header",
                    where="model_hash",
                    expected="8 bytes",
                    found=f"{len(header.model_hash)} bytes",
                )
            values.append(header.model_hash)
            continue
        value = 0
        for name, shift, mask in word.members:
            part = int(getattr(header, name)) if name in _SENDER else _FIXED.get(name, 0)
            if not 0 <= part <= mask:
                raise BadField(
                    "the value does not fit the header",
                    where=name,
                    expected=f"0 to {mask}",
                    found=repr(part),
                )
            value |= part << shift
        values.append(value)
    data = _STRUCT.pack(*values)
    return data[:60] + google_crc32c.value(data).to_bytes(4, "big")


def decode(data: bytes | bytearray | memoryview) -> Header:
    """Read the header at the start of a datagram.

    Reserved bits are not looked at (W5). Whether the payload fits, :mod:`.fragments` asks.

    Raises
    ------
    TooShort, BadMagic, BadVersion, BadCrc, BadField
        In this order: the first that applies.
    """
    if len(data) < HEADER_BYTES:
        raise TooShort(
            "the datagram is shorter than a header",
            expected=f"at least {HEADER_BYTES} bytes",
            found=f"{len(data)} bytes",
        )
    head = bytes(data[:HEADER_BYTES])
    values: dict[str, Any] = {}
    for word, raw in zip(_WORDS, _STRUCT.unpack(head), strict=True):
        if isinstance(raw, bytes):
            values[word.members[0][0]] = raw
            continue
        for name, shift, mask in word.members:
            values[name] = raw >> shift & mask
    _expect(BadMagic, "the datagram is not midwire's", "magic", MAGIC, values["magic"])
    _expect(BadVersion, "the header is of another version", "version", VERSION, values["version"])
    crc = google_crc32c.value(head[:60] + bytes(4))
    _expect(BadCrc, "the header was damaged", "crc", crc, values["crc"])
    for name, kind in ENUMS.items():
        try:
            values[name] = kind(values[name])
        except ValueError:
            raise BadField(
                "the header has a value that this version does not know",
                where=name,
                expected=", ".join(f"{member.value} ({member.name.lower()})" for member in kind),
                found=repr(values[name]),
            ) from None
    flags = {f.name: bool(values[f.name]) for f in FIELDS if f.bits == 1}
    return Header(**{**{name: values[name] for name in _SENDER}, **flags})


def _expect(error: type[WireError], problem: str, where: str, expected: int, found: int) -> None:
    if expected != found:
        raise error(problem, where=where, expected=f"{expected:#x}", found=f"{found:#x}")


def table() -> str:
    """The header as a Markdown table, for ``docs/wire-format.md``."""
    lines = ["| byte | bit | bits | field | meaning |", "|---:|---:|---:|---|---|"]
    for f in FIELDS:
        lines.append(f"| {f.offset // 8} | {f.offset % 8} | {f.bits} | `{f.name}` | {f.meaning} |")
    return "\n".join(lines) + "\n"


def reasons() -> str:
    """The decline reasons as a Markdown table, for ``docs/wire-format.md``."""
    lines = ["| value | reason |", "|---:|---|"]
    lines += [f"| {reason.value} | {reason.name.lower()} |" for reason in DeclineReason]
    return "\n".join(lines) + "\n"
