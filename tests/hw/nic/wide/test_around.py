# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams of 128, 256 and 512 bits: others' frames pass bit for bit and at line rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from midwire.hw.formats.wire import DeclineReason
from midwire.hw.nic.bus import BETWEEN_FRAMES_BYTES
from midwire.hw.nic.wide.head import HEAD_BYTES

from ..conftest import DRAIN_CYCLES
from ..line_rate import IMIX, RATES, check, check_overlong, measure
from ..reading import may_be_ours
from ..stacks import OWN_PORT, stacks
from ..test_pass import strangers
from .test_claim import OURS, is_ours, kinds

MOST_CYCLES = 12
"""That a frame which is not ours waits."""

LENGTHS = (range(60, 800), range(800, 1515), (1514, 4000, 9014, 9018))


@pytest.mark.parametrize("lengths", LENGTHS, ids=["short", "long", "jumbo"])
def test_line_rate_of_every_length(wide: Any, tools: Any, lengths: Sequence[int]) -> None:
    check(wide, tools, [length for length in lengths for _ in range(2)], 10)


def test_line_rate_of_mixed_lengths(wide: Any, tools: Any) -> None:
    check(wide, tools, tools.random.choices(IMIX, k=2000), 12)


def test_line_rate_of_one_length_for_long(wide: Any, tools: Any) -> None:
    for length in (60, 64, 65, 75, 76, 129, 1514):
        check(wide, tools, [length] * 500, 50)


def test_a5_line_rate_with_more_for_us_than_is_looked_at(wide: Any, tools: Any) -> None:
    """What is too much passes and is counted; the rest is executed or declined, and nobody else
    is kept waiting."""
    found = check(wide, tools, tools.random.choices(range(60, 200), k=150), 1, at_once=5)
    print(found)
    assert found.overran > 0


@pytest.mark.parametrize(("source", "sink"), [(0, 60), (30, 30)])
def test_a5_with_pauses(wide: Any, tools: Any, source: int, sink: int) -> None:
    """Then frames wait at the input, too, for the network takes less than it brings."""
    wide.pauses(source, sink, tools.random.getrandbits(31))
    lengths = tools.random.choices((*range(60, 200), 1514, 9018), k=150)
    found = measure(wide, tools, lengths, 1, at_once=3, rate=0)
    print(found)
    assert found.lost == 0


@pytest.mark.parametrize(("source", "sink"), [(0, 0), (70, 0), (0, 70), (50, 50)])
def test_a1_every_length(wide: Any, tools: Any, source: int, sink: int) -> None:
    """Frames shorter than a beat, too, and bad ones."""
    wide.pauses(source, sink, tools.random.getrandbits(31))
    lengths = [*range(1, 200), *range(1440, 1520), 4000, 9014, 9018, 9472, 9473, 40_000]
    sent = [(tools.random.randbytes(n), tools.random.random() < 0.2) for n in lengths]
    for frame, bad in sent:
        wide.queue(frame, bad)
    assert [(frame.data, frame.bad) for frame in wide.drain()] == sent
    assert wide.check_counters()["passed"] == len(sent)


