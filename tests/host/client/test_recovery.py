# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Lost, doubled and swapped fragments between edge and cloud: R2, R7, R8 of the client, C1 to C4.

Nothing is timed: what is counted are attempts, asks and outcomes. The first wait for an answer is
more than a second where it is not to end, so that a request of one attempt was mended by asks.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midwire.host.client import under_way
from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.errors import DeadlineError
from midwire.host.steer.paths import NetworkPath
from midwire.host.wire import message, missing
from midwire.host.wire.sent import ASKED_TIMES
from midwire.host.wire.udp import Address, UdpPort
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import Header, MessageType, decode

from ..conftest import Cloud, changed, make_bundle, make_wide_bundle, relay, send, straight
from ..hop import Disorder, Fate, Hop, unharmed

FRAGMENTS = 25
SMALL_MTU = 172
"""Leaves 64 bytes in a fragment."""

ELEMENTS = 64 * FRAGMENTS
"""A byte each on the wire, four in a reply, whose fragments are those of the default MTU."""

REPLY_FRAGMENTS = 5
QUICK, PATIENT = 1.6, 10.0
"""Deadlines: an eighth of them is the first wait."""


@pytest.fixture
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent again because of a timer, however slow the machine is for a moment."""
    monkeypatch.setattr(under_way, "FLOOR_SECONDS", PATIENT)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The known bundle, with a tensor of 25 fragments."""
    return make_bundle(tmp_path / "double", elements=ELEMENTS)


def sample(seed: int = 0) -> AnyArray:
    return np.random.default_rng(seed).integers(-128, 128, ELEMENTS).astype(np.float32) / 2


def check(outcome: RequestOutcome, given: AnyArray) -> None:
    assert outcome.error is None and outcome.outputs is not None
    np.testing.assert_array_equal(outcome.outputs["y"], np.clip(given * 4, -128, 127) / 2)


def one(
    bundle: Bundle, at: Address, deadline: float = PATIENT
) -> tuple[RequestOutcome, Counter[str]]:
    with EdgeClient(bundle, straight(at), mtu=SMALL_MTU, deadline=deadline) as client:
        outcome = client.infer(Request([sample()]))
        check(outcome, sample())
        return outcome, Counter(client.counters)


class Losing:
    """Loses the first ``times`` datagrams of a kind; remembers all headers."""

    def __init__(self, chosen: Callable[[Header], bool], times: int = 1) -> None:
        self._chosen, self.left = chosen, times
        self.seen: list[Header] = []

    def __call__(self, datagram: bytes) -> list[bytes]:
        header = decode(datagram)
        self.seen.append(header)
        if self.left and self._chosen(header):
            self.left -= 1
            return []
        return [datagram]


def of(kind: MessageType, *indices: int) -> Callable[[Header], bool]:
    return lambda header: header.message_type == kind and header.fragment_index in indices


@pytest.mark.parametrize("index", [0, 12, FRAGMENTS - 1])
def test_a_lost_fragment_comes_without_any_timer_of_the_client(
    bundle: Bundle, cloud: Cloud, index: int
) -> None:
    lost = Losing(of(MessageType.TENSOR, index))
    with relay(lost, cloud.port.address) as at:
        outcome, counters = one(bundle, at)
    assert outcome.attempts == 1 and not counters["resent"]
    assert counters["asks_answered"] >= 1 and cloud.node.counters["asked"] >= 1
    assert {header.fragment_index for header in lost.seen[FRAGMENTS:]} == {index}
    assert not any(header.resend for header in lost.seen)
    assert cloud.node.counters["by_cloud"] == 1


def test_only_what_is_missing_is_sent_again(bundle: Bundle, cloud: Cloud) -> None:
    lost = Losing(of(MessageType.TENSOR, 0, 7, 8, 24), times=4)
    with relay(lost, cloud.port.address) as at:
        outcome, counters = one(bundle, at)
    assert outcome.attempts == 1
    assert {header.fragment_index for header in lost.seen[FRAGMENTS:]} == {0, 7, 8, 24}
    assert counters["fragments_resent"] == len(lost.seen) - FRAGMENTS


