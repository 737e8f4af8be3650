# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule W8: messages that ask for fragments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.host.wire import message, missing
from midwire.host.wire.missing import GROUP, BadMissing
from midwire.hw.formats import wire
from midwire.hw.formats.wire import Header, MessageType

FRAGMENT = Header(
    request_id=7,
    model_hash=b"modelkey",
    fragment_index=3,
    fragment_count=25,
    offset=3 * 64,
    total_bytes=25 * 64,
    cursor=1,
    tensor_index=2,
    source_count=3,
    hop_limit=1,
)

COUNTS = st.integers(1, 0xFFFF)


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A tensor's number of fragments, and some of one group."""
    count = draw(COUNTS)
    first = draw(st.integers(0, (count - 1) // GROUP)) * GROUP
    inside = st.integers(first, min(first + GROUP, count) - 1)
    return count, sorted(draw(st.sets(inside, min_size=1)))


@given(groups())
def test_what_is_asked_for_comes_back(each: tuple[int, list[int]]) -> None:
    count, indices = each
    datagram = missing.pack(replace(FRAGMENT, fragment_count=count), reversed(indices))
    header, bitmap = message.parse(memoryview(datagram))
    assert len(datagram) == 72
    assert missing.wanted(header, bitmap) == indices
    assert header == replace(
        FRAGMENT,
        message_type=MessageType.MISSING,
        fragment_count=count,
        fragment_index=indices[0] // GROUP * GROUP,
        offset=0,
        last=True,
        hop_limit=8,
    )


def test_the_first_bit_is_the_most_significant() -> None:
    datagram = missing.pack(replace(FRAGMENT, fragment_count=200), [64, 66, 127])
    assert datagram[wire.HEADER_BYTES :] == bytes([0xA0, 0, 0, 0, 0, 0, 0, 1])
    assert wire.decode(datagram).fragment_index == 64


@pytest.mark.parametrize(
    ("indices", "expected", "found"),
    [
        ([], "some of 0 to 24", "none"),
        ([25], "some of 0 to 24", "25"),
        ([-1, 2], "some of 0 to 24", "-1, 2"),
        ([3, 64], "some of 0 to 24", "3, 64"),
    ],
)
def test_what_one_message_cannot_ask_for(indices: list[int], expected: str, found: str) -> None:
    with pytest.raises(BadMissing) as caught:
        missing.pack(FRAGMENT, indices)
    assert str(caught.value) == (
        "request 0x7: these fragments cannot be asked for in one message; expected "
        f"{expected}; found {found}."
    )


@pytest.mark.parametrize(
    ("changes", "bitmap", "found"),
    [
        ({}, b"\x80" + bytes(6), "a bitmap of 7 bytes, not 8"),
        ({}, b"\x80" + bytes(8), "a bitmap of 9 bytes, not 8"),
        ({}, b"", "a bitmap of 0 bytes, not 8"),
        ({}, bytes(8), "no fragment is asked for"),
        ({}, bytes([0, 0, 0, 1, 0, 0, 0, 0]), "fragment 31 of 25"),
        ({"fragment_index": 3}, b"\x80" + bytes(7), "fragment_index 3, offset 0, last 1"),
        ({"offset": 64}, b"\x80" + bytes(7), "fragment_index 0, offset 64, last 1"),
        ({"last": False}, b"\x80" + bytes(7), "fragment_index 0, offset 0, last 0"),
        ({"fragment_index": 64}, b"\x80" + bytes(7), "fragment 64 of 25"),
        ({"fragment_count": 0}, b"\x80" + bytes(7), "fragment 0 of 0"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(
    changes: dict[str, int], bitmap: bytes, found: str
) -> None:
    header = wire.decode(missing.pack(FRAGMENT, [0]))
    with pytest.raises(BadMissing) as caught:
        message.parse(memoryview(wire.encode(replace(header, **changes)) + bitmap))  # type: ignore[arg-type]
    assert str(caught.value).startswith(
        f"request 0x7: a message that asks for fragments contradicts itself; found {found}"
    )
    assert message.reason_of(caught.value) == "bad_missing"


@given(st.binary(max_size=20), COUNTS, st.integers(0, 0xFFFF), st.booleans())
def test_other_bytes_raise_nothing_else(data: bytes, count: int, index: int, last: bool) -> None:
    header = replace(FRAGMENT, fragment_count=count, fragment_index=index, last=last, offset=0)
    try:
        found = missing.wanted(header, data)
    except BadMissing:
        return
    assert found and all(index <= each < min(count, index + GROUP) for each in found)
