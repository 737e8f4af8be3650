# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests that the NIC declines, and those that it is not asked for: rules D0 to D5 and W4."""

from __future__ import annotations

from typing import Any

import pytest

from midwire.hw.formats.wire import DeclineReason, encode


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encrypted": True}, DeclineReason.ENCRYPTED),
        ({"tenant": 1}, DeclineReason.WRONG_TENANT),
        ({"model_hash": b"\x01\x23\x45\x67\x89\xab\xcd\xee"}, DeclineReason.WRONG_MODEL),
        ({"cursor": 0}, DeclineReason.WRONG_CURSOR),
        ({"cursor": 2}, DeclineReason.WRONG_CURSOR),
        ({"slice_count": 4}, DeclineReason.WRONG_CURSOR),
        ({"epoch": 8}, DeclineReason.WRONG_EPOCH),
        ({"tensor_index": 1}, DeclineReason.WRONG_TENSOR),
        ({"source_count": 2}, DeclineReason.WRONG_TENSOR),
        ({"may_execute": False}, DeclineReason.POLICY),
        ({"deadline_us": 0}, DeclineReason.DEADLINE),
    ],
)
def test_d1_every_reason(
    small: Any, tools: Any, change: dict[str, object], reason: DeclineReason
) -> None:
    request = tools.request(small.sizes).with_header(**change)
    (sent,) = request.frames()
    if reason is DeclineReason.ENCRYPTED:
        sent = tools.frame(request.datagrams()[0] + bytes(16))
    (got,) = small.send(sent)
    tools.check_declined(sent, got, reason)
    good = tools.request(small.sizes)
    tools.check_result(good, small.send(*good.frames()))
    assert small.check_counters()[f"declined_{reason.name.lower()}"] == 1


@pytest.mark.parametrize("size", [1, 6, 7, 8, 9, 14, 15, 16, 47, 49, 55, 1344])
def test_d1_wrong_total_with_payloads_of_any_length(small: Any, tools: Any, size: int) -> None:
    request = tools.request(small.sizes)
    other = type(request)(request.header, tools.random.randbytes(size), request.sizes)
    (sent,) = other.frames()
    (got,) = small.send(sent)
    tools.check_declined(sent, got, DeclineReason.BAD_LENGTH)
    small.check_counters()


def test_declined_before(small: Any, tools: Any) -> None:
    """A later hop's reason replaces the earlier one's."""
    request = tools.request(
        small.sizes, declined=True, reason=DeclineReason.BUSY, epoch=1, hop_limit=255
    )
    (sent,) = request.frames()
    tools.check_declined(sent, small.send(sent)[0], DeclineReason.WRONG_EPOCH)


@pytest.mark.parametrize(
    "change",
    [{"tenant": 1}, {"model_hash": bytes(8)}, {"cursor": 2}, {"cursor": 3}, {"slice_count": 4}],
)
@pytest.mark.parametrize("declined", [False, True])
def test_d0_a_result_of_an_earlier_hop(
    small: Any, tools: Any, change: dict[str, object], declined: bool
) -> None:
    """It keeps its cycles and what an earlier hop said; hop limit and deadline are reduced (W5)."""
    reason = DeclineReason.BUSY if declined else DeclineReason.NONE
    request = tools.request(
        small.sizes, result=True, declined=declined, reason=reason, telemetry=True, cycles=77
    ).with_header(**change)
    (sent,) = request.frames()
    (got,) = small.send(sent)
    tools.check_sent_on(sent, got, declined=declined, reason=reason)
    assert small.check_counters()["forwarded"] == 1


def test_d0_a_result_for_our_cursor(small: Any, tools: Any) -> None:
    """It is the next slice's input; what is wrong with it is told as ever."""
    request = tools.request(small.sizes, result=True, telemetry=True, cycles=77)
    tools.check_result(request, small.send(*request.frames()))
    (sent,) = request.with_header(epoch=1).frames()
    tools.check_declined(sent, small.send(sent)[0], DeclineReason.WRONG_EPOCH)
    small.check_counters()


