# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules T1 to T4 of midwire.host.wire.round_trip."""

from __future__ import annotations

import pytest

from midwire.host.wire.round_trip import RoundTrip


def test_before_any_measurement_the_caller_says() -> None:  # T2
    assert RoundTrip().smoothed is None
    assert RoundTrip().wait(1.25) == 1.25


def test_the_first_measurement_and_the_next() -> None:  # T1: RFC 6298, 2.2 and 2.3
    trip = RoundTrip()
    trip.measured(0.8)
    assert (trip.smoothed, trip.wait(9.0)) == (0.8, 0.8 + 4 * 0.4)
    trip.measured(0.4)
    assert trip.smoothed == pytest.approx(0.75)
    assert trip.wait(9.0) == pytest.approx(0.75 + 4 * 0.4)  # 3/4 of 0.4 and a quarter of 0.4
    for _ in range(200):
        trip.measured(0.5)
    assert trip.smoothed == pytest.approx(0.5) and trip.wait(9.0) == pytest.approx(0.5)


def test_what_timed_out_is_waited_for_longer_until_a_measurement() -> None:  # T4
    trip = RoundTrip()
    trip.measured(0.1)
    for _ in range(100):
        trip.measured(0.1)
    for waited, wait in ((0.2, 0.4), (0.2, 0.4), (0.4, 0.8), (3.0, 2.0)):
        trip.timed_out(waited)
        assert trip.wait(2.0) == wait  # never beyond what an unmeasured path is given
    trip.measured(0.1)
    assert trip.wait(2.0) == pytest.approx(0.1)


def test_a_path_that_has_become_slow_is_measured_again() -> None:  # T4
    """Or every request would be sent twice for ever, and none of them measured."""
    trip = RoundTrip()
    for _ in range(50):
        trip.measured(0.01)
    takes, twice = 0.5, 0
    for _ in range(20):
        wait = max(0.2, trip.wait(1.2))
        if wait < takes:
            trip.timed_out(wait)
            twice += 1
        else:
            trip.measured(takes)
    assert twice <= 4