def test_a_frame_takes_its_beats(wide: Any, tools: Any) -> None:
    """At 512 bits, the smallest ones leave one a cycle."""
    beat = wide.sizes.network_beat
    for length in (60, 64, 65, 1514):
        for _ in range(300):
            wide.queue(tools.random.randbytes(length))
        cycles = [frame.cycle for frame in wide.drain()]
        assert {b - a for a, b in pairwise(cycles)} == {-(-length // beat)}


def waited(nic: Any, frames: Sequence[bytes]) -> list[int]:
    """Cycles from the first beat in to the first beat out of others' frames."""
    for frame in frames:
        nic.queue(frame)
    out = nic.drain()
    assert [frame.data for frame in out] == list(frames)
    cycles = [frame.first - entered for frame, entered in zip(out, nic.entered(), strict=True)]
    print("cycles waited:", min(cycles), max(cycles))
    return cycles


def test_latency(wide: Any, tools: Any) -> None:
    """Of what is decided by its first bytes; one behind the other."""
    frames = [tools.random.randbytes(n) for n in (*range(14, 140), 1514, 9014)]
    tools.random.shuffle(frames)
    most = 4 + HEAD_BYTES // wide.sizes.network_beat
    assert max(waited(wide, frames)) == most <= MOST_CYCLES


def test_latency_of_what_is_decided_late(wide: Any, tools: Any) -> None:
    """With headers of every kind, one by one and one behind the other."""
    datagram = tools.random.randbytes(100)
    late = [stack.frame(datagram, dport=OWN_PORT + 1) for stack in stacks()]
    assert sum(bool(may_be_ours(frame, OURS)) for frame in late) > 20
    late += [frame for frame in kinds(tools) if not is_ours(frame)][:500]
    cycles = [waited(wide, [frame])[0] for frame in late[:200]]
    assert max(cycles) <= MOST_CYCLES
    for length in (1, 60, 300):
        frames = [tools.random.choice((frame, tools.random.randbytes(length))) for frame in late]
        assert max(waited(wide, frames)) <= MOST_CYCLES
    wide.check_counters()


@pytest.mark.parametrize("length", [9473, 9600, 20_000, 200_000])
def test_a6_overlong_frames_to_us(wide: Any, tools: Any, length: int) -> None:
    check_overlong(wide, tools, [length] * 4)


@pytest.mark.parametrize(("source", "sink"), [(60, 0), (0, 60), (30, 30)])
def test_a6_with_pauses(wide: Any, tools: Any, source: int, sink: int) -> None:
    """Overlong frames by turns with those that are executed, dropped and passed."""
    wide.pauses(source, sink, tools.random.getrandbits(31))
    others, overlong, requests = [], [], []
    for _ in range(12):
        requests.append(tools.request(wide.sizes))
        for frame in requests[-1].frames():
            wide.queue(frame)
        head = requests[-1].frames()[0]
        size = tools.random.choice((9472, 9473, 9504, 9600, 9601, 12_000, 30_000, 50_000))
        overlong.append((head + tools.random.randbytes(size - len(head)), size % 2 == 0))
        wide.queue(*overlong[-1])
        others.append(tools.random.randbytes(tools.random.choice((60, 1514))))
        wide.queue(others[-1])
    out = wide.drain()
    wide.cycles(20_000)  # until what lacks a fragment that passed is given up
    out += wide.drain()
    got = [(frame.data, frame.bad) for frame in out]
    assert [data for data, _ in got if data in set(others)] == others
    # What is ours may pass while an overlong frame leaves; of what passes, nothing is lost.
    fit = [
        each for each in overlong if len(each[0]) == 9472
    ]  # looked at, and dropped for being bad
    passed = set(got)
    assert set(overlong) - set(fit) <= passed
    results = [frame for frame in out if (frame.data, frame.bad) not in set(overlong)]
    assert len(results) == len(others) + 2 * len(requests)
    counts = wide.check_counters()
    assert counts["dropped_bad_frame"] == len(fit) - len(set(fit) & passed)
    apart = [r for r in requests if any((frame, False) in passed for frame in r.frames())]
    assert counts["results"] == len(requests) - len(apart)
    wide.pauses(0, 0, 1)
    request = tools.request(wide.sizes)
    tools.check_result(request, wide.send(*request.frames()))


def test_strangers_and_truncated_frames(wide: Any, tools: Any) -> None:
    """On either way, whatever is cut off."""
    request = tools.request(wide.sizes)
    datagram = request.datagrams()[0]
    for whole in [*strangers(datagram).values(), request.frames()[0]]:
        frames = [whole[:size] for size in range(1, min(len(whole), 130))]
        assert sorted(wide.send(*frames)) == sorted(frames)
    wide.check_counters()


def test_disabled(wide: Any, tools: Any) -> None:
    wide.write(control=0)
    frames = tools.request(wide.sizes).frames()
    assert wide.send(*frames) == frames
    assert wide.check_counters()["passed"] == len(frames)


def test_to_our_address(wide: Any, tools: Any) -> None:
    """Executed, declined, dropped, and passed by the pipeline, as with a narrow stream."""
    assert wide.read("capability") & 255 == wide.sizes.network_beat
    for _ in range(20):
        request = tools.request(wide.sizes)
        tools.check_result(request, wide.send(*request.frames()))
    ours = tools.request(wide.sizes, tenant=0).frames()
    got = wide.send(*ours)
    assert len(got) == len(ours)
    for sent, one in zip(ours, got, strict=True):
        tools.check_declined(sent, one, DeclineReason.WRONG_TENANT)
    wide.queue(ours[0], bad=True)
    assert wide.drain() == []
    malformed = tools.frame(b"MW")
    assert wide.send(malformed) == [malformed]
    counts = wide.check_counters()
    assert (counts["dropped_bad_frame"], counts["passed_malformed"]) == (1, 1)
    overlong = ours[0] + tools.random.randbytes(40_000)
    assert wide.send(overlong) == [overlong]


def test_a5_nothing_but_ours(wide: Any, tools: Any) -> None:
    """As fast as the stream takes them: 8 bytes a cycle are looked at, the rest passes."""
    requests = [tools.request(wide.sizes, tenant=0) for _ in range(600)]
    frames = [frame for request in requests for frame in request.frames()]
    for frame in frames:
        wide.queue(frame)
    out = wide.drain(DRAIN_CYCLES)
    assert wide.stalls() == 0
    assert len(out) == len(frames)
    passed = {frame.data for frame in out} & set(frames)
    looked_at = [frame for frame in frames if frame not in passed]
    declined = [frame for frame in out if frame.data not in passed]
    for sent, got in zip(looked_at, declined, strict=True):
        tools.check_declined(sent, got.data, DeclineReason.WRONG_TENANT)
    counts = wide.check_counters()
    assert counts["overrun"] == counts["passed"] == len(passed) > 0
    assert [frame.data for frame in out if frame.data in passed] == [
        frame for frame in frames if frame in passed
    ]
    taken = sum(len(frame) + BETWEEN_FRAMES_BYTES for frame in looked_at)
    rate = taken / (out[-1].cycle - out[0].first)
    print(f"bytes a cycle: {rate:.2f}")
    assert rate > 7.5


def shortfall(rate: int, beat_bytes: int) -> dict[int, float]:
    """Lengths of frames of which the bus carries less than the link, and the share that it does."""
    found = {}
    for length in range(60, 9019):
        on_link, on_bus = (length + 24) / (rate / 100), -(-length // beat_bytes)
        if on_bus > on_link:
            found[length] = on_link / on_bus
    return found


def test_lengths_that_the_bus_cannot_carry() -> None:
    """None at those rates; at 250 MHz, 100 Gbit/s are 50 bytes a cycle (docs/nic.md)."""
    assert not any(shortfall(rate, beat) for beat, rate in RATES.items())
    dip = shortfall(5000, 64)
    assert list(dip) == list(range(65, 76))
    assert (round(100 * dip[65]), round(100 * dip[75])) == (89, 99)


def test_the_dip(widest: Any, tools: Any) -> None:
    """Back to back, these frames take two beats each, and not a cycle more."""
    for length in (65, 75):
        for _ in range(300):
            widest.queue(tools.random.randbytes(length))
        out = widest.drain()
        assert out[-1].cycle - out[0].first == 2 * 300 - 1
