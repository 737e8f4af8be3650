# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules E1 to E5 of midwire.host.wire.overtaken: what a Reassembler asks for, on a fake clock."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from midwire.host.wire.overtaken import MOST_FLOWS, Flow, Flows, Overtaking
from midwire.host.wire.reassembly import ASK_SECONDS, RESULT_SOONER, Reassembler
from midwire.hw.formats.slots import OVERTAKERS

from .test_reassembly import HERE, asked, cut, give

FRAGMENTS = 25
BYTES = 64 * FRAGMENTS


def reassembler(fragments: int = FRAGMENTS, tensors: int = 1) -> Reassembler:
    return Reassembler(lambda _: [64 * fragments] * tensors, timeout=1e9)


def at_once(target: Reassembler, now: float = 0.0) -> dict[int, list[int]]:
    """What is asked for without any time passing, by tensor."""
    return asked(target.ask(now, now))


@pytest.mark.parametrize("lost", [0, 7, FRAGMENTS - 2 - OVERTAKERS])
def test_who_is_overtaken_is_asked_for_at_once_and_once(lost: int) -> None:  # E1
    target = reassembler()
    parts = cut([bytes(BYTES)])
    for index, part in enumerate(parts[:-1]):
        if index != lost:
            assert give(target, part) is None
        assert at_once(target) == ({0: [lost]} if index == lost + OVERTAKERS else {})
    assert target.due is not None and target.due > 0.0  # by time, much later
    assert give(target, parts[lost]) is None
    assert give(target, parts[-1]) is not None
    assert target.counters == {"asked": 1}


def test_of_several_tensors_those_sent_later_overtake_too() -> None:  # E1
    target = reassembler(3, tensors=3)
    parts = cut([bytes(192)] * 3)
    for index in (0, 1, 3, 4):
        give(target, parts[index])
    assert at_once(target) == {}
    give(target, parts[6])
    assert at_once(target) == {}  # three have overtaken fragment 2 of tensor 0
    give(target, parts[7])
    assert at_once(target) == {0: [2]}
    give(target, parts[8])
    assert at_once(target) == {}


def test_a_tensor_of_which_nothing_came_is_overtaken() -> None:  # E1, A7
    target = reassembler(6, tensors=3)
    for index in (*range(6), *range(12, 16)):
        give(target, cut([bytes(384)] * 3)[index])
    assert at_once(target) == {1: [0]}


def disordered(rng: random.Random, count: int, lose: float, swap: float) -> Iterator[int]:
    """Fragments as they come: some are lost, some come behind up to three that were sent later."""
    held: list[tuple[int, int]] = []
    for index in range(count):
        yield from (late for left, late in held if left == 0)
        held = [(left - 1, late) for left, late in held if left > 0]
        draw = rng.random()
        if lose <= draw < lose + swap:
            held.append((rng.randrange(OVERTAKERS - 1), index))
        elif draw >= lose:
            yield index
    yield from (late for _, late in held)


def test_what_is_only_reordered_is_never_asked_for() -> None:  # E1
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(100):
        target = reassembler(100)
        parts = cut([bytes(6400)])
        whole = []
        for index in disordered(rng, 100, lose=0.0, swap=0.2):
            whole.append(give(target, parts[index]))
            assert at_once(target) == {}
        assert whole[-1] is not None


def test_what_is_lost_is_asked_for_and_nothing_else() -> None:  # E1
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(100):
        target = reassembler(100)
        parts = cut([bytes(6400)])
        came = list(disordered(rng, 100, lose=0.1, swap=0.05))
        wanted: list[int] = []
        for index in came:
            if give(target, parts[index]) is None:
                wanted += at_once(target).get(0, [])
        assert len(wanted) == len(set(wanted))
        lost = set(range(100)) - set(came)
        latest = sorted(came)[-OVERTAKERS]
        assert set(wanted) == {index for index in lost if index < latest}


def test_what_was_asked_for_overtakes_nothing() -> None:  # E1
    target = reassembler()
    parts = cut([bytes(BYTES)])
    for index in (*range(3, 9), 10, 11, 12):
        give(target, parts[index])
    assert at_once(target) == {0: [0, 1, 2]}
    for index in (0, 1, 2):
        give(target, parts[index])
        assert at_once(target) == {}  # 9 was sent before them, whoever overtook it
    give(target, parts[13])
    assert at_once(target) == {0: [9]}


def test_behind_an_ask_for_everything_all_is_overtaken_anew() -> None:  # E1
    target = reassembler()
    parts = cut([bytes(BYTES)], resend=True)
    give(target, parts[0])  # a probe: its sender waits to be asked
    assert asked(target.ask(ASK_SECONDS, ASK_SECONDS)) == {0: list(range(1, FRAGMENTS))}
    for index in range(2, 2 + OVERTAKERS):
        give(target, parts[index], now=0.01)
    assert at_once(target, 0.01) == {0: [1]}


def late(target: Reassembler, first: int, many: int, cursor: int = 0) -> dict[int, list[int]]:
    """What is asked for when one request comes as far as its first fragments, and then another."""
    one, two = (cut([bytes(BYTES)], request_id=k, cursor=cursor * k) for k in (1, 2))
    for part in [*one[:first], *two[:many]]:
        give(target, part)
    return at_once(target)


