# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How long a request waits: R2 and R8 of midwire.host.client.edge_client."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from midwire.host.client.requests import Request
from midwire.host.client.under_way import (
    ANSWER_PATIENCE_SECONDS,
    FLOOR_SECONDS,
    PATIENCE_SECONDS,
    RESEND_PAUSE_SECONDS,
    Pending,
    Way,
)
from midwire.host.steer.paths import NetworkPath
from midwire.host.wire.sent import SentMessage
from midwire.hw.formats.wire import Header


@pytest.fixture
def way() -> Iterator[Way]:
    made = Way(NetworkPath(("127.0.0.1", 9)), ("127.0.0.1", 0), 1)
    yield made
    made.port.close()


def pending(seconds: float) -> Pending:
    """With so many seconds for attempts."""
    return Pending(Request([]), SentMessage(Header(), []), 0, 5.0, 5.0 + seconds, 9e9, 5.0)


def test_by_a_path_that_has_not_answered(way: Way) -> None:
    assert way.first_wait(pending(8.0)) == 1.0
    assert way.answer_patience(pending(8.0)) == math.inf


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [(8.0, FLOOR_SECONDS), (0.4, 0.1), (0.01, RESEND_PAUSE_SECONDS)],
)
def test_by_a_quick_path_there_is_a_floor(way: Way, seconds: float, wait: float) -> None:
    for _ in range(100):
        way.round_trip.measured(0.0005)
    assert way.first_wait(pending(seconds)) == pytest.approx(wait)
    assert way.answer_patience(pending(seconds)) == ANSWER_PATIENCE_SECONDS


def test_by_a_slow_path_it_is_what_an_answer_takes(way: Way) -> None:
    way.round_trip.measured(0.5)
    assert way.first_wait(pending(8.0)) == way.answer_patience(pending(8.0)) == 0.5 + 4 * 0.25


def test_what_was_asked_about_does_not_make_others_wait(way: Way) -> None:  # R8
    disturbed = pending(8.0)
    disturbed.disturbed = True
    for _ in range(100):
        way.measured(pending(8.0), 0.01)
    way.measured(disturbed, 0.3)
    assert way.first_wait(pending(8.0)) > 0.3
    assert way.answer_patience(pending(8.0)) == pytest.approx(0.01)
    way.undisturbed.timed_out(0.01)  # an answer was asked for
    assert way.answer_patience(pending(8.0)) == pytest.approx(0.02)
    way.measured(pending(8.0), 0.01)
    assert way.answer_patience(pending(8.0)) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("trip", "heard", "unheard"),
    [(0.001, 1, 2), (0.008, 1, 2), (0.03, 1, 0.05 / 0.03), (0.1, 1, 1)],
)
def test_a_result_of_which_nothing_came_has_longer(
    way: Way, trip: float, heard: float, unheard: float
) -> None:  # R7
    for _ in range(100):
        way.round_trip.measured(trip)
    patience, one = max(PATIENCE_SECONDS, trip), pending(8.0)
    one.wait = way.first_wait(one)
    assert way.result_patience(one, True) == pytest.approx(heard * patience)
    assert way.result_patience(one, False) == pytest.approx(unheard * patience)
    one.wait = 0.003  # a request is repeated by then
    assert way.result_patience(one, False) == 0.003


def test_a_request_is_due_when_the_first_of_its_times_comes() -> None:
    one = pending(8.0)
    one.resend, one.inquire = 7.0, 6.0
    assert (one.time, one.overdue, one.due) == (8.0, 7.0, 6.0)
    one.resend, one.inquire = 99.0, math.inf
    assert one.due == one.overdue == 13.0


def test_the_header_says_what_is_left() -> None:
    one = pending(8.0)
    one.deadline = 13.0
    assert one.left_us(12.5) == 500_000
    assert one.left_us(14.0) == 1
    one.deadline = 1e9
    assert one.left_us(0.0) == (1 << 32) - 1
