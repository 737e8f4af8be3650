# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules A1 to A7 of midwire.host.wire.reassembly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from midwire.host.wire import missing
from midwire.host.wire.reassembly import (
    ASK_SECONDS,
    MOST_GROUPS,
    Ask,
    Message,
    Reassembler,
)
from midwire.hw.formats import fragments, wire
from midwire.hw.formats.slots import MAX_ASKS, QUICK_ASKS
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


def asked(asks: Sequence[Ask]) -> dict[int, list[int]]:
    """Fragments that are asked for, by tensor."""
    found: dict[int, list[int]] = {}
    for ask in asks:
        header = wire.decode(ask.datagram)
        found.setdefault(header.tensor_index, []).extend(
            missing.wanted(header, ask.datagram[wire.HEADER_BYTES :])
        )
    return found


def ask_times(target: Reassembler, end: float) -> list[float]:
    """When it asks, as long as nothing comes."""
    times: list[float] = []
    while (due := target.due) is not None and due < end:
        times.append(due)
        assert target.ask(due, due)
    return times


def test_what_is_missing_is_asked_for_of_its_sender() -> None:  # A6
    target = Reassembler(lambda _: [500], ask=1.0)
    parts = cut([bytes(500)], request_id=9)
    for index in (0, 2, 5, 6):
        give(target, parts[index], now=10.0)
    assert target.due == 11.0
    assert target.ask(10.9, 10.9) == []
    [ask] = target.ask(11.0, 11.0)
    header = wire.decode(ask.datagram)
    assert (ask.to, ask.request_id, header.request_id) == (HERE, 9, 9)
    assert (header.message_type, header.total_bytes) == (MessageType.MISSING, 500)
    assert asked([ask]) == {0: [1, 3, 4, 7]}
    assert target.counters == {"asked": 1}


def test_pauses_double_and_end() -> None:  # A6
    target = Reassembler(lambda _: [100], ask=1.0, timeout=1000.0)
    first, second = cut([bytes(100)])
    give(target, first, now=0.0)
    assert ask_times(target, 1000.0) == [2.0**k for k in range(MAX_ASKS)]
    assert target.due == 1000.0
    give(target, first, now=100.0)  # a copy that the network made says nothing
    assert target.due == 1000.0
    give(target, cut([bytes(100)], resend=True)[0], now=200.0)  # its sender waits
    assert target.due == 201.0
    assert give(target, second, now=200.5) is not None
    assert len(target) == 0 and target.ask(300.0, 300.0) == []


def test_a_sender_that_has_no_more_to_send_is_asked_sooner() -> None:  # A6
    target = Reassembler(lambda _: [100, 200], ask=1.0, timeout=1000.0)
    datagrams = cut([bytes(100), bytes(200)])
    give(target, datagrams[5], now=0.0)
    assert target.due == 1.0  # nothing is known of the first tensor's end
    give(target, datagrams[1], now=0.0)
    assert ask_times(target, 1000.0) == [2.0**k for k in range(-QUICK_ASKS, MAX_ASKS)]


def test_a_new_fragment_begins_the_pauses_anew() -> None:  # A6
    target = Reassembler(lambda _: [200], ask=1.0)
    parts = cut([bytes(200)])
    give(target, parts[0], now=0.0)
    for now, missing_by_then in ((1.0, [1]), (2.0, [1, 2, 3])):
        assert asked(target.ask(now, now)) == {0: missing_by_then}
    give(target, parts[2], now=2.5)
    pause = 2 * (2.5 + 4 * 1.25)  # it was asked twice: its sender may have paused for so long (E3)
    assert target.ask(2.4 + pause, 2.4 + pause) == []
    assert asked(target.ask(2.5 + pause, 2.5 + pause)) == {0: [1, 3]}


def test_an_ask_that_is_late_is_not_followed_at_once() -> None:  # A6
    target = Reassembler(lambda _: [100], ask=1.0)
    give(target, cut([bytes(100)])[0], now=0.0)
    assert len(target.ask(1.5, 3.5)) == 1  # what has come since then waits to be read
    assert target.ask(4.4, 4.4) == []
    assert len(target.ask(4.5, 4.5)) == 1


