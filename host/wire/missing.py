# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages that ask for fragments: rule W8 of :mod:`midwire.hw.formats.wire`, both ways.

A message ``MISSING`` asks for fragments of one group of 64: its ``fragment_index`` is the group's
first, and bit 0 of its bitmap, the most significant of the first byte, stands for that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...hw.formats.wire import Header, MessageType, WireError, encode
from .tensors import Buffer

GROUP = 64
"""Fragments that one message can ask for."""

BITMAP_BYTES = GROUP // 8

_HOP_LIMIT = 8


class BadMissing(WireError):
    """A message asks for fragments that there are not, or not as W8 says."""


def pack(header: Header, indices: Iterable[int]) -> bytes:
    """The datagram that asks for fragments of a tensor.

    Parameters
    ----------
    header : of any fragment of that tensor
    indices : of the missing fragments, all in one group

    Raises
    ------
    BadMissing
        If they are none, of several groups, or not all of that tensor.
    """
    wanted = sorted(set(indices))
    first = max(0, wanted[0] // GROUP * GROUP) if wanted else 0
    end = min(first + GROUP, header.fragment_count)
    if not wanted or wanted[0] < 0 or wanted[-1] >= end:
        raise BadMissing(
            "these fragments cannot be asked for in one message",
            where=f"request {header.request_id:#x}",
            expected=f"some of {first} to {end - 1}",
            found=", ".join(map(str, wanted)) or "none",
        )
    bitmap = sum(1 << GROUP - 1 - (index - first) for index in wanted)
    asking = replace(
        header,
        message_type=MessageType.MISSING,
        last=True,
        fragment_index=first,
        offset=0,
        hop_limit=_HOP_LIMIT,
    )
    return encode(asking) + bitmap.to_bytes(BITMAP_BYTES, "big")


def wanted(header: Header, payload: Buffer) -> list[int]:
    """Which fragments a message ``MISSING`` asks for, in their order.

    Raises
    ------
    BadMissing
        Says what is not as in W8.
    """
    first, count = header.fragment_index, header.fragment_count
    problems, indices = [], []
    if first % GROUP or header.offset or not header.last:
        problems.append(
            f"fragment_index {first}, offset {header.offset}, last {int(header.last)}; not a "
            f"multiple of {GROUP}, 0, 1"
        )
    if len(payload) != BITMAP_BYTES:
        problems.append(f"a bitmap of {len(payload)} bytes, not {BITMAP_BYTES}")
    else:
        bitmap = int.from_bytes(payload, "big")
        indices = [first + k for k in range(GROUP) if bitmap >> GROUP - 1 - k & 1]
        if not indices:
            problems.append("no fragment is asked for")
        elif indices[-1] >= count:
            problems.append(f"fragment {indices[-1]} of {count}")
    if problems:
        raise BadMissing(
            "a message that asks for fragments contradicts itself",
            where=f"request {header.request_id:#x}",
            found="; ".join(problems),
        )
    return indices
