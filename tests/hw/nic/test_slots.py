# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests collected from fragments in any order, and what is remembered: D2, D3, D5, D6."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from midwire.hw.formats.slots import SHARE, slots_of
from midwire.hw.formats.wire import DeclineReason

from .conftest import Nic, Request, Tools

MTU = 600
"""Cuts a request for `large` into 3 fragments of 448 bytes and one of 156."""


def cut(tools: Tools, nic: Nic, mtu: int = MTU, **changes: object) -> Request:
    return replace(tools.request(nic.sizes, **changes), mtu=mtu)


def still(nic: Nic, **values: int) -> None:
    """Time stands still at 0 until it is written."""
    nic.write(clock_mhz=0, time_us=0, **values)


def later(nic: Nic, microseconds: int) -> list[bytes]:
    """What leaves at that time, but for questions."""
    nic.write(time_us=microseconds)
    nic.cycles(1024)  # all slots are looked at
    return [frame.data for frame in nic.drain() if not frame.back]


def test_d3_every_order(large: Nic, tools: Tools) -> None:
    for order in itertools.permutations(range(4)):
        request = cut(tools, large)
        frames = request.frames()
        assert len(frames) == 4
        *before, last = (frames[index] for index in order)
        for frame in before:
            assert large.send(frame) == []
        tools.check_result(request, large.send(last))
        assert large.filled() == set()
    counts = large.check_counters()
    assert (counts["collected"], counts["requests"], counts["results"]) == (96, 24, 24)


@pytest.mark.parametrize("mtu", [172, 1000])
def test_d3_backwards_without_a_break(large: Nic, tools: Tools, mtu: int) -> None:
    large.pauses(20, 50, tools.random.getrandbits(31))
    request = cut(tools, large, mtu)
    tools.check_result(request, large.send(*reversed(request.frames())))


@pytest.mark.parametrize("pauses", [(0, 0), (40, 60)])
def test_d3_mixed_doubled_and_lost(large: Nic, tools: Tools, pauses: tuple[int, int]) -> None:
    """Each request is executed once, or all that came of it is sent on as incomplete."""
    still(large, timeout_us=500)
    large.pauses(*pauses, tools.random.getrandbits(31))
    whole = given_up = 0
    for turn in range(1, 7):
        requests = []
        frames: list[bytes] = []
        came: list[set[int]] = []
        places: set[int] = set()
        for number in range(8):
            request = cut(tools, large, tools.random.choice((172, 400, 600, 1000, 1500)))
            request = replace(request, client=(f"10.0.0.{10 + number % 3}", 40001))
            # What is decided on one is not forgotten for another, or its doubles would be new.
            while request.place in places:
                request = request.with_header(request_id=tools.random.getrandbits(64))
            places.add(request.place)
            parts = request.frames()
            lost = tools.random.sample(range(len(parts)), tools.random.choice((0, 0, 0, 1, 2)))
            here = set(range(len(parts))) - set(lost)
            requests.append(request)
            came.append(here)
            frames += [parts[k] for k in here for _ in range(tools.random.choice((1, 1, 1, 2, 3)))]
        tools.random.shuffle(frames)
        out = large.send(*frames)
        for request, here in zip(requests, came, strict=True):
            mine = [data for data in out if of_request(tools, data, request)]
            if len(here) == len(request.frames()):
                tools.check_result(request, mine)
                whole += 1
            else:
                assert mine == []
        out = later(large, 1000 * turn)
        for request, here in zip(requests, came, strict=True):
            mine = [data for data in out if of_request(tools, data, request)]
            if len(here) == len(request.frames()):
                assert mine == []
                continue
            given_up += bool(here)
            for index, got in zip(sorted(here), mine, strict=True):
                tools.check_declined(request.frames()[index], got, DeclineReason.INCOMPLETE)
        assert large.filled() == set()
        assert large.read("status") == 0
    counts = large.check_counters()
    assert (counts["results"], counts["evicted"]) == (whole, given_up)
    assert whole and given_up


def of_request(tools: Tools, data: bytes, request: Request) -> bool:
    return tools.unwrap(data)[0].request_id == request.header.request_id


def test_d3_requests_are_executed_in_the_order_in_which_they_become_whole(
    large: Nic, tools: Tools
) -> None:
    requests = [cut(tools, large) for _ in range(6)]
    for request in requests:
        assert large.send(*request.frames()[1:]) == []
    order = tools.random.sample(requests, len(requests))
    out = large.send(*(request.frames()[0] for request in order))
    for index, request in enumerate(order):
        tools.check_result(request, out[2 * index : 2 * index + 2])