def test_a_tensor_that_has_not_begun_is_asked_for_its_first_fragment() -> None:  # A7
    sizes = [100, 300, 64]
    target = Reassembler(lambda _: sizes)
    datagrams = cut([bytes(size) for size in sizes])
    give(target, datagrams[1])
    assert asked(target.ask(ASK_SECONDS, ASK_SECONDS)) == {0: [0], 1: [0]}
    asks = target.ask(2 * ASK_SECONDS, 2 * ASK_SECONDS)
    assert asked(asks) == {0: [0], 1: [0], 2: [0]}
    heads = [wire.decode(ask.datagram) for ask in asks]
    assert [(head.total_bytes, head.fragment_count) for head in heads] == [
        (100, 2),
        (300, 1),
        (64, 1),
    ]
    give(target, datagrams[2])
    assert asked(target.ask(0.04, 0.04)) == {0: [0], 1: [1, 2, 3, 4], 2: [0]}


def test_asks_are_by_groups_and_not_too_many() -> None:  # A7
    count = 64 * (MOST_GROUPS + 2)
    target = Reassembler(lambda _: [64 * count])
    datagrams = cut([bytes(64 * count)])
    for index, datagram in enumerate(datagrams):
        if index not in (5, 63, 64, 200) and index < count - 70:
            give(target, datagram)
    lost = [5, 63, 64, 200]
    assert asked(target.ask(0.0, 0.0)) == {0: lost}  # overtaken
    assert asked(target.ask(ASK_SECONDS, ASK_SECONDS)) == {0: [*lost, count - 70]}
    found = target.ask(2 * ASK_SECONDS, 2 * ASK_SECONDS)
    assert asked(found) == {0: [*lost, *range(count - 70, count)]}
    assert len(found) == 5
    target = Reassembler(lambda _: [64 * count])
    give(target, datagrams[0])
    assert asked(target.ask(ASK_SECONDS, ASK_SECONDS)) == {0: [1]}
    found = target.ask(2 * ASK_SECONDS, 2 * ASK_SECONDS)
    assert asked(found) == {0: list(range(1, 64 * MOST_GROUPS))}
    assert len(found) == MOST_GROUPS


def test_nobody_is_asked_where_that_is_switched_off() -> None:
    target = Reassembler(lambda _: [100], ask=0.0, timeout=9.0)
    give(target, cut([bytes(100)])[0])
    assert target.due == 9.0
    assert target.ask(8.0, 8.0) == []


def test_a_request_that_is_over_is_forgotten_at_every_cursor() -> None:
    target = Reassembler(lambda _: [100])
    for cursor, request in ((0, 1), (1, 1), (0, 2)):
        give(target, cut([bytes(100)], cursor=cursor, request_id=request)[0])
    target.discard(("127.0.0.1", 2), bytes(8), 1)
    assert len(target) == 3
    target.discard(HERE, bytes(8), 1)
    assert len(target) == 1 and not target.remind(HERE, bytes(8), 1, 0.0)
    assert [ask.request_id for ask in target.ask(1.0, 1.0)] == [2]


def test_what_gives_way_is_not_asked_for() -> None:  # A4, A5
    target = Reassembler(lambda _: [100], slots=1, timeout=1.0)
    for request in (1, 2):
        give(target, cut([bytes(100)], request_id=request)[0])
    assert [ask.request_id for ask in target.ask(0.5, 0.5)] == [2]
    target.expire(1.0)
    assert target.ask(9.0, 9.0) == [] and target.due is None


def test_who_waits_reminds_of_what_was_asked_for() -> None:
    target = Reassembler(lambda _: [200], ask=1.0)
    parts = cut([bytes(200)], request_id=1)
    for part in (parts[0], parts[3]):
        give(target, part)
    assert not target.remind(HERE, bytes(8), 2, 0.1)
    assert target.ask(0.1, 0.1) == []
    for now in (0.1, 0.2):
        assert target.remind(HERE, bytes(8), 1, now)
        assert asked(target.ask(now, now)) == {0: [1, 2]}
        assert target.ask(now, now) == []
