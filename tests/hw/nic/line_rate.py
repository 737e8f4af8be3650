# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Both links full: what becomes of others' frames while we compute.

A link carries as many bytes a cycle as its rate and the clock say; a frame takes 24 bytes more than
it has. What comes in is as much as can go out, and results go between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

GIVE_UP_CYCLES = 25_000
"""After which no fragment waits for others any more, as :class:`.conftest.Nic` is configured."""

RATES = {8: 800, 16: 1250, 32: 2500, 64: 3879}
"""Hundredths of a byte that the link carries a cycle, by the bytes of a beat: 10 Gbit/s at 156.25
MHz, 25 and 50 Gbit/s at 250 MHz, and 100 Gbit/s at 322.265625 MHz (38.788, rounded up)."""

IMIX = 7 * [60] + 4 * [590] + [1514]
"""Lengths without check sequence, each as likely as another one."""


class Measured(NamedTuple):
    """A run.

    Attributes
    ----------
    frames : of others; lost : of them not there again, unchanged and in order
    stalls : cycles in which a beat was kept waiting at the input
    executed, declined, overran : of our requests; those of which a fragment passed for want of
        room count as the latter
    """

    frames: int
    lost: int
    stalls: int
    executed: int
    declined: int
    overran: int


def measure(
    nic: Any,
    tools: Any,
    lengths: Sequence[int],
    every: int,
    at_once: int = 1,
    rate: int | None = None,
) -> Measured:
    """Others' frames of these lengths without a gap, and to each ``every`` of them so many requests
    of ours ``at_once``. Those are executed, declined or passed; anything else is an error. Links
    carry ``rate`` hundredths of a byte a cycle, by default as :data:`RATES` says."""
    nic.wire(RATES[nic.sizes.network_beat] if rate is None else rate)
    others, requests = [], []
    for index, length in enumerate(lengths):
        others.append(tools.random.randbytes(length))
        nic.queue(others[-1])
        for _ in range(0 if index % every else at_once):
            requests.append(tools.request(nic.sizes))
            for frame in requests[-1].frames():
                nic.queue(frame)
    out = nic.drain(20_000_000)
    nic.cycles(GIVE_UP_CYCLES)
    out += nic.drain()
    stalls = nic.stalls()

    ours = {frame for request in requests for frame in request.frames()}
    known = set(others)
    back = [frame.data for frame in out if frame.data in known]
    overrun: set[bytes] = set()
    results: dict[int, list[bytes]] = {}
    sent_on: dict[int, list[int]] = {}
    for frame in out:
        if frame.data in ours:
            assert frame.data not in overrun
            overrun.add(frame.data)
        elif frame.data not in known:
            header, _ = tools.unwrap(frame.data)
            if header.result:
                results.setdefault(header.request_id, []).append(frame.data)
            else:
                sent_on.setdefault(header.request_id, []).append(header.fragment_index)
    told: Counter[str] = Counter()
    for request in requests:
        number = request.header.request_id
        passed = [k for k, frame in enumerate(request.frames()) if frame in overrun]
        declined = sent_on.pop(number, [])
        if number in results:
            tools.check_result(request, results.pop(number))
            assert not passed and not declined
            told["executed"] += 1
        else:
            assert sorted(passed + declined) == list(range(len(request.frames())))
            told["overran" if passed else "declined"] += 1
    assert not results and not sent_on
    assert nic.check_counters()["overrun"] == len(overrun)
    in_order = back == [frame for frame in others if frame in set(back)]
    lost = len(others) - len(back) if in_order else len(others)
    return Measured(len(others), lost, stalls, told["executed"], told["declined"], told["overran"])


def check(nic: Any, tools: Any, lengths: Sequence[int], every: int, at_once: int = 1) -> Measured:
    """The same; nothing of others' frames is lost, kept waiting or altered, and we compute."""
    found = measure(nic, tools, lengths, every, at_once)
    assert (found.lost, found.stalls) == (0, 0)
    assert found.executed > 0
    return found


def check_overlong(nic: Any, tools: Any, lengths: Sequence[int]) -> None:
    """Frames to us that are longer than any that is looked at pass, and keep nothing waiting,
    however many small ones of others and of ours are behind them."""
    nic.wire(RATES[nic.sizes.network_beat])
    others, overlong, small, requests = [], [], [], []
    for length in lengths:
        for _ in range(40):
            others.append(tools.random.randbytes(tools.random.choice((60, 60, 65, 590, 1514))))
            nic.queue(others[-1])
            requests.append(tools.request(nic.sizes))
            for frame in requests[-1].frames() if tools.random.random() < 0.3 else ():
                nic.queue(frame)
        head = tools.request(nic.sizes).frames()[0]
        overlong.append(head + tools.random.randbytes(length - len(head)))
        nic.queue(overlong[-1])
        # The smallest ones to us, which only their lengths tell from requests.
        for _ in range(150):
            small.append(tools.frame(tools.random.randbytes(18)))
            nic.queue(small[-1])
    out = nic.drain(20_000_000)
    nic.cycles(GIVE_UP_CYCLES)
    out += nic.drain()
    assert nic.stalls() == 0
    came = [frame.data for frame in out]
    known = set(others)
    assert [frame for frame in came if frame in known] == others
    for sent in (overlong, small):
        assert sorted(set(came) & set(sent)) == sorted(sent)
    assert nic.check_counters()["passed"] >= len(others) + len(overlong)