def test_later_messages_overtake_the_end_of_one() -> None:  # E2
    assert late(reassembler(), FRAGMENTS - 2, OVERTAKERS - 1) == {}
    assert late(reassembler(), FRAGMENTS - 2, OVERTAKERS) == {0: [FRAGMENTS - 2, FRAGMENTS - 1]}


def test_but_not_one_that_may_only_pause_or_comes_another_way() -> None:  # E2
    assert late(reassembler(), FRAGMENTS - 1 - OVERTAKERS, FRAGMENTS - 1) == {}
    assert late(reassembler(), FRAGMENTS - 2, OVERTAKERS, cursor=1) == {}


def test_a_message_that_pauses_is_overtaken_as_far_as_it_has_come() -> None:  # E2
    target = reassembler()
    one, two = (cut([bytes(BYTES)], request_id=k) for k in (1, 2))
    for part in [one[0], one[2], *two[:OVERTAKERS]]:
        give(target, part)
    assert at_once(target) == {0: [1]}


def clean(target: Reassembler, rng: random.Random, messages: int, pause: float) -> int:
    """Asks, where a slow hop hands on five fragments at a time, and nothing is lost."""
    now, asks = 0.0, 0
    for request in range(messages):
        for index, part in enumerate(cut([bytes(BYTES)], request_id=request)):
            if index % 5 == 0:
                end = now + pause * rng.uniform(0.5, 1.5)
                while (due := target.due) is not None and due < end:
                    asks += len(target.ask(due, due))
                now = end
            give(target, part, now)
    assert len(target) == 0
    return asks


@pytest.mark.parametrize("pause", [0.001, 0.02, 0.2])
def test_who_is_only_slow_is_soon_not_asked(pause: float) -> None:  # E3
    seed = random.randrange(1 << 32)
    print("seed", seed)
    target, rng = reassembler(), random.Random(seed)
    assert clean(target, rng, 4, pause) <= (0 if pause < ASK_SECONDS / 4 else 40)
    assert clean(target, rng, 200, pause) <= 20  # of 1000 pauses


def test_by_time_who_may_be_slow_is_asked_for_little() -> None:  # A7
    target = reassembler()
    parts = cut([bytes(BYTES)])
    for index in (0, 1, 3):
        give(target, parts[index])
    assert asked(target.ask(ASK_SECONDS, ASK_SECONDS)) == {0: [2, 4]}
    assert give(target, parts[4], now=0.006) is None
    assert asked(target.ask(0.02, 0.02)) == {0: [2, *range(5, FRAGMENTS)]}  # an answer


def test_by_time_who_goes_on_is_asked_for_little_again() -> None:  # A7
    target = reassembler()
    parts = cut([bytes(BYTES)])
    for index in (0, 1, 3):
        give(target, parts[index])
    assert asked(target.ask(ASK_SECONDS, ASK_SECONDS)) == {0: [2, 4]}
    for index in (4, 5):
        give(target, parts[index], now=0.006)
    assert asked(target.ask(0.1, 0.1)) == {0: [2, 6]}


def answers(target: Reassembler, seconds: float) -> list[int]:
    """How often is asked for one fragment, request by request, where an answer takes so long."""
    now, counts = 0.0, []
    for request in range(8):
        parts = cut([bytes(BYTES)], request_id=request)
        for part in parts[1:]:
            give(target, part, now)
        counts.append(len(target.ask(now, now)))
        now += seconds
        while (due := target.due) is not None and due < now:
            counts[-1] += len(target.ask(due, due))
        assert give(target, parts[0], now) is not None
    return counts


def test_an_answer_has_as_long_as_answers_take() -> None:  # E4
    target = reassembler()
    assert answers(target, 0.001) == [1] * 8
    flow = target._flows.get((HERE, bytes(8), 1, 0))
    assert 0.001 < flow.answer_patience(0.0) < 0.005 == flow.answer_patience(0.005)


def test_a_result_is_asked_for_sooner() -> None:  # A6
    target = reassembler()
    for part in cut([bytes(BYTES)], cursor=1)[:-1]:
        give(target, part, 7.0)
    assert target.due == pytest.approx(7.0 + ASK_SECONDS / RESULT_SOONER)


def test_a_long_pause_is_forgotten_although_there_are_no_others() -> None:  # E3
    target, now = reassembler(), 0.0
    for number in range(80):
        parts = cut([bytes(BYTES)], request_id=number)
        for index, part in enumerate(parts):
            now += 0.5 * (number == 0 and index == 1)
            give(target, part, now)
        now += 10.0
    for part in cut([bytes(BYTES)], request_id=99)[:-1]:
        give(target, part, now)
    assert target.due == pytest.approx(now + ASK_SECONDS)


def test_nobody_is_asked_for_ever_more_often_than_he_can_answer() -> None:  # E3, E4
    counts = answers(reassembler(), 0.05)
    assert counts[0] > 1 and counts[-4:] == [1] * 4


def test_flows_without_anything_under_way_are_forgotten() -> None:  # E5
    flows: Flows[int] = Flows()
    busy = flows.get("busy")
    busy.under_way[1] = Overtaking()
    kept = flows.get("kept")
    for number in range(10 * MOST_FLOWS):
        flows.get(number)
        assert flows.get("kept") is kept
    assert flows.get("busy") is busy and len(flows) <= MOST_FLOWS + 1
    assert isinstance(flows.get(0), Flow)
