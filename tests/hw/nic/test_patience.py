# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests that lack fragments: asked for (W8), or given up (rule D4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from midwire.hw.formats.csr import STATUS_COLLECTING
from midwire.hw.formats.slots import MAX_ASKS, QUICK_ASKS
from midwire.hw.formats.wire import DeclineReason

from .conftest import Nic, Out, Tools
from .test_slots import cut, fill, later, still


def wait(nic: Nic, microseconds: int) -> list[Out]:
    """All that leaves at that time."""
    nic.write(time_us=microseconds)
    nic.cycles(1024)
    return nic.drain()


def test_d4_asks(large: Nic, tools: Tools) -> None:
    """After `ask_us`, twice that, and so on, at most 7 times; the answer is executed."""
    still(large, timeout_us=0, ask_us=100)
    request = cut(tools, large, 172, deadline_us=1 << 31)
    frames = request.frames()
    missing = {3, 7, 23}
    sent = [k for k in range(len(frames)) if k not in missing]
    assert len(frames) == 24
    assert large.send(*(frames[k] for k in reversed(sent))) == []
    for asks in range(MAX_ASKS):
        assert wait(large, (100 << asks) - 1) == []
        (question,) = wait(large, 100 << asks)
        tools.check_question(request, question, missing)
    assert wait(large, 1 << 20) == []
    start = 1 << 20
    assert large.send(frames[7], frames[7]) == []
    assert wait(large, start + 99) == []
    (question,) = wait(large, start + 100)
    tools.check_question(request, question, {3, 23})
    assert large.read("status") == STATUS_COLLECTING
    tools.check_result(request, large.send(frames[23], frames[3]))
    counts = large.check_counters()
    assert (counts["asked"], counts["dropped_duplicate"], counts["evicted"]) == (8, 1, 0)


def test_d4_asks_sooner_behind_the_last_fragment(large: Nic, tools: Tools) -> None:
    """After a quarter of `ask_us`, a half, and then as ever; anew with each new fragment."""
    still(large, timeout_us=0, ask_us=100)
    request = cut(tools, large, 172, deadline_us=1 << 31)
    frames = request.frames()
    missing = {3, 7}
    assert large.send(*(frames[k] for k in range(len(frames)) if k not in missing)) == []
    pauses = [25, 50, *(100 << asks for asks in range(MAX_ASKS))]
    assert len(pauses) == QUICK_ASKS + MAX_ASKS
    for pause in pauses:
        assert wait(large, pause - 1) == []
        (question,) = wait(large, pause)
        tools.check_question(request, question, missing)
    start = 1 << 20
    assert wait(large, start) == []
    assert large.send(frames[7]) == []
    assert wait(large, start + 24) == []
    (question,) = wait(large, start + 25)
    tools.check_question(request, question, {3})
    tools.check_result(request, large.send(frames[3]))


def test_d4_asks_by_the_header_of_the_fragment_that_opened(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=0, ask_us=100)
    request = cut(tools, large, resend=True, region=5, congestion=True)
    assert large.send(request.frames()[3], request.with_header(region=1).frames()[0]) == []
    (question,) = wait(large, 25)
    tools.check_question(request, question, {1, 2})


def test_d4_never_asks(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=0, ask_us=0)
    assert large.send(cut(tools, large).frames()[1]) == []
    assert wait(large, 1 << 31) == []


def test_d4_asks_several_senders(large: Nic, tools: Tools) -> None:
    """None is forgotten for want of room, though the wire pauses; duplicates do not delay it."""
    still(large, timeout_us=0, ask_us=100)
    requests = [replace(cut(tools, large), client=(f"10.0.3.{k}", 41000 + k)) for k in range(20)]
    for request in requests:
        assert large.send(request.frames()[2]) == []
    large.write(time_us=50)
    assert large.send(*(request.frames()[2] for request in requests)) == []
    large.pauses(0, 80, tools.random.getrandbits(31))
    questions = wait(large, 100)
    assert len(questions) == len(requests)
    for request in requests:
        address = bytes(map(int, request.client[0].split(".")))
        (mine,) = [question for question in questions if question.data[30:34] == address]
        tools.check_question(request, mine, {0, 1, 3})


def test_time_wraps(large: Nic, tools: Tools) -> None:
    start = (1 << 32) - 50
    large.write(clock_mhz=0, time_us=start, timeout_us=200, ask_us=100)
    request = cut(tools, large, deadline_us=1000)
    frames = request.frames()
    assert large.send(frames[0]) == []
    (question,) = wait(large, 50)
    tools.check_question(request, question, {1, 2, 3})
    assert wait(large, 149) == []
    (got,) = wait(large, 150)
    tools.check_declined(frames[0], got.data, DeclineReason.INCOMPLETE)
    assert tools.unwrap(got.data)[0].deadline_us == 800


