# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules M1 to M3 of midwire.host.wire.sent."""

from __future__ import annotations

from collections.abc import Iterable

from midwire.host.wire import message, missing
from midwire.host.wire.sent import ASKED_TIMES, KeptMessages, SentMessage
from midwire.host.wire.udp import Datagram
from midwire.hw.formats.wire import ElementType, Header

TENSORS = [bytes(range(200)) * 8, b"short"]
HEADER = Header(request_id=5, resend=True)


def sent() -> SentMessage:
    """25 fragments of 64 bytes, and one of five."""
    types = [ElementType.INT8, ElementType.INT16]
    return SentMessage(HEADER, [[tensor] for tensor in TENSORS], 172, types)


def joined(datagrams: Iterable[Datagram]) -> list[bytes]:
    return [b"".join(datagram) for datagram in datagrams]


def asked(target: SentMessage, tensor: int, indices: list[int], count: int = 60) -> list[bytes]:
    header = Header(tensor_index=tensor, fragment_count=count)
    ask, bitmap = message.parse(memoryview(missing.pack(header, indices)))
    return joined(target.asked(ask, bitmap))


def test_fragments_are_sent_again_as_they_were() -> None:  # M1
    target = sent()
    whole = joined(target.whole())
    assert len(whole) == 26 and target.bytes == 1605
    assert asked(target, 0, [0, 7, 24]) == [whole[0], whole[7], whole[24]]
    assert asked(target, 1, [0]) == [whole[25]]
    assert joined(target.first()) == [whole[0], whole[25]]


def test_only_what_there_is() -> None:  # M1
    target = sent()
    assert asked(target, 0, [24, 25, 59]) == joined(target.whole())[24:25]
    assert asked(target, 0, [25]) == asked(target, 1, [1]) == asked(target, 2, [0]) == []


def test_asks_are_answered_within_bounds() -> None:  # M2
    target = sent()
    for _ in range(2):
        found = 0
        for _ in range(100):
            found += len(asked(target, 0, list(range(25))))
        most = ASKED_TIMES * 26 + missing.GROUP
        assert most - 25 < found <= most
        target.refill()


def test_the_oldest_give_way() -> None:  # M3
    def key(number: int) -> tuple[tuple[str, int], bytes, int]:
        return ("127.0.0.1", 1), bytes(8), number

    kept = KeptMessages(messages=3, most_bytes=4 * 1605)
    for number in range(5):
        kept.keep(key(number), sent())
    assert [kept.get(key(number)) is not None for number in range(5)] == [False] * 2 + [True] * 3
    large = SentMessage(HEADER, [[bytes(3 * 1605)]])
    kept.keep(key(4), large)  # in place of the one before
    assert len(kept) == 2 and kept.get(key(4)) is large
    kept.keep(key(5), SentMessage(HEADER, [[bytes(5 * 1605)]]))
    assert len(kept) == 0