def piece(request: Request, index: int, count: int, offset: int, size: int | None = None) -> bytes:
    """A fragment as somebody might cut it; the last one to the end."""
    total = len(request.tensor)
    last = index + 1 == count
    of = request.with_header(
        last=last, fragment_index=index, fragment_count=count, offset=offset, total_bytes=total
    )
    stop = total if last else offset + (size or 448)
    return of.one_frame(request.tensor[offset:stop])


@pytest.mark.parametrize(
    ("first", "lie"),
    [
        ((0, 4, 0), (1, 3, 448)),
        ((0, 4, 0), (1, 4, 384, 384)),
        ((0, 4, 0), (1, 4, 1024)),
        ((0, 4, 0), (3, 4, 1280)),
        ((3, 4, 1344), (1, 4, 384, 384)),
        ((3, 4, 1344), (0, 4, 0, 384)),
        ((3, 4, 1344), (2, 3, 1344)),
        ((0, 4, 0), (1, 25, 448)),
        ((0, 4, 0), (24, 25, 1408)),
    ],
    ids=[
        "count",
        "size",
        "offset",
        "where the last begins",
        "size, after the last",
        "size of the first, after the last",
        "count of the last",
        "more than the tensor has",
        "last of more than the tensor has",
    ],
)
def test_d3_contradiction(
    large: Nic, tools: Tools, first: tuple[int, ...], lie: tuple[int, ...]
) -> None:
    request = cut(tools, large)
    assert large.send(piece(request, *first)) == []
    assert large.send(piece(request, *lie)) == []
    assert large.check_counters()["dropped_bad_length"] == 1
    rest = [frame for frame in request.frames() if frame != piece(request, *first)]
    tools.check_result(request, large.send(*rest))


@pytest.mark.parametrize("lie", [(1, 25, 448), (24, 25, 1408), (1, 4, 1024)])
def test_d2_a_lie_opens_no_slot(large: Nic, tools: Tools, lie: tuple[int, ...]) -> None:
    assert large.send(piece(cut(tools, large), *lie)) == []
    assert large.check_counters()["dropped_bad_length"] == 1
    assert large.read("status") == 0


def test_d3_duplicates(large: Nic, tools: Tools) -> None:
    """Of one that is here, of a request that is whole, and of one that was executed."""
    request = cut(tools, large)
    frames = request.frames()
    assert large.send(frames[1], frames[1], frames[3], frames[3]) == []
    out = large.send(frames[0], frames[2], *frames)
    tools.check_result(request, out)
    assert large.send(*frames) == []
    assert large.check_counters()["dropped_duplicate"] == 10


def test_d2_same_id_of_another_sender_is_another_request(large: Nic, tools: Tools) -> None:
    request = cut(tools, large)
    others = [replace(request, client=c) for c in (("10.0.0.9", 40001), ("10.0.0.1", 40002))]
    for each in (request, *others):
        assert large.send(*each.frames()[:3]) == []
    for each in (*others, request):
        tools.check_result(each, large.send(each.frames()[3]))


def test_the_fragment_that_opens_says_what_the_result_takes_over(large: Nic, tools: Tools) -> None:
    request = tools.request(large.sizes)
    first, last = request.with_header(hop_limit=200).frames()[0], request.frames()[1]
    tools.check_result(request, large.send(last, first))


def test_d6_executed(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=100)
    request = cut(tools, large)
    again = request.with_header(resend=True)
    tools.check_result(request, large.send(*request.frames()))
    assert large.send(*request.frames()) == []
    tools.check_result(again, large.send(*reversed(again.frames())))
    assert large.send(request.frames()[2]) == []
    assert large.send(again.frames()[2]) == []  # a probe: it would ask for the rest
    tools.check_result(again, large.send(*request.frames()))
    assert later(large, 99) == []
    assert large.send(*request.frames()) == []
    assert later(large, 100) == []
    tools.check_result(request, large.send(*request.frames()))


