# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A tensor of up to 782 fragments, in a NIC that has 5 slots: D2 to D5, W8."""

from __future__ import annotations

from dataclasses import replace

import pytest

from midwire.hw.formats.slots import slots_of
from midwire.hw.formats.wire import DeclineReason

from .conftest import Nic, Request, Tools
from .test_patience import wait
from .test_slots import fill, later, still


def cut_small(tools: Tools, nic: Nic, mtu: int = 172) -> Request:
    return replace(tools.request(nic.sizes, deadline_us=1 << 31), mtu=mtu)


@pytest.mark.parametrize("mtu", [172, 1500, 9000])
def test_shuffled(huge: Nic, tools: Tools, mtu: int) -> None:
    still(huge, timeout_us=0)
    requests = [cut_small(tools, huge, mtu) for _ in range(2)]
    frames = [frame for request in requests for frame in request.frames()]
    tools.random.shuffle(frames)
    out = huge.send(*frames)
    for request in requests:
        number = request.header.request_id
        mine = [data for data in out if tools.unwrap(data)[0].request_id == number]
        tools.check_result(request, mine)
    assert huge.filled() == set()
    assert huge.check_counters()["results"] == 2


def test_w8_the_first_group_that_lacks_something_is_asked_for(huge: Nic, tools: Tools) -> None:
    still(huge, timeout_us=0, ask_us=100)
    request = cut_small(tools, huge)
    frames = request.frames()
    missing = {70, 127, 128, 700, 781}
    assert len(frames) == 782
    sent = [frame for index, frame in enumerate(frames) if index not in missing]
    assert huge.send(*tools.random.sample(sent, len(sent))) == []
    for turn, expected in enumerate(({70, 127}, {128}, {700}, {781}), 1):
        (question,) = wait(huge, 100 * turn)
        tools.check_question(request, question, expected)
        out = huge.send(*(frames[index] for index in expected))
    tools.check_result(request, out)


def test_w8_all_of_the_first_group(huge: Nic, tools: Tools) -> None:
    still(huge, timeout_us=0, ask_us=100)
    request = cut_small(tools, huge)
    assert huge.send(request.frames()[781]) == []
    (question,) = wait(huge, 25)
    tools.check_question(request, question, set(range(64)))


def test_d4_given_up(huge: Nic, tools: Tools) -> None:
    still(huge, timeout_us=100)
    huge.pauses(0, 40, tools.random.getrandbits(31))
    request = cut_small(tools, huge)
    frames = request.frames()
    here = sorted({0, 63, 64, 781, *tools.random.sample(range(782), 150)})
    assert huge.send(*(frames[index] for index in tools.random.sample(here, len(here)))) == []
    for index, got in zip(here, later(huge, 100), strict=True):
        tools.check_declined(frames[index], got, DeclineReason.INCOMPLETE)
    assert huge.check_counters()["evicted_fragments"] == len(here)
    assert huge.filled() == set()


def test_d2_few_slots(huge: Nic, tools: Tools) -> None:
    still(huge, timeout_us=0)
    assert slots_of(huge.sizes.in_bytes) == 5
    assert huge.read("capability") >> 8 & 0xFF == 5
    mine = fill(huge, tools)
    assert len(mine) == 4
    greedy = tools.request(huge.sizes)
    modest = replace(tools.request(huge.sizes), client=("10.0.0.7", 40001))
    late = replace(tools.request(huge.sizes), client=("10.0.0.8", 40001))
    for request, reason in (
        (greedy, DeclineReason.BUSY),
        (modest, None),
        (late, DeclineReason.BUSY),
    ):
        out = huge.send(request.frames()[0])
        if reason:
            tools.check_declined(request.frames()[0], out[0], reason)
        else:
            assert out == []
    for request in (*mine, modest):
        tools.check_result(request, huge.send(*request.frames()[1:]))
