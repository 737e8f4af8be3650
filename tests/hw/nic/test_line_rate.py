# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Both links full: nothing of others' frames is lost, kept waiting or altered, whatever we compute.

Streams of 64 bits; wider ones are in wide/test_around.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from midwire.hw.formats.wire import DeclineReason

from .line_rate import GIVE_UP_CYCLES, IMIX, check, check_overlong
from .stacks import OWN_PORT, stacks

LENGTHS = (range(60, 200), range(200, 1515, 7), (1514, 4000, 9014, 9018))


@pytest.mark.parametrize("lengths", LENGTHS, ids=["short", "long", "jumbo"])
def test_every_length(small: Any, tools: Any, lengths: range) -> None:
    check(small, tools, [length for length in lengths for _ in range(4)], 10)


def test_mixed_lengths(small: Any, tools: Any) -> None:
    check(small, tools, tools.random.choices(IMIX, k=2000), 3)


def test_requests_of_several_fragments(large: Any, tools: Any) -> None:
    """Results of more bytes than their requests: they find the less room the more comes."""
    check(large, tools, tools.random.choices(IMIX, k=1000), 5)


def test_frames_of_one_length_for_long(small: Any, tools: Any) -> None:
    for length in (60, 64, 65, 1514):
        check(small, tools, [length] * 500, 50)


@pytest.mark.parametrize("length", [9473, 9600, 20_000, 60_000])
def test_p1_overlong_frames_to_us(small: Any, tools: Any, length: int) -> None:
    check_overlong(small, tools, [length] * 4)


def test_smallest_declined_frames(small: Any, tools: Any) -> None:
    """Behind headers of every kind: they are made as fast as frames come, in whole cycles.

    The first one leaves by itself, so all of them together may take the time of one more.
    """
    small.wire()
    for stack in stacks():
        request = tools.request(small.sizes, tenant=0)
        tensor = tools.random.randbytes(tools.random.randrange(1, 20))
        frames = 50 * replace(request, tensor=tensor, stack=stack).frames()
        for frame in frames:
            small.queue(frame)
        out = small.drain()
        assert len(out) == len(frames)
        on_link = -(-(len(frames[0]) + 24) // 8)
        assert out[-1].first - out[0].first <= len(out) * on_link, (stack, len(tensor))
        tools.check_declined(frames[-1], out[-1].data, DeclineReason.WRONG_TENANT)
    assert small.stalls() == 0


def test_long_headers_of_others(small: Any, tools: Any) -> None:
    """What is decided late keeps nothing waiting at the input, nor do results between them."""
    small.wire()
    (datagram,) = tools.request(small.sizes).datagrams()
    kinds = [stack.frame(datagram, dport=OWN_PORT + 1) for stack in stacks()]
    others = [tools.random.choice((*kinds, tools.random.randbytes(60))) for _ in range(600)]
    requests = []
    for index, other in enumerate(others):
        small.queue(other)
        if index % 10 == 0:
            requests.append(tools.request(small.sizes))
            small.queue(requests[-1].frames()[0])
    out = [frame.data for frame in small.drain()]
    assert small.stalls() == 0
    known = set(others)
    assert [frame for frame in out if frame in known] == others
    assert len(out) == len(others) + len(requests)
    assert small.check_counters()["results"] > 0


def test_lost_and_doubled(large: Any, tools: Any) -> None:
    """Nobody is kept waiting by what is given up, asked for, or twice there."""
    large.write(timeout_us=20, ask_us=5)
    large.wire()
    others, requests = [], []
    came: dict[int, set[int]] = {}
    for index, length in enumerate(tools.random.choices(IMIX, k=1500)):
        others.append(tools.random.randbytes(length))
        large.queue(others[-1])
        if index % 6:
            continue
        request = replace(tools.request(large.sizes), mtu=600)
        frames = request.frames()
        lost = tools.random.sample(range(len(frames)), tools.random.choice((0, 0, 1, 2)))
        here = [k for k in range(len(frames)) if k not in lost]
        requests.append(request)
        came[request.header.request_id] = set(here)
        order = [k for k in here for _ in range(tools.random.choice((1, 1, 2)))]
        for k in tools.random.sample(order, len(order)):
            large.queue(frames[k])
    out = large.drain(20_000_000)
    large.cycles(GIVE_UP_CYCLES)
    out += large.drain()
    assert large.stalls() == 0
    known = set(others)
    assert [frame.data for frame in out if frame.data in known] == others
    results: dict[int, list[bytes]] = {}
    sent_on: dict[int, set[int]] = {}
    for frame in out:
        if frame.data in known or frame.back:
            continue
        header, _ = tools.unwrap(frame.data)
        if header.result:
            results.setdefault(header.request_id, []).append(frame.data)
        else:
            sent_on.setdefault(header.request_id, set()).add(header.fragment_index)
    for request in requests:
        number = request.header.request_id
        if number in results:
            tools.check_result(request, results.pop(number))
        else:
            assert sent_on.pop(number) == came[number]
    assert not results and not sent_on
    counts = large.check_counters()
    assert min(counts[name] for name in ("results", "asked", "evicted", "dropped_duplicate")) > 5
    assert large.read("status") == 0
    assert large.filled() == set()