def test_declined_without_udp_checksum_gets_one(small: Any, tools: Any) -> None:
    (sent,) = tools.request(small.sizes, tenant=0).frames()
    (got,) = small.send(sent[:40] + bytes(2) + sent[42:])
    tools.check_declined(sent, got, DeclineReason.WRONG_TENANT)


def test_f2_udp_checksum_is_never_zero(small: Any, tools: Any) -> None:
    small.write(clock_mhz=0xFFFF)  # the deadline stays as it is, so the same frame comes twice
    request = tools.request(small.sizes, tenant=0)
    (got,) = small.send(*request.frames())
    check = int.from_bytes(got[40:42], "big")
    word = int.from_bytes(request.tensor[:2], "big") + check
    tensor = ((word & 0xFFFF) + (word >> 16)).to_bytes(2, "big") + request.tensor[2:]
    again = type(request)(request.header, tensor, request.sizes)
    (got,) = small.send(*again.frames())
    assert got[40:42] == b"\xff\xff"
    tools.unwrap(got)


def test_pauses(large: Any, tools: Any) -> None:
    large.pauses(40, 60, tools.random.getrandbits(31))
    for _ in range(10):
        request = tools.request(large.sizes, tenant=0)
        sent = request.frames()
        for before, after in zip(sent, large.send(*sent), strict=True):
            tools.check_declined(before, after, DeclineReason.WRONG_TENANT)


def test_d2_busy_while_another_is_collected(large: Any, tools: Any) -> None:
    first, second = tools.request(large.sizes), tools.request(large.sizes)
    mine, other = first.frames(), second.frames()
    assert large.send(mine[0]) == []
    for sent in other:
        (got,) = large.send(sent)
        tools.check_declined(sent, got, DeclineReason.BUSY)
    tools.check_result(first, large.send(mine[1]))
    tools.check_result(second, large.send(*other))
    counts = large.check_counters()
    assert (counts["declined_busy"], counts["results"], counts["evicted"]) == (2, 2, 0)


def test_d2_same_id_of_another_sender_is_another_request(large: Any, tools: Any) -> None:
    first = tools.request(large.sizes)
    for client in (("10.0.0.9", 40001), ("10.0.0.1", 40002)):
        second = type(first)(first.header, first.tensor, first.sizes, client=client)
        assert large.send(first.frames()[0]) == []
        (got,) = large.send(second.frames()[1])
        tools.check_declined(second.frames()[1], got, DeclineReason.BUSY)
        tools.check_result(first, large.send(first.frames()[1]))


def test_d2_sent_again_from_the_start(large: Any, tools: Any) -> None:
    request = tools.request(large.sizes)
    frames = request.frames()
    assert large.send(frames[0]) == []
    tools.check_result(request, large.send(*frames))
    assert large.check_counters()["evicted"] == 1


def test_d3_out_of_order(large: Any, tools: Any) -> None:
    request = tools.request(large.sizes)
    frames = request.frames()
    (got,) = large.send(frames[1])
    tools.check_declined(frames[1], got, DeclineReason.OUT_OF_ORDER)
    tools.check_result(request, large.send(*frames))


def test_d3_gap(large: Any, tools: Any) -> None:
    """A gap frees the slot at once; a late duplicate does no harm."""
    request = tools.request(large.sizes)
    request = type(request)(request.header, request.tensor, request.sizes, mtu=600)
    frames = request.frames()
    assert len(frames) >= 4
    assert large.send(*frames[:2]) == []
    (got,) = large.send(frames[1])  # twice
    tools.check_declined(frames[1], got, DeclineReason.OUT_OF_ORDER)
    (got,) = large.send(frames[3])  # 2 is lost
    tools.check_declined(frames[3], got, DeclineReason.OUT_OF_ORDER)
    other = tools.request(large.sizes)
    tools.check_result(other, large.send(*other.frames()))
    counts = large.check_counters()
    assert (counts["evicted"], counts["declined_out_of_order"]) == (1, 2)


