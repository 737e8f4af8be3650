# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The wire format's codec against its rules, and its page."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.formats import wire
from midwire.hw.formats.wire import DeclineReason, ElementType, Header, MessageType

BITS = {f.name: f.bits for f in wire.FIELDS}
ENUMS = {"message_type": MessageType, "reason": DeclineReason, "element_type": ElementType}

GOLDEN_HEADER = Header(
    message_type=MessageType.TENSOR,
    last=True,
    declined=True,
    reason=DeclineReason.BUSY,
    tenant=0x1234,
    may_execute=True,
    region=5,
    model_hash=b"\x01\x23\x45\x67\x89\xab\xcd\xef",
    cursor=1,
    slice_count=2,
    epoch=3,
    request_id=0xCAFE0000_00000007,
    fragment_index=1,
    fragment_count=2,
    offset=1344,
    total_bytes=1400,
    element_type=ElementType.INT8,
    hop_limit=8,
    deadline_us=50_000,
)
# Written out by hand from DESIGN's table, but for the CRC.
GOLDEN_BYTES = bytes.fromhex(
    "4d57 01 01  a0000001  1234 8005  0123456789abcdef  01 02 0003  cafe000000000007"
    "0001 0002 00000540  00000578  00 03 01 08  0000c350  00000000  00000000"
)


def field_values(name: str) -> st.SearchStrategy[object]:
    if name in ENUMS:
        return st.sampled_from(list(ENUMS[name]))
    if name == "model_hash":
        return st.binary(min_size=8, max_size=8)
    if BITS[name] == 1:
        return st.booleans()
    return st.integers(0, (1 << BITS[name]) - 1)


headers = st.builds(Header, **{f.name: field_values(f.name) for f in fields(Header)})


def section(page: str, name: str) -> str:
    found = re.search(rf"<!-- {name}: [^>]*-->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found, f"no section {name}"
    return found[1]


def test_fields_cover_the_header_edge_to_edge() -> None:
    at = 0
    for field in wire.FIELDS:
        assert field.offset == at, field
        at += field.bits
    assert at == 8 * wire.HEADER_BYTES
    chosen = {f.name for f in wire.FIELDS if not f.fixed}
    assert chosen == {f.name for f in fields(Header)}


def test_w1_known_bytes() -> None:
    assert wire.encode(GOLDEN_HEADER)[:60] == GOLDEN_BYTES
    crc = google_crc32c.value(GOLDEN_BYTES + bytes(4))
    assert wire.encode(GOLDEN_HEADER)[60:] == crc.to_bytes(4, "big")


@given(headers)
def test_decode_inverts_encode(header: Header) -> None:
    data = wire.encode(header)
    assert len(data) == wire.HEADER_BYTES
    assert wire.decode(data) == header
    assert wire.decode(memoryview(data + b"tensor")) == header


def test_every_single_bit_error_is_found() -> None:
    good = wire.encode(GOLDEN_HEADER)
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        expected = {0: wire.BadMagic, 1: wire.BadMagic, 2: wire.BadVersion}.get(bit // 8)
        with pytest.raises(expected or wire.BadCrc):
            wire.decode(damaged)


@pytest.mark.parametrize("size", range(wire.HEADER_BYTES))
def test_short_datagrams(size: int) -> None:
    with pytest.raises(wire.TooShort, match=rf"at least 64 bytes; found {size} bytes"):
        wire.decode(wire.encode(GOLDEN_HEADER)[:size])


def sealed(data: bytearray) -> bytes:
    head = bytes(data[:60])
    return head + google_crc32c.value(head + bytes(4)).to_bytes(4, "big")


def test_unknown_enum_values_are_named() -> None:
    data = bytearray(wire.encode(GOLDEN_HEADER))
    data[3] = 9
    with pytest.raises(wire.BadField) as caught:
        wire.decode(sealed(data))
    assert str(caught.value) == (
        "message_type: the header has a value that this version does not know; "
        "expected 1 (tensor), 2 (reply), 3 (error), 4 (missing); found 9."
    )


def test_reserved_bits_are_ignored() -> None:
    data = bytearray(wire.encode(GOLDEN_HEADER))
    data[5] = 0xFF
    data[56:60] = b"\xff" * 4
    assert wire.decode(sealed(data)) == GOLDEN_HEADER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tenant": 65536},
            "tenant: the value does not fit the header; expected 0 to 65535; found 65536.",
        ),
        (
            {"cursor": -1},
            "cursor: the value does not fit the header; expected 0 to 255; found -1.",
        ),
        (
            {"model_hash": b"short"},
            "model_hash: the value does not fit the header; expected 8 bytes; found 5 bytes.",
        ),
    ],
)
def test_values_that_do_not_fit(change: dict[str, object], message: str) -> None:
    with pytest.raises(wire.BadField) as caught:
        wire.encode(replace(GOLDEN_HEADER, **change))  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_the_page_shows_the_table(root: Path) -> None:
    page = (root / "docs" / "wire-format.md").read_text("utf-8")
    assert section(page, "header") == wire.table()
    assert section(page, "reasons") == wire.reasons()
