# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules A1 to A5 of midwire.host.wire.reassembly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from midwire.host.wire.reassembly import Message, Reassembler
from midwire.hw.formats import fragments, wire
from midwire.hw.formats.wire import Header, MessageType

HERE = ("127.0.0.1", 1)


def cut(tensors: Sequence[bytes], mtu: int = 172, **fields: int) -> list[bytes]:
    """All datagrams of a message; an MTU of 172 leaves 64 bytes in each."""
    found: list[bytes] = []
    for index, tensor in enumerate(tensors):
        header = Header(tensor_index=index, source_count=len(tensors), **fields)  # type: ignore[arg-type]
        found += fragments.datagrams(header, tensor, mtu)
    return found


def give(
    target: Reassembler, datagram: bytes, now: float = 0.0, source: tuple[str, int] = HERE
) -> Message | None:
    return target.add(wire.decode(datagram), memoryview(datagram)[64:], source, now)


def test_any_order_gives_the_message_once() -> None:  # A1
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(50):
        tensors = [rng.randbytes(rng.randrange(1, 700)) for _ in range(rng.randrange(1, 4))]
        sizes = [len(tensor) for tensor in tensors]
        target = Reassembler(lambda header, sizes=sizes: sizes)  # type: ignore[misc]
        datagrams = cut(tensors)
        rng.shuffle(datagrams)
        results = [give(target, datagram) for datagram in datagrams]
        assert [result is None for result in results] == [True] * (len(results) - 1) + [False]
        assert results[-1] is not None and results[-1].tensors == tensors
        assert len(target) == 0 and not target.counters


def test_requests_cursors_and_senders_do_not_mix() -> None:  # A1
    target = Reassembler(lambda _: [128])
    ways = [(1, 0, HERE), (2, 0, HERE), (1, 1, HERE), (1, 0, ("127.0.0.1", 2))]
    parts = [
        (cut([bytes([i]) * 128], request_id=request, cursor=cursor), source)
        for i, (request, cursor, source) in enumerate(ways)
    ]
    assert [give(target, part[0], source=source) for part, source in parts] == [None] * 4
    for i, (part, source) in enumerate(parts):
        message = give(target, part[1], source=source)
        assert message is not None and message.tensors == [bytes([i]) * 128]


def test_lies_about_lengths_are_dropped() -> None:  # A2
    target = Reassembler(lambda _: [128])
    first = wire.decode(cut([bytes(128)])[0])
    lies = {
        "another size than the model's": replace(first, total_bytes=4_000_000_000),
        "a tensor that the model has not": replace(first, tensor_index=1),
        "more tensors than the model has": replace(first, source_count=2),
        "behind its own end": replace(first, fragment_index=1, offset=128),
        "more fragments than bytes": replace(first, fragment_count=60_000),
        "an index behind the count": replace(first, fragment_index=2),
    }
    for header in lies.values():
        assert target.add(header, memoryview(bytes(64)), HERE, 0.0) is None
    assert target.counters == {"wrong_length": len(lies)}
    assert len(target) == 0


def test_contradicting_fragments_never_make_a_message() -> None:  # A2
    target = Reassembler(lambda _: [192])
    one, two, three = (wire.decode(part) for part in cut([bytes(192)]))
    full = memoryview(bytes(64))
    assert target.add(one, full, HERE, 0.0) is None
    assert target.add(replace(two, fragment_count=9), full, HERE, 0.0) is None
    assert target.counters == {"contradiction": 1}
    # All indices, but a hole: bytes 64 to 128 come twice, the last 64 never.
    assert target.add(two, full, HERE, 0.0) is None
    assert target.add(replace(three, offset=64), full, HERE, 0.0) is None
    assert target.counters == {"contradiction": 2}
    assert len(target) == 0


def test_unknown_messages_are_counted() -> None:  # A2
    target = Reassembler(lambda _: None)
    assert give(target, cut([b"x"])[0]) is None
    assert target.counters == {"unknown_message": 1}


def test_duplicates_do_no_harm() -> None:  # A3
    target = Reassembler(lambda _: [100])
    one, two = cut([bytes(range(100))])
    assert give(target, one) is None
    assert give(target, one) is None
    message = give(target, two)
    assert message is not None and message.tensors == [bytes(range(100))]
    assert target.counters == {"duplicate": 1}


def test_the_oldest_gives_way() -> None:  # A4
    target = Reassembler(lambda _: [100], slots=3)
    parts = [cut([bytes(100)], request_id=i) for i in range(4)]
    for first, _ in parts:
        give(target, first)
    assert len(target) == 3
    assert [give(target, last) is not None for _, last in parts[1:]] == [True] * 3
    assert target.counters == {"evicted": 1}


def test_what_takes_too_long_is_dropped() -> None:  # A5
    target = Reassembler(lambda _: [100], timeout=2.0)
    old, young = (cut([bytes(100)], request_id=i) for i in range(2))
    give(target, old[0], now=0.0)
    give(target, young[0], now=1.0)
    target.expire(2.0)
    assert len(target) == 1
    assert give(target, young[1], now=2.0) is not None
    assert target.counters == {"timed_out": 1}


def test_answers_to_two_attempts_do_not_mix() -> None:  # A1
    target = Reassembler(lambda header: [header.total_bytes])
    one, two = cut([b"a" * 100]), cut([b"b" * 102])
    assert give(target, one[0]) is None  # the rest of it was lost
    assert give(target, two[0]) is None
    message = give(target, two[1])
    assert message is not None and message.tensors == [b"b" * 102]
    error = cut([b"e" * 100], message_type=MessageType.ERROR)
    assert give(target, error[1]) is None and give(target, error[0]) is not None
    message = give(target, one[1])
    assert message is not None and message.tensors == [b"a" * 100]
    assert not target.counters