def test_a_request_that_is_lost_whole_is_repeated_by_a_probe(bundle: Bundle, cloud: Cloud) -> None:
    lost = Losing(lambda _: True, times=FRAGMENTS)
    with relay(lost, cloud.port.address) as at:
        outcome, counters = one(bundle, at, QUICK)
    assert outcome.attempts == 2 and counters["resent"] == 1
    again = lost.seen[FRAGMENTS:]
    assert again[0].fragment_index == 0
    assert {header.fragment_index for header in again[1:]} == set(range(1, FRAGMENTS))
    assert all(header.resend for header in again)
    assert cloud.node.counters["by_cloud"] == 1


def test_asks_that_are_lost_are_made_again(bundle: Bundle, cloud: Cloud) -> None:
    lost = Losing(of(MessageType.TENSOR, 3))
    asks = Losing(of(MessageType.MISSING, 0), times=3)
    with relay(lost, cloud.port.address, asks) as at:
        outcome, _ = one(bundle, at)
    assert outcome.attempts == 1
    assert sum(header.message_type == MessageType.MISSING for header in asks.seen) >= 4


def test_a_lost_answer_is_sent_again_and_not_computed_again(bundle: Bundle, cloud: Cloud) -> None:
    lost = Losing(lambda header: header.message_type == MessageType.REPLY, times=REPLY_FRAGMENTS)
    with relay(unharmed, cloud.port.address, lost) as at:
        outcome, _ = one(bundle, at, QUICK)
    assert len(lost.seen) == 2 * REPLY_FRAGMENTS and outcome.attempts == 2
    found = cloud.node.counters
    assert (found["by_cloud"], found["answered_again"]) == (1, 1)
    assert [model["replies"] for model in cloud.node.models] == [1]


@pytest.mark.parametrize("index", [0, 2, REPLY_FRAGMENTS - 1])
def test_a_lost_fragment_of_an_answer_is_asked_for(
    bundle: Bundle, cloud: Cloud, index: int
) -> None:
    lost = Losing(of(MessageType.REPLY, index))
    with relay(unharmed, cloud.port.address, lost) as at:
        outcome, counters = one(bundle, at)
    assert outcome.attempts == 1 and counters["asked"] >= 1
    assert cloud.node.counters["asks_answered"] >= 1
    assert {header.fragment_index for header in lost.seen[REPLY_FRAGMENTS:]} == {index}


def test_a_tensor_of_which_nothing_came_is_asked_for(tmp_path: Path) -> None:  # A7
    wide = make_wide_bundle(tmp_path / "wide")
    lost = Losing(lambda header: header.tensor_index == 1, times=3)
    given = [np.zeros(4, np.float32), np.ones(3000, np.float32)]
    with (
        Cloud(wide) as cloud,
        relay(lost, cloud.port.address) as at,
        EdgeClient(wide, straight(at), deadline=PATIENT) as client,
    ):
        outcome = client.infer(Request(given))
    assert outcome.error is None and outcome.outputs is not None and outcome.attempts == 1
    np.testing.assert_array_equal(outcome.outputs["y1"], np.concatenate(given))
    assert [header.fragment_index for header in lost.seen[4:5]] == [0]


class Executing:
    """Plays a NIC: collects a request and sends its result on, but for one fragment, once."""

    def __init__(self) -> None:
        self.lost: int | None = None
        self._pieces: dict[int, bytes] = {}
        self.executed = 0
        self.resends: list[bool] = []

    def __call__(self, datagram: bytes) -> list[bytes]:
        header, payload = message.parse(memoryview(datagram))
        if header.message_type != MessageType.TENSOR:
            return [datagram]
        self.resends.append(header.resend)
        self._pieces[header.fragment_index] = bytes(payload)
        if len(self._pieces) < header.fragment_count:
            return []
        whole = b"".join(self._pieces[index] for index in range(header.fragment_count))
        self._pieces.clear()
        self.executed += 1
        doubled = np.clip(np.frombuffer(whole, np.int8).astype(int) * 2, -128, 127)
        done = replace(header, cursor=1, result=True, telemetry=True, cycles=7)
        pieces = [[doubled.astype(np.int8).tobytes()]]
        sent = [b"".join(d) for d in message.datagrams(done, pieces, SMALL_MTU)]
        if self.lost is not None:
            del sent[self.lost]
            self.lost = None
        return sent


