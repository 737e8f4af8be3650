# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors in datagrams: rule W2 of :mod:`midwire.hw.formats.wire`, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .wire import HEADER_BYTES, TAG_BYTES, BadLength, Header, encode

FRAGMENT_STEP = 64
"""All fragments but the last are a multiple of so many bytes."""

MAX_FRAGMENTS = 0xFFFF

_OVERHEAD = 20 + 8 + HEADER_BYTES + TAG_BYTES  # IPv4 without options, UDP; the tag may be absent

DEFAULT_MTU = 1500
MIN_MTU = _OVERHEAD + FRAGMENT_STEP
MAX_MTU = 9000
"""Jumbo frames; ``host/cpp/frame.h`` and the NIC's buffers hold no larger ones."""


def check_fragment(header: Header, payload_bytes: int) -> None:
    """Check that a fragment's lengths agree with each other (W2).

    Parameters
    ----------
    header : Header
    payload_bytes : int
        Tensor bytes behind the header, without the tag.

    Raises
    ------
    BadLength
        Says which rule is broken. What size the tensor must have, only the model knows.
    """
    index, count = header.fragment_index, header.fragment_count
    end = header.offset + payload_bytes
    problems = []
    if payload_bytes < 1:
        problems.append("the fragment is empty")
    if index >= count:
        problems.append(f"fragment {index} of {count}")
    if header.last != (index + 1 == count):
        problems.append(f"flag last is {int(header.last)} on fragment {index} of {count}")
    if (index == 0) != (header.offset == 0):
        problems.append(f"fragment {index} at byte {header.offset}")
    if end > header.total_bytes or header.last != (end == header.total_bytes):
        problems.append(f"bytes {header.offset} to {end} of {header.total_bytes}")
    if not header.last and payload_bytes % FRAGMENT_STEP:
        problems.append(f"{payload_bytes} bytes, not a multiple of {FRAGMENT_STEP}")
    if problems:
        raise BadLength(
            "the lengths of a fragment contradict each other",
            where=f"request {header.request_id:#x}",
            found="; ".join(problems),
        )


def fragment_bytes(mtu: int = DEFAULT_MTU) -> int:
    """Most tensor bytes in a fragment at an MTU (of IP, in bytes): 1344 at 1500, 8832 at 9000.

    Raises
    ------
    BadLength
        If not even one step of 64 bytes fits.
    """
    if mtu < MIN_MTU:
        raise BadLength(
            "the MTU is too small for a fragment",
            expected=f"at least {MIN_MTU} bytes",
            found=f"{mtu} bytes",
        )
    return (mtu - _OVERHEAD) // FRAGMENT_STEP * FRAGMENT_STEP


def fragment_count(total_bytes: int, mtu: int = DEFAULT_MTU) -> int:
    """Into how many fragments a tensor is cut at an MTU."""
    return -(-total_bytes // fragment_bytes(mtu))


def headers(
    header: Header, total_bytes: int, mtu: int = DEFAULT_MTU, only: Iterable[int] | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Header of each fragment of a tensor, and where its bytes begin and end.

    Parameters
    ----------
    header : Header
        All but ``last``, ``fragment_index``, ``fragment_count``, ``offset`` and ``total_bytes``,
        which are filled in.
    total_bytes : int
        Of the tensor.
    mtu : int
    only : Iterable[int], optional
        Which fragments; all of them by default.

    Raises
    ------
    BadLength
        If the tensor is empty, or too long for 65535 fragments.
    """
    step = fragment_bytes(mtu)
    count = fragment_count(total_bytes, mtu)
    if not 1 <= count <= MAX_FRAGMENTS:
        raise BadLength(
            "the tensor cannot be sent in fragments",
            expected=f"1 to {step * MAX_FRAGMENTS} bytes at an MTU of {mtu}",
            found=f"{total_bytes} bytes",
        )
    for index in range(count) if only is None else only:
        start = index * step
        of_fragment = replace(
            header,
            last=index + 1 == count,
            fragment_index=index,
            fragment_count=count,
            offset=start,
            total_bytes=total_bytes,
        )
        yield encode(of_fragment), start, min(start + step, total_bytes)


def datagrams(
    header: Header, tensor: bytes | bytearray | memoryview, mtu: int = DEFAULT_MTU
) -> Iterator[bytes]:
    """The datagrams of a tensor (bytes-like, C-contiguous), as :func:`headers` cuts it."""
    view = memoryview(tensor).cast("B")
    for head, start, stop in headers(header, len(view), mtu):
        yield head + view[start:stop]