def test_d3_contradiction(large: Any, tools: Any) -> None:
    """A next fragment that counts otherwise is not the next."""
    request = tools.request(large.sizes)
    assert large.send(request.frames()[0]) == []
    other = type(request)(request.header, request.tensor, request.sizes, mtu=600)
    (got,) = large.send(other.frames()[1])
    tools.check_declined(other.frames()[1], got, DeclineReason.OUT_OF_ORDER)
    counted = request.with_header(
        fragment_index=1, fragment_count=3, offset=1344, total_bytes=large.sizes.in_bytes
    )
    sent = tools.frame(encode(counted.header) + request.tensor[1344:1408])
    tools.check_declined(sent, large.send(sent)[0], DeclineReason.OUT_OF_ORDER)
    tools.check_result(request, large.send(request.frames()[1]))


def test_d3_another_place_is_a_contradiction(large: Any, tools: Any) -> None:
    """The last fragment begins in what is there already; by itself it is sound."""
    request = tools.request(large.sizes)
    assert large.send(request.frames()[0]) == []
    early = request.with_header(
        last=True,
        fragment_index=1,
        fragment_count=2,
        offset=1280,
        total_bytes=large.sizes.in_bytes,
    )
    sent = tools.frame(encode(early.header) + request.tensor[1280:])
    tools.check_declined(sent, large.send(sent)[0], DeclineReason.OUT_OF_ORDER)
    tools.check_result(request, large.send(request.frames()[1]))


def test_d3_the_gap_of_another_gives_nobody_up(large: Any, tools: Any) -> None:
    mine, other = tools.request(large.sizes), tools.request(large.sizes)
    mine, other = (type(r)(r.header, r.tensor, r.sizes, mtu=600) for r in (mine, other))
    assert large.send(mine.frames()[0]) == []
    sent = other.frames()[2]
    tools.check_declined(sent, large.send(sent)[0], DeclineReason.BUSY)
    tools.check_result(mine, large.send(*mine.frames()[1:]))
    assert large.check_counters()["evicted"] == 0


def test_the_first_fragment_says_what_the_result_takes_over(large: Any, tools: Any) -> None:
    request = tools.request(large.sizes)
    first, second = request.frames()[0], request.with_header(hop_limit=200).frames()[1]
    tools.check_result(request, large.send(first, second))


def test_d4_a_new_fragment_starts_the_timeout_anew(large: Any, tools: Any) -> None:
    request = tools.request(large.sizes)
    request = type(request)(request.header, request.tensor, request.sizes, mtu=600)
    *before, last = request.frames()
    for sent in before:
        assert large.send(sent) == []
        large.cycles(15_000)  # of 20_000
    tools.check_result(request, large.send(last))
    assert large.check_counters()["evicted"] == 0


def test_d4_timeout(large: Any, tools: Any) -> None:
    lost, request = tools.request(large.sizes), tools.request(large.sizes)
    assert large.send(lost.frames()[0]) == []
    sent = request.frames()
    for before, after in zip(sent, large.send(*sent), strict=True):
        tools.check_declined(before, after, DeclineReason.BUSY)
    large.cycles(20_000)
    tools.check_result(request, large.send(*sent))
    (late,) = large.send(lost.frames()[1])
    tools.check_declined(lost.frames()[1], late, DeclineReason.OUT_OF_ORDER)
    assert large.check_counters()["evicted"] == 1


def test_d4_timeout_never(large: Any, tools: Any) -> None:
    large.write(timeout=0)
    lost, request = tools.request(large.sizes), tools.request(large.sizes)
    assert large.send(lost.frames()[0]) == []
    large.cycles(100_000)
    assert not tools.is_result(large.send(request.frames()[0])[0])
    tools.check_result(lost, large.send(lost.frames()[1]))


def test_d4_disabling_gives_up(large: Any, tools: Any) -> None:
    lost, request = tools.request(large.sizes), tools.request(large.sizes)
    assert large.send(lost.frames()[0]) == []
    large.write(control=0)
    large.write(control=1)
    tools.check_result(request, large.send(*request.frames()))
    assert large.check_counters()["evicted"] == 1