@pytest.mark.usefixtures("no_timer")
def test_a_result_that_is_lost_behind_who_executed_is_computed_again(
    bundle: Bundle, cloud: Cloud
) -> None:
    nic = Executing()
    with (
        relay(nic, cloud.port.address) as at,
        EdgeClient(bundle, straight(at), mtu=SMALL_MTU, deadline=PATIENT) as client,
    ):
        check(client.infer(Request([sample(1)])), sample(1))  # how long it takes is known then
        nic.lost, nic.resends = 5, []
        outcome = client.infer(Request([sample(2)]))
    check(outcome, sample(2))
    assert (outcome.executed_by, outcome.attempts, nic.executed) == ("nic", 2, 3)
    assert client.counters["results_asked"] == client.counters["resent"] == 1
    assert nic.resends == [False] * FRAGMENTS + [True] * FRAGMENTS


@pytest.mark.usefixtures("no_timer")
def test_an_answer_that_is_lost_whole_is_asked_for(bundle: Bundle, cloud: Cloud) -> None:  # R8
    """Where it is known how long one takes; and no hop executes again."""
    nic, back = Executing(), Losing(lambda header: header.message_type == MessageType.REPLY, 0)
    with (
        relay(nic, cloud.port.address, back) as at,
        EdgeClient(bundle, straight(at), mtu=SMALL_MTU, deadline=PATIENT) as client,
    ):
        check(client.infer(Request([sample(1)])), sample(1))
        back.left = REPLY_FRAGMENTS
        outcome = client.infer(Request([sample(2)]))
    check(outcome, sample(2))
    assert (outcome.attempts, nic.executed) == (1, 2)
    assert client.counters["answers_asked"] >= 1
    assert cloud.node.counters["by_nic"] == 2


def test_where_all_wait_nobody_asks_for_an_answer_at_first(bundle: Bundle) -> None:  # R8
    with UdpPort() as deaf, EdgeClient(bundle, straight(deaf.address), window=2) as client:
        for number in range(2):
            client._start(Request([sample(number)]))
        first, second = client._pending.values()
        for now in (1.0, 2.0, 3.0):
            client._inquire(first, now)
        second.overtaken = True
        client._inquire(second, 1.0)
        assert (first.excused, second.excused) == (True, False)
        assert client.counters["answers_asked"] == 2 + 1


def test_an_answer_is_asked_for_whenever_twice_as_long_has_passed(bundle: Bundle) -> None:  # R8
    with UdpPort() as deaf, EdgeClient(bundle, straight(deaf.address)) as client:
        client._start(Request([sample()]))
        [pending] = client._pending.values()
        sent = pending.sent.sent
        for passed in (0.25, 0.5, 1.0):
            client._inquire(pending, sent + passed)
            assert pending.inquire == pytest.approx(sent + 2 * passed)
        assert pending.disturbed and client.counters["answers_asked"] == 3


@pytest.mark.usefixtures("no_timer")
def test_a_result_that_is_lost_whole_is_asked_for(bundle: Bundle, cloud: Cloud) -> None:  # C4
    """Only the client misses anything then; and the cloud knows that it has nothing."""
    nic = Executing()
    lost = Losing(lambda header: header.message_type == MessageType.TENSOR, 0)

    def onward(datagram: bytes) -> list[bytes]:
        return [kept for sent in nic(datagram) for kept in lost(sent)]

    with (
        relay(onward, cloud.port.address) as at,
        EdgeClient(bundle, straight(at), mtu=SMALL_MTU, deadline=PATIENT) as client,
    ):
        check(client.infer(Request([sample(1)])), sample(1))
        lost.left = FRAGMENTS
        outcome = client.infer(Request([sample(2)]))
    check(outcome, sample(2))
    assert (outcome.attempts, nic.executed) == (2, 3)
    assert cloud.node.counters["results_asked"] >= 1
    assert client.counters["results_asked"] == 1


def test_a_request_that_moves_is_sent_as_a_whole(bundle: Bundle, cloud: Cloud) -> None:  # R6
    seen = Losing(lambda _: False)
    with UdpPort() as deaf, relay(seen, cloud.port.address) as at:
        paths = [NetworkPath(deaf.address), NetworkPath(at)]
        with EdgeClient(bundle, paths, mtu=SMALL_MTU, deadline=QUICK) as client:
            check(client.infer(Request([sample()])), sample())
        assert client.counters["moved"] == 1
    assert [header.fragment_index for header in seen.seen[:FRAGMENTS]] == list(range(FRAGMENTS))
    assert all(header.resend for header in seen.seen)