@pytest.mark.parametrize("timeout_us", [0, 100])
def test_d6_incomplete(large: Nic, tools: Tools, timeout_us: int) -> None:
    still(large, timeout_us=timeout_us)
    request = cut(tools, large)
    frames = request.frames()
    assert large.send(frames[0]) == []
    large.write(time_us=10, control=0)
    (got,) = later(large, 10)
    large.write(control=1)
    tools.check_declined(frames[0], got, DeclineReason.INCOMPLETE)
    for sent in (frames[1], request.with_header(resend=True).frames()[0]):
        tools.check_declined(sent, large.send(sent)[0], DeclineReason.INCOMPLETE)
    assert later(large, 109) == []
    tools.check_declined(frames[2], large.send(frames[2])[0], DeclineReason.INCOMPLETE)
    assert later(large, 110) == []
    out = large.send(*frames)
    if timeout_us:
        tools.check_result(request, out)
    else:
        for sent, got in zip(frames, out, strict=True):
            tools.check_declined(sent, got, DeclineReason.INCOMPLETE)


def fill(nic: Nic, tools: Tools) -> list[Request]:
    """Requests of one sender that lack their last fragment, as many as it may have."""
    slots = slots_of(nic.sizes.in_bytes)
    taken = 0
    while not taken or taken < SHARE * (slots - taken - 1):
        taken += 1
    requests = [tools.request(nic.sizes) for _ in range(taken)]
    assert nic.send(*(request.frames()[0] for request in requests)) == []
    return requests


def test_d2_shares(large: Nic, tools: Tools) -> None:
    """A greedy sender gets most slots, a modest one still gets one."""
    still(large, timeout_us=0)
    mine = fill(large, tools)
    assert len(mine) == 51
    late = tools.request(large.sizes)
    for sent in late.frames():
        tools.check_declined(sent, large.send(sent)[0], DeclineReason.BUSY)
    modest = replace(tools.request(large.sizes), client=("10.0.0.7", 40001))
    assert large.send(modest.frames()[1]) == []
    tools.check_result(modest, large.send(modest.frames()[0]))
    for request in mine:
        tools.check_result(request, large.send(request.frames()[1]))
    assert large.check_counters()["evicted"] == 0


def test_d2_the_last_slot_is_for_another(large: Nic, tools: Tools) -> None:
    """Who holds none gets the very last one; nobody gets more than there are."""
    still(large, timeout_us=0)
    fill(large, tools)
    opened = 0
    for number in range(40):
        one = replace(tools.request(large.sizes), client=("10.0.1.1", 30000 + number))
        out = large.send(one.frames()[0])
        opened += not out
        if out:
            tools.check_declined(one.frames()[0], out[0], DeclineReason.BUSY)
    assert opened == slots_of(large.sizes.in_bytes) - 51


def test_d6_busy(large: Nic, tools: Tools) -> None:
    """Once declined as busy, all its fragments are, though there is room meanwhile."""
    still(large, timeout_us=100)
    mine = fill(large, tools)
    late = tools.request(large.sizes)
    first, second = late.frames()
    tools.check_declined(first, large.send(first)[0], DeclineReason.BUSY)
    tools.check_result(mine[0], large.send(mine[0].frames()[1]))
    tools.check_declined(second, large.send(second)[0], DeclineReason.BUSY)
    assert len(later(large, 100)) == 50  # the others are given up
    tools.check_result(late, large.send(first, second))


def test_d2_eight_clients_with_eight_requests_each(large: Nic, tools: Tools) -> None:
    requests = [
        replace(tools.request(large.sizes), client=(f"10.0.2.{k % 8}", 40000 + k % 8))
        for k in range(64)
    ]
    frames = []
    for start in range(0, 64, 8):
        some = [frame for request in requests[start : start + 8] for frame in request.frames()]
        frames += tools.random.sample(some, len(some))
    out = large.send(*frames)
    for request in requests:
        tools.check_result(request, [data for data in out if of_request(tools, data, request)])
    counts = large.check_counters()
    assert (counts["results"], counts["collected"]) == (64, 128)
    assert large.filled() == set()


def test_d5_words_of_a_request_stay_until_it_is_released(large: Nic, tools: Tools) -> None:
    request = tools.request(large.sizes)
    assert large.send(request.frames()[0]) == []
    assert len(large.filled()) >= 2  # banks
    tools.check_result(request, large.send(request.frames()[1]))
    assert large.filled() == set()


def test_nothing_is_known_after_a_reset(large: Nic, tools: Tools) -> None:
    """Of requests in slots, nor of what was decided."""
    still(large, timeout_us=0)
    done = cut(tools, large)
    tools.check_result(done, large.send(*done.frames()))
    mine = fill(large, tools)
    large.reset()
    still(large, timeout_us=0)
    assert large.read("status") == 0
    tools.check_result(done, large.send(*done.frames()))
    first, second = mine[0].frames()
    assert large.send(second) == []
    tools.check_result(mine[0], large.send(first))
    assert len(fill(large, tools)) == len(mine)
