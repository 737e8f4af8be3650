# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors in datagrams: rule W2."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.formats import fragments
from midwire.hw.formats.wire import TAG_BYTES, BadLength, Header, decode

HEADER = Header(last=True, fragment_index=1, fragment_count=2, offset=1344, total_bytes=1400)


def test_fragment_sizes() -> None:
    assert fragments.fragment_bytes(1500) == 1344
    assert fragments.fragment_bytes(9000) == 8832
    with pytest.raises(BadLength, match="expected at least 172 bytes; found 171 bytes"):
        fragments.fragment_bytes(171)


@given(st.binary(min_size=1, max_size=2000), st.integers(172, 700))
def test_w2_fragments(tensor: bytes, mtu: int) -> None:
    cut = list(fragments.headers(replace(HEADER, last=False), len(tensor), mtu))
    assert b"".join(tensor[start:stop] for _, start, stop in cut) == tensor
    sent = list(fragments.datagrams(replace(HEADER, last=False), tensor, mtu))
    assert len(sent) == len(cut)
    for index, (datagram, (head, start, stop)) in enumerate(zip(sent, cut, strict=True)):
        header = decode(datagram)
        assert datagram == head + tensor[start:stop]
        assert (header.fragment_index, header.offset) == (index, start)
        assert len(datagram) + 20 + 8 + TAG_BYTES <= mtu
        fragments.check_fragment(header, stop - start)


def test_tensors_that_cannot_be_cut() -> None:
    for size in (0, 65536 * 64):
        with pytest.raises(BadLength, match="expected 1 to 4194240 bytes"):
            list(fragments.headers(HEADER, size, 172))


@pytest.mark.parametrize(
    ("change", "payload", "problem"),
    [
        ({}, 0, "the fragment is empty"),
        ({"fragment_index": 2}, 56, "fragment 2 of 2"),
        ({"last": False}, 56, "flag last is 0 on fragment 1 of 2"),
        ({"offset": 0}, 56, "fragment 1 at byte 0"),
        ({}, 57, "bytes 1344 to 1401 of 1400"),
        ({}, 55, "bytes 1344 to 1399 of 1400"),
        ({"fragment_count": 3, "last": False}, 40, "40 bytes, not a multiple of 64"),
    ],
)
def test_w2_lying_lengths(change: dict[str, object], payload: int, problem: str) -> None:
    fragments.check_fragment(HEADER, 56)
    with pytest.raises(BadLength) as caught:
        fragments.check_fragment(replace(HEADER, **change), payload)  # type: ignore[arg-type]
    assert problem in str(caught.value)