def test_doubled_and_swapped_fragments_do_no_harm(bundle: Bundle, cloud: Cloud) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    seeds = itertools.count(seed)

    def fates() -> Fate:
        return Disorder(next(seeds), double=0.2, swap=0.3)

    with (
        Hop(cloud.port.address, fates, fates) as hop,
        EdgeClient(bundle, straight(hop.address), mtu=SMALL_MTU, window=4) as client,
    ):
        for outcome in client.stream(Request([sample(i)], tag=i) for i in range(30)):
            check(outcome, sample(outcome.request.tag))
            assert outcome.attempts == 1
    assert cloud.node.counters["by_cloud"] == 30


def test_random_schedules_end_right(bundle: Bundle, cloud: Cloud) -> None:
    """200 schedules, each with fates of its own both ways."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    seeds = itertools.count(seed)

    def fates() -> Fate:
        return Disorder(next(seeds), lose=0.1, double=0.05, swap=0.1)

    with Hop(cloud.port.address, fates, fates) as hop:
        for number in range(200):
            with EdgeClient(bundle, straight(hop.address), mtu=SMALL_MTU) as client:
                check(client.infer(Request([sample(number)])), sample(number))
    assert cloud.node.counters["by_cloud"] == 200  # each once


Answer = Callable[[Header], Iterator[bytes]]


def lie(bundle: Bundle, answer: Answer, retries: int) -> tuple[RequestOutcome, list[Header]]:
    """A request to a hop that answers each tensor fragment so, and what it got."""
    seen: list[Header] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            for datagram, source in hop.receive(0.01):
                seen.append(decode(datagram))
                for text in answer(seen[-1]):
                    send(hop, text, len(text), source)

    with UdpPort() as hop:
        thread = threading.Thread(target=work)
        with EdgeClient(
            bundle, straight(hop.address), mtu=SMALL_MTU, deadline=0.6, retries=retries
        ) as client:
            thread.start()
            outcome = client.infer(Request([sample()]))
        ended.set()
        thread.join()
    assert isinstance(outcome.error, DeadlineError)
    return outcome, seen


def test_who_asks_for_everything_for_ever_gets_little(bundle: Bundle) -> None:  # M2
    def everything(header: Header) -> Iterator[bytes]:
        yield missing.pack(header, range(FRAGMENTS))

    outcome, seen = lie(bundle, everything, retries=2)
    asked = ASKED_TIMES * FRAGMENTS + missing.GROUP
    assert FRAGMENTS < len(seen) <= FRAGMENTS + outcome.attempts * (1 + asked)


def test_who_lacks_results_for_ever_gets_no_more_than_all_attempts(bundle: Bundle) -> None:  # R7
    def result(header: Header) -> Iterator[bytes]:
        yield missing.pack(replace(header, cursor=1), [0])

    outcome, seen = lie(bundle, result, retries=2)
    assert outcome.attempts <= 3
    assert len(seen) <= outcome.attempts * FRAGMENTS


def test_asks_for_what_is_over_are_counted_and_nothing_is_sent(
    bundle: Bundle, cloud: Cloud
) -> None:
    """As they are where the ask was longer under way than the fragment."""
    asks: list[bytes] = []

    def back(datagram: bytes) -> list[bytes]:
        header = decode(datagram)
        request = replace(header, fragment_count=FRAGMENTS, total_bytes=ELEMENTS)
        asks.append(missing.pack(request, [1]))
        return [*asks[-1:], datagram]

    seen = Losing(lambda _: False)
    with (
        relay(seen, cloud.port.address, back) as at,
        EdgeClient(bundle, straight(at), mtu=SMALL_MTU, deadline=PATIENT) as client,
    ):
        check(client.infer(Request([sample(1)])), sample(1))
        send(cloud.port, changed(asks[0], request_id=1), 72, at)  # an ask of nobody's
        check(client.infer(Request([sample(2)])), sample(2))
    assert not any(header.resend for header in seen.seen)
