# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests that the NIC declines, and those that it is not asked for: rules D0, D1 and W4."""

from __future__ import annotations

from typing import Any

import pytest

from midwire.hw.formats.wire import DeclineReason


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