def test_d4_timeout(large: Nic, tools: Tools) -> None:
    """All that is here is sent on, in order."""
    still(large, timeout_us=300)
    request = cut(tools, large, 172)
    frames = request.frames()
    here = sorted({*tools.random.sample(range(24), 9), 23})
    for index in tools.random.sample(here, len(here)):
        assert large.send(frames[index]) == []
    assert later(large, 299) == []
    for index, got in zip(here, later(large, 300), strict=True):
        tools.check_declined(frames[index], got, DeclineReason.INCOMPLETE)
    counts = large.check_counters()
    assert (counts["evicted"], counts["evicted_fragments"]) == (1, len(here))
    assert large.filled() == set()
    assert large.read("status") == 0
    good = cut(tools, large)
    tools.check_result(good, large.send(*good.frames()))


def test_d4_only_the_last_is_here(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=300)
    frames = cut(tools, large).frames()
    assert large.send(frames[3]) == []
    (got,) = later(large, 300)
    tools.check_declined(frames[3], got, DeclineReason.INCOMPLETE)


def test_d4_a_new_fragment_starts_the_time_anew(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=300)
    request = cut(tools, large)
    frames = request.frames()
    for turn, frame in enumerate(frames[:3]):
        assert later(large, 299 * turn) == []
        assert large.send(frame, frame) == []
    assert later(large, 3 * 299) == []
    tools.check_result(request, large.send(frames[3]))


def test_d4_never(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=0)
    request = cut(tools, large, deadline_us=0xFFFF_FFFF)
    assert large.send(*request.frames()[:3]) == []
    assert later(large, 0x7FFF_FFFF) == []
    tools.check_result(request, large.send(request.frames()[3]))


def test_d4_pressure(large: Nic, tools: Tools) -> None:
    """Where others want slots, one request is given up early; the rest when more are wanted."""
    still(large, timeout_us=0, ask_us=100)
    mine = fill(large, tools)
    assert later(large, 799) == []
    late = tools.request(large.sizes)
    (first, second) = late.frames()
    tools.check_declined(first, large.send(first)[0], DeclineReason.BUSY)
    (got,) = later(large, 800)
    (given_up,) = [m for m in mine if m.header.request_id == tools.unwrap(got)[0].request_id]
    tools.check_declined(given_up.frames()[0], got, DeclineReason.INCOMPLETE)
    assert later(large, 900) == []
    tools.check_declined(second, large.send(second)[0], DeclineReason.BUSY)
    another = tools.request(large.sizes)
    tools.check_result(another, large.send(*another.frames()))
    assert large.check_counters()["evicted"] == 1


def test_d4_no_pressure_where_nobody_is_asked(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=0, ask_us=0)
    fill(large, tools)
    (sent, _) = tools.request(large.sizes).frames()
    tools.check_declined(sent, large.send(sent)[0], DeclineReason.BUSY)
    assert later(large, 1 << 20) == []


@pytest.mark.parametrize("waiting", [1, 20])
def test_d4_disabling_gives_up(large: Nic, tools: Tools, waiting: int) -> None:
    still(large, timeout_us=0)
    requests = [cut(tools, large) for _ in range(waiting)]
    large.pauses(30, 30, tools.random.getrandbits(31))
    assert large.send(*(r.frames()[k] for k in (3, 1) for r in requests)) == []
    large.write(control=0)
    out = later(large, 1)
    for request in requests:
        mine = [d for d in out if tools.unwrap(d)[0].request_id == request.header.request_id]
        for index, got in zip((1, 3), mine, strict=True):
            tools.check_declined(request.frames()[index], got, DeclineReason.INCOMPLETE)
    assert len(out) == 2 * waiting
    frame = requests[0].frames()[0]
    assert large.send(frame) == [frame]
    large.write(control=1)
    assert large.filled() == set()
    good = cut(tools, large)
    tools.check_result(good, large.send(*good.frames()))


def test_w5_time_in_a_slot_is_taken_off_the_deadline(large: Nic, tools: Tools) -> None:
    still(large, timeout_us=0)
    request = cut(tools, large, deadline_us=5000)
    assert large.send(*request.frames()[:3]) == []
    assert later(large, 2000) == []
    out = large.send(request.with_header(deadline_us=4000).frames()[3])
    tools.check_result(request, out)
    assert {tools.unwrap(data)[0].deadline_us for data in out} == {3000}


def test_d4_by_the_clock(large: Nic, tools: Tools) -> None:
    """Time as hardware has it: by cycles."""
    large.write(clock_mhz=100, timeout_us=150, ask_us=50)
    request = cut(tools, large)
    frames = request.frames()
    large.queue(frames[1])
    large.drain()
    large.cycles(20_000)
    question, again, got = large.drain()
    for each in (question, again):
        tools.check_question(request, each, {0, 2, 3})
    tools.check_declined(frames[1], got.data, DeclineReason.INCOMPLETE)
    assert 5000 <= question.first - large.entered()[0] < 5600
    # All slots are looked at in some 200 cycles.
    assert 4700 <= again.first - question.first < 5300
    assert 4700 <= got.first - again.first < 5300
